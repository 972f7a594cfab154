"""Every block of docs/writing-specs.md is run; shown outputs are compared, numbers excepted."""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
import yaml

import hpazoo
from hpazoo.classes import class_list, has_map, lost_in_map
from hpazoo.cli.run_command import command as run_command
from hpazoo.readers import readers
from hpazoo.recipe import Recipe
from hpazoo.runner.stages import STAGES
from hpazoo.spec import load
from hpazoo.spec.catalog import components
from hpazoo.spec.strict_yaml import plain_scalar
from tests.docs.pages import DOCS, Block, blocks_of, cli, commands, files_of, shows, where

TEXT = (DOCS / "writing-specs.md").read_text(encoding="utf-8")

BLOCKS = blocks_of(TEXT)
SPECS = [b for b in BLOCKS if b.language == "yaml" and b.mark not in ("invalid", "workflow")]
INVALID = [b for b in BLOCKS if b.mark == "invalid"]
CONSOLE = [b for b in BLOCKS if b.language == "console"]
(WORKFLOW,) = [b for b in BLOCKS if b.mark == "workflow"]
FILES = files_of(BLOCKS)


def merged(fragment: str) -> str:
    """The page's base spec with some keys replaced; members of models that are gone go too."""
    changes = yaml.safe_load(fragment)
    kept = [
        part
        for part in re.split(r"^(?=\S)", FILES["base.yaml"], flags=re.M)
        if part.partition(":")[0] not in changes
    ]
    return "".join(kept) + fragment


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's specs, images of somebody and weights of a small network."""
    folder = tmp_path_factory.mktemp("home")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "specs").mkdir()
    for block in SPECS:
        whole = "hpazoo: 1" in block.text
        text = block.text if whole else merged(block.text)
        (folder / "specs" / f"line-{block.line}.yaml").write_text(text, encoding="utf-8")
        if "fold-*.pth" in block.text:
            (folder / "mapped.yaml").write_text(text, encoding="utf-8")
            config = yaml.safe_load(block.text)["models"]["dense-v1.0"]
    images = folder / "my-images"
    images.mkdir()
    reader = readers.build({"type": "synthetic", "fields": 2, "size": 256}, folder)
    for number, field_id in enumerate(reader.ids(), start=1):
        field = reader.read(field_id)
        for channel, plane in zip(("red", "green", "blue", "yellow"), field.pixels, strict=True):
            if (number, channel) != (2, "green"):
                cv2.imwrite(str(images / f"sample_{number}_{channel}.png"), plane)
    parts = {key: config[key] for key in ("backbone", "head", "input")}
    for fold in ("1", "2"):
        model = hpazoo.build_model(parts, config["classes"])
        torch.save(model.state_dict(), folder / f"fold-{fold}.pth")
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    monkeypatch.chdir(home)
    yield
    signal.signal(signal.SIGTERM, before)
    torch.set_num_threads(threads)


def test_no_block_is_left_out() -> None:
    shown = [block for block in BLOCKS if block.language == "text"]
    assert len(SPECS) + len(INVALID) + len(CONSOLE) + 2 + len(shown) == len(BLOCKS)
    assert len(shown) == len(INVALID) > 2
    assert TEXT.count("```") == 2 * len(BLOCKS)


def test_one_tiff_becomes_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    planes = np.arange(4, dtype=np.uint16)[:, None, None] + np.zeros((4, 128, 128), np.uint16)
    tifffile.imwrite(tmp_path / "raw" / "mine.tif", planes, photometric="minisblack")
    (block,) = [block for block in BLOCKS if block.language == "python"]
    exec(block.text, {})
    reader = readers.build(
        {"type": "hpa-files", "root": "my-images", "intensity": "none"}, tmp_path
    )
    assert reader.read("mine").pixels[:, 0, 0].tolist() == [2, 1, 0, 3]


@pytest.mark.parametrize("block", SPECS, ids=where)
def test_specs_are_fine(block: Block) -> None:
    load(f"specs/line-{block.line}.yaml")


