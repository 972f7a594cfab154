from __future__ import annotations

from pathlib import Path

import pytest

from hpazoo.spec import load, problems_of

SPEC = """\
hpazoo: 1
classes: hpa-2021
models:
  net.v1: {backbone: inception-v3, head: attention, input: {size: 512, normalize: none}}
members:
  - {model: net.v1, strategy: gap-mask}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_a_value(spec: Path) -> None:
    loaded = load(spec, settings=["models.net.v1.input.size=1024", "title=1e3 cells"])
    assert loaded.models["net.v1"].input.size == 1024
    assert loaded.data["title"] == "1e3 cells"


def test_below_a_bare_component(spec: Path) -> None:
    loaded = load(spec, settings=["models.net.v1.head.grid=30", "members.0.strategy.over=grid"])
    assert loaded.models["net.v1"].head == {"type": "attention", "grid": 30}
    assert loaded.members[0].strategy == {
        "type": "gap-mask",
        "over": "grid",
        "align": "partition",
    }


def test_a_mapping(spec: Path) -> None:
    loaded = load(spec, settings=["masks={type: label-images, root: masks}"])
    assert loaded.resolved["masks"] == {"type": "label-images", "root": "masks"}


def test_images(spec: Path) -> None:
    loaded = load(spec, images="some where")
    assert loaded.resolved["images"]["root"] == "some where"
    assert loaded.resolved["images"]["type"] == "hpa-files"


@pytest.mark.parametrize(
    ("setting", "message", "column"),
    [
        ("masks=watershd", "unknown segmenter 'watershd'", 7),
        ("masks", "expected KEY=VALUE", 1),
        ("members.3.weight=2", "no item '3' in 'members'", 9),
        ("models.net.v1.input.size=big", "'size' must be a whole number, not text ('big')", 26),
        ("models.net.v1.input.size.x=1", "'models.net.v1.input.size' is a single value", 26),
        ("nonsense=1", "unknown key 'nonsense' for a spec", 1),
        ("masks={type: [", "this '[' is never closed", 14),
        ("outputs=[table, tabel]", "unknown writer 'tabel'", 17),
        ("outputs=[table, {type: table}]", "output 'table' stands here twice", 24),
        ("outputs.0.threshold=.3", "the spec has no 'outputs'", 1),
        ("members.²=1", "no item '²' in 'members'", 9),
        (f"members.{'9' * 5000}=1", "no item '999", 9),
        ("classes.x=5", "'classes' is a single value and has no 'x'", 9),
        ("models.net.v1.input.0=5", "unknown key '0' for input", 21),
        ("models.net.v1.input.size=1e9", "'size' must be a whole number, not 1e9", 26),
        ("models.net.v1.map_classes.0=max", "'models.net.v1' has no 'map_classes'", 15),
        ("masks=", "'masks' must be a name, or a mapping with 'type', not empty", 7),
        ("=1", "expected KEY=VALUE", 1),
    ],
)
def test_what_is_wrong_is_shown_in_the_option(
    spec: Path, setting: str, message: str, column: int
) -> None:
    (problem,) = problems_of(spec, settings=[setting])
    assert problem.message.startswith(message)
    assert problem.place.source.name == "--set"
    assert problem.place.source.lines == (setting,)
    assert problem.place.column == column


def test_an_item_of_what_is_absent(spec: Path) -> None:
    spec.write_text(SPEC.partition("members")[0], encoding="utf-8")
    (problem,) = problems_of(spec, settings=["members.0.weight=2"])
    assert problem.message == "the spec has no 'members'"
    assert problem.place.source.name == "--set"


def test_below_a_text_that_names_no_component(spec: Path) -> None:
    spec.write_text(SPEC + "name: mine\n", encoding="utf-8")
    (problem,) = problems_of(spec, settings=["name.x=5"])
    assert problem.message == "'name' is a single value and has no 'x'"
    assert problem.place.source.name == "--set"


def test_a_value_on_many_lines(spec: Path) -> None:
    (problem,) = problems_of(spec, settings=["masks=\n  type: watershed\n  min_cel: 3"])
    assert problem.place[1:3] == (3, 3)
    assert problem.place.source.lines[2] == "  min_cel: 3"


def test_the_file_is_reported_before_options(spec: Path) -> None:
    spec.write_text(SPEC + "x: 1\n", encoding="utf-8")
    names = [p.place.source.name for p in problems_of(spec, settings=["b=1", "a=1"])]
    assert names == [str(spec), "--set", "--set"]


def test_below_a_component_that_the_spec_leaves_to_its_default(spec: Path) -> None:
    assert load(spec, settings=["masks.min_cell=50"]).resolved["masks"]["type"] == "watershed"
