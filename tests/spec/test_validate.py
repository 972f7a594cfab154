"""`hpazoo validate` with several files, some of which cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpazoo.cli import main

BAD = "hpazoo: 1\nclasses: hpa-2021\nmodels: {}\n"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    return [str(tmp_path / name) for name in ("none.yaml", "folder", "bad.yaml", "x" * 5000)]


def code(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as stop:
        main(["validate", *arguments])
    return stop.value.code


def test_text(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert code([*files, "quickstart"]) == 2
    shown = capsys.readouterr()
    assert shown.out.endswith("quickstart.yaml: fine\n")
    blocks = shown.err.split("\n\n")
    assert len(blocks) == 4
    assert blocks[0].startswith(f"{files[0]}:1:1: no spec '{files[0]}'")
    assert blocks[1].startswith(f"{files[1]}:1:1: {files[1]} is a folder")
    assert blocks[2].startswith(f"{files[2]}:3:9: 'models' is empty")


def test_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert code([*files, "--format", "json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [problem["file"] for problem in found] == files
    assert (found[0]["line"], found[0]["column"], found[0]["end_column"]) == (1, 1, 2)


def test_github(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert code([*files, "--format", "github"]) == 2
    assert len(capsys.readouterr().out.splitlines()) == len(files)