@pytest.mark.parametrize("block", INVALID, ids=where)
def test_messages(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = block.after.partition(":")[0]
    Path(name).write_text(block.text, encoding="utf-8")
    code, said = cli(["hpazoo", "validate", name])
    assert said == block.after
    assert code == 2
    marks = cli(["hpazoo", "validate", "--format", "github", name])[1].splitlines()
    places = re.findall(rf"^{name}:(\d+):(\d+)", said, re.M)
    assert len(marks) == len(places)
    for mark, (line, column) in zip(marks, places, strict=True):
        assert mark.startswith(f"::error file={name},line={line},col={column},")


@pytest.mark.parametrize("block", CONSOLE, ids=where)
def test_commands(block: Block) -> None:
    code = 0
    for words, shown in commands(block):
        if words[0] == "echo":
            assert shown == f"{code}\n"
            continue
        assert words[0] == "hpazoo"
        if block.mark == "not run":
            given = run_command.make_context("run", words[2:]).params
            load(given["spec"], settings=given["settings"], images=given["images"])
            continue
        code, said = cli(words)
        assert shows(said, shown), said


def test_the_workflow() -> None:
    (line,) = re.findall(r"run: (hpazoo .+)", WORKFLOW.text)
    words = line.split()
    assert words.pop() == "specs/*.yaml"
    words += sorted(map(str, Path("specs").glob("*.yaml")))
    assert len(words) > 5
    assert cli(words) == (0, "")
    (step,) = [s for s in yaml.safe_load(WORKFLOW.text)["steps"] if "hpazoo v" in s.get("run", "")]
    assert step["run"] == line


def test_scalars() -> None:
    kinds = {"a number": (int, float), "true or false": bool, "empty": type(None), "text": str}
    section = TEXT.partition("## What YAML means here")[2].partition("##")[0]
    rows = re.findall(r"^\| (`.+) \| (.+) \|$", section, re.M)
    assert [kind for _, kind in rows] == list(kinds)
    for row, kind in rows:
        for text in re.findall(r"`(.+?)`", row):
            assert isinstance(plain_scalar(text), kinds[kind]), text


def test_columns() -> None:
    """All columns are explained, in their order."""
    assert cli(["hpazoo", "run", "base.yaml", "--random-weights", "--quiet"]) == (0, "")
    section = TEXT.partition("\n## Blend")[2].partition("\n## ")[0]
    tables = re.findall(r"\| column \| \|\n\|---\|---\|\n((?:\|.+\n)+)", section)
    classes = list(class_list("hpa-2021").names)
    for table, name in zip(tables, ("predictions", "fields"), strict=True):
        said: list[str] = []
        for row in table.splitlines():
            said += re.findall(r"`(\w+)`", row.split(" | ")[0]) or classes
        header = Path("runs", "base", f"{name}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header.split(",") == said
    (names,) = re.findall(r"`submission.csv`: (.+)\.$", section, re.M)
    options = ["--random-weights", "--quiet", "--set", "outputs=[kaggle-submission]"]
    assert cli(["hpazoo", "run", "base.yaml", "--out", "runs/kaggle", *options]) == (0, "")
    header = Path("runs", "kaggle", "submission.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == re.findall(r"`(\w+)`", names)


def test_lost_classes_are_counted() -> None:
    """`Three classes ... are lost and one ... is never predicted`."""
    lost, never = lost_in_map(class_list("hpa-2018"), class_list("hpa-2021"))
    assert (len(lost), len(never)) == (3, 1)
    assert not has_map("hpa-2021", "hpa-2018")


def test_all_keys_of_train_are_there_with_their_defaults() -> None:
    section = TEXT.partition("| key of `train` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.M)
    said = {name: plain_scalar(default.strip("`")) for name, default in rows}
    fields = {field.name: field.default for field in dataclasses.fields(Recipe)}
    assert said == fields
    losses = re.search(r"\| `loss` \| (.+?) \| or (.+?) \|", section)
    assert losses is not None
    named = re.findall(r"`([\w-]+)`", losses[1] + losses[2])
    assert sorted(named) == sorted(components("losses"))


@pytest.mark.parametrize("kind", ["splitters", "ensembles", "segmenters", "metrics"])
def test_all_components_are_named(kind: str) -> None:
    built_in = [name for name, one in components(kind).items() if one.provider == "hpazoo"]
    missing = [name for name in built_in if not re.search(rf"[`\[ ]{name}[`,\]}} ]", TEXT)]
    assert len(built_in) > 3
    assert not missing


def test_the_stages_are_those_of_a_run() -> None:
    section = TEXT.partition("\n## Stages\n")[2].partition("\n## ")[0]
    said = re.search(r"A run walks (.+?);", section)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == list(STAGES)
