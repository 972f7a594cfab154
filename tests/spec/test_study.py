"""What a study runs: variants with their seeds, and blends; and that a run knows nothing of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from hpazoo.errors import UsageError
from hpazoo.runner import lock
from hpazoo.runner.options import Settings
from hpazoo.spec import Spec, SpecError, load, problems_of, strict_yaml
from hpazoo.spec.catalog import components, description
from hpazoo.spec.problems import Source
from hpazoo.spec.study import blend_spec, seeds_of, study_of, variant_name, variant_of
from hpazoo.spec.study_schema import study_schema

SPEC = """\
hpazoo: 1
name: base
classes: hpa-2021
images: {type: synthetic, fields: 1, size: 128}
models:
  net.v1:
    backbone: densenet121
    head: avg-max
    input: {size: 64, normalize: hpa-2018}
    train: {start: none}
  net:
    backbone: densenet121
    head: avg-max
    input: {size: 64, normalize: hpa-2018}
    train: {seed: 5}
  metric: {checkpoint: bestfitting-resnet50-metric}
members:
  - {model: net.v1, strategy: whole-image, name: whole, weight: 3}
  - {model: net, strategy: gap-mask, name: gap, weight: 2}
  - {model: net, strategy: {type: gridify-paste, seed: 7}, name: paste}
  - {model: metric, strategy: whole-image, name: look}
ensemble: logit-mean
postprocess: [{type: blend-image, member: whole}]
outputs: [table, {type: embeddings, member: look}]
metrics: [cell-map]
training:
  images:
    - synthetic
    - {type: synthetic, seed: 1, fields: 3}
    - {type: cell-crops, of: synthetic, labels: cell}
  splitter: {type: groups, by: antibody}
study:
  blends: {both: [whole, gap]}
  corrections:
    image: [{type: blend-image, member: whole, weight: 0.5}, suppress-negative]
  variants:
    alike cells: [images.heterogeneity=0]
    fewer:
      - "members=[{model: net, strategy: whole-image}]"
      - postprocess=[]
      - outputs=[table]
      - images.seed=4
    named: [name=mine]
  comparisons:
    - {claim: one, arm: "gap,image", against: [gap], variant: alike cells, against_variant: null}
    - {claim: two, arm: "both", against: "gap ,  image", refuted: an interval below 0}
    - {claim: three, optimism: fewer, against: 0}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture
def spec(path: Path) -> Spec:
    return load(path)


def test_a_spec_without_a_study(path: Path) -> None:
    path.write_text(SPEC.partition("study:")[0], encoding="utf-8")
    with pytest.raises(SpecError, match="missing key 'study'"):
        study_of(load(path))
    assert variant_of(load(path), None, 1).resolved["images"]["seed"] == 1000


def test_a_study_says_everything(spec: Spec) -> None:
    study = study_of(spec)
    assert study.blends == {"both": ("whole", "gap")}
    assert study.corrections == {
        "image": [
            {"type": "blend-image", "member": "whole", "weight": 0.5, "mean": "arithmetic"},
            {"type": "suppress-negative", "negative": "Negative"},
        ]
    }
    assert list(study.variants) == ["alike cells", "fewer", "named"]
    one, two, three = study.comparisons
    assert (one.arm, one.against) == (("gap, image",), ("gap",))
    assert (one.variant, one.against_variant, one.optimism) == ("alike cells", None, False)
    assert (two.arm, two.against) == (("both",), ("gap, image",))
    assert (two.variant, two.against_variant, two.refuted) == (None, None, "an interval below 0")
    assert (three.arm, three.against, three.optimism) == ((), (), True)
    assert (three.variant, three.number, three.variants) == ("fewer", 0, ("fewer",))


