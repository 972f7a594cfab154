"""Bad specs and the exact messages they get, through Python and the command line.

`python -m tests.spec.test_golden` writes the `.err` files anew; read the difference before you
commit it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpazoo.cli import main
from hpazoo.spec import load, problems_of
from hpazoo.spec.problems import SpecError, as_text

FOLDER = Path(__file__).parent.parent / "specs"
INVALID = sorted((FOLDER / "invalid").glob("*.yaml"))
VALID = sorted((FOLDER / "valid").glob("*.yaml"))


def ids(path: Path) -> str:
    return path.stem


def message(path: Path) -> str:
    return as_text(problems_of(path)).replace(str(path), path.name) + "\n"


@pytest.mark.parametrize("path", INVALID, ids=ids)
def test_message(path: Path) -> None:
    assert message(path) == path.with_suffix(".err").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", INVALID, ids=ids)
def test_command_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["validate", str(path)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.replace(str(path), path.name) == message(path)


@pytest.mark.parametrize("path", INVALID, ids=ids)
def test_json_has_the_same_problems(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["validate", str(path), "--format", "json"])
    assert stop.value.code == 2
    found = json.loads(capsys.readouterr().out)
    assert [(p["line"], p["column"], p["message"]) for p in found] == [
        (p.place.line, p.place.column, p.message) for p in problems_of(path)
    ]


@pytest.mark.parametrize("path", INVALID, ids=ids)
def test_github_has_one_line_a_problem(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["validate", str(path), "--format", "github"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(problems_of(path))
    assert all(line.startswith("::error file=") and ",line=" in line for line in lines)


@pytest.mark.parametrize("path", INVALID, ids=ids)
def test_python_raises_with_problems(path: Path) -> None:
    with pytest.raises(SpecError) as error:
        load(path)
    assert error.value.problems


@pytest.mark.parametrize("path", VALID, ids=ids)
def test_valid(path: Path) -> None:
    assert problems_of(path) == []


def test_every_expectation_belongs_to_a_spec() -> None:
    expectations = {path.stem for path in (FOLDER / "invalid").glob("*.err")}
    assert expectations == {path.stem for path in INVALID}


if __name__ == "__main__":
    for file in INVALID:
        file.with_suffix(".err").write_text(message(file), encoding="utf-8")