def test_a_repeat_shifts_every_seed_of_images_and_training(spec: Spec) -> None:
    """Also those left to defaults; not those of strategies."""
    third = variant_of(spec, None, 2).resolved
    assert third["images"]["seed"] == 2000
    *whole, crops = third["training"]["images"]
    assert [config["seed"] for config in whole] == [2000, 2001]
    assert crops["of"]["seed"] == 2000
    assert third["training"]["splitter"]["seed"] == 2000
    assert [third["models"][name]["train"]["seed"] for name in ("net.v1", "net")] == [2000, 2005]
    assert third["members"][2]["strategy"]["seed"] == 7
    first = variant_of(spec, None, 0)
    assert first.resolved == spec.resolved
    assert {path for path, _ in seeds_of(third)} == {path for path, _ in seeds_of(first.resolved)}


def test_nothing_else_differs_between_repeats(spec: Spec) -> None:
    again = load(spec.path, settings=variant_of(spec, None, 1).settings).resolved
    shifted = {path for path, _ in seeds_of(again)}
    differ = set(_leaves(again)) ^ set(_leaves(spec.resolved))
    assert {path for path, _ in differ} == shifted
    assert len(shifted) == 7


def _leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[object, object]]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in _leaves(one, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, one in enumerate(value) for leaf in _leaves(one, (*path, key))]
    return [(path, value)]


@pytest.mark.parametrize("kind", ["splitters", "readers"])
def test_seeds_are_called_so(kind: str) -> None:
    """A component that draws by a parameter of another name would repeat itself."""
    for name, one in components(kind).items():
        if one.provider == "hpazoo":
            named = [key for key in description(kind, name).parameters if "seed" in key]
            assert set(named) <= {"seed"}, name


def test_a_variant_is_the_spec_with_its_changes(spec: Spec) -> None:
    alike = variant_of(spec, "alike cells", 0)
    assert alike.name == "base-alike-cells"
    assert alike.resolved["images"]["heterogeneity"] == 0
    assert alike.resolved["images"]["seed"] == 0
    fewer = variant_of(spec, "fewer", 1)
    assert [member.name for member in fewer.members] == ["net+whole-image"]
    assert fewer.resolved["images"]["seed"] == 1004
    assert variant_of(spec, "named", 0).name == "mine"
    assert variant_of(spec, "as-written", 0).resolved == spec.resolved
    with pytest.raises(UsageError, match="no variant 'fewr'; did you mean 'fewer'"):
        variant_of(spec, "fewr", 0)


def test_a_variant_keeps_what_the_command_line_changed(path: Path) -> None:
    settings = ["images.fields=2", "models.net.train.seed=6", "name=told", "study.rounds=200"]
    assert study_of(load(path, settings=settings)).rounds == 200
    told = variant_of(load(path, settings=settings), "alike cells", 1)
    assert told.name == "told-alike-cells"
    assert told.resolved["images"] == {
        **told.resolved["images"],
        "fields": 2,
        "heterogeneity": 0,
        "seed": 1000,
    }
    assert told.resolved["models"]["net"]["train"]["seed"] == 1006
    text = SPEC.partition("  variants:")[0].replace("metrics", "title: x\nmetrics")
    path.write_text(text, encoding="utf-8")
    mine = variant_of(load(path, images="mine"), None, 3)
    assert mine.resolved["images"]["root"] == "mine"
    assert "seed" not in mine.resolved["images"]


@pytest.mark.parametrize("name", ["1e", "a b", "蛋白质", "..", "x"])
def test_names_of_variants_are_names_of_specs(tmp_path: Path, name: str) -> None:
    """Whatever the file is called, the lock of a variant can be read."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(SPEC.replace("name: base\n", "").replace("alike cells", "5x"), encoding="utf-8")
    varied = variant_of(load(path), "5x", 0)
    assert varied.name == variant_name(load(path).name, "5x")
    assert strict_yaml.parse(f'name: "{varied.name}"', Source("t", ("",))).data["name"]
    assert varied.name.endswith("5x")


def blended(spec: Spec | None) -> list[tuple[str, bool, float]]:
    assert spec is not None
    return [(member.name, member.blended, member.weight) for member in spec.members]


def test_a_blend_has_its_members_alone(spec: Spec) -> None:
    image = study_of(spec).corrections["image"]
    assert [member.blended for member in spec.members] == [False, True, True, False]
    both = blend_spec(spec, ["gap", "whole"], [])
    assert blended(both) == [("whole", True, 3), ("gap", True, 2)]
    assert both is not None
    assert both.resolved["ensemble"] == spec.resolved["ensemble"]
    assert both.resolved["postprocess"] == []
    assert [config["type"] for config in both.resolved["outputs"]] == ["table"]
    assert "study" not in both.data
    corrected = blend_spec(spec, ["gap"], image)
    assert blended(corrected) == [("whole", False, 3), ("gap", True, 2)]
    assert corrected is not None
    assert corrected.resolved["postprocess"] == image
    assert blended(blend_spec(spec, ["gap", "whole"], image)) == blended(corrected)
    assert load(spec.path).data == spec.data


@pytest.mark.parametrize(
    ("members", "correction"),
    [(["whole"], "image"), (["look"], ""), (["gap", "gone"], "")],
    ids=["nothing is left", "no classes", "no such member"],
)
def test_a_blend_that_is_not_there(spec: Spec, members: list[str], correction: str) -> None:
    assert blend_spec(spec, members, study_of(spec).corrections.get(correction, [])) is None


def test_a_correction_whose_member_a_variant_has_not(spec: Spec) -> None:
    fewer = variant_of(spec, "fewer", 0)
    assert blend_spec(fewer, ["net+whole-image"], study_of(spec).corrections["image"]) is None
    assert blended(blend_spec(fewer, ["net+whole-image"], [])) == [("net+whole-image", True, 1)]


def test_a_lock_knows_no_study(spec: Spec, tmp_path: Path) -> None:
    settings = Settings(".", "cpu", 1, 1, 8, "32", 16, None, False)
    for name in (None, "fewer"):
        varied = variant_of(spec, name, 1)
        lock.write(tmp_path / "lock.yaml", varied, settings, {})
        again = load(tmp_path / "lock.yaml")
        assert again.resolved == varied.resolved
        assert "study" not in again.data


def test_a_study_need_not_fit_what_is_run(path: Path) -> None:
    changes = ["members=[{model: net, strategy: gap-mask}]", "postprocess=[]", "outputs=[table]"]
    with pytest.raises(SpecError, match="unknown member 'whole'"):
        load(path, settings=changes)
    assert load(path, settings=changes, study=False).members[0].name == "net+gap-mask"
    path.write_text(SPEC.replace("study:", "study: 5\nx:"), encoding="utf-8")
    with pytest.raises(SpecError, match="unknown key 'x'") as error:
        load(path, study=False)
    assert len(error.value.problems) == 1


def test_a_file_does_not_ask_for_any_number_of_variants(path: Path) -> None:
    many = "".join(f"    v{number}: [{'images.seed=1, ' * 33}]\n" for number in range(33))
    path.write_text(SPEC.replace("  variants:\n", f"  variants:\n{many}"), encoding="utf-8")
    messages = {problem.message for problem in problems_of(path)}
    assert "'variants' names 36, and takes at most 32" in messages
    assert "'v0' names 33, and takes at most 32" in messages
    assert len(messages) == 34


def test_defaults_are_those_that_the_page_tells(path: Path, root: Path) -> None:
    text = (root / "docs" / "writing-specs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", text.partition("| key of `study` |")[2], re.M)
    said = {key: yaml.safe_load(value.strip("`")) for key, value in rows[:8]}
    keys = study_schema()["properties"]
    assert said == {key: one["default"] for key, one in keys.items()}
    path.write_text(SPEC.partition("study:")[0] + "study: {}\n", encoding="utf-8")
    meant = dataclasses.asdict(study_of(load(path)))
    assert meant == said | {"comparisons": ()}
