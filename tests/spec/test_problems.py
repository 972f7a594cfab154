from __future__ import annotations

import pytest

from hpazoo.errors import did_you_mean, hint
from hpazoo.spec.problems import Place, Problem, Source


def shown(line: str, column: int, length: int) -> tuple[str, str]:
    source = Source("t", (line,))
    rows = Problem("no", Place(source, 1, column, length), "").as_text().splitlines()
    return rows[2].removeprefix("1 | "), rows[3].removeprefix("  | ")


@pytest.mark.parametrize(
    ("line", "column", "length", "caret"),
    [
        ("abc", 2, 1, " ^"),
        ("abc", 4, 1, "   ^"),
        ("abc", 2, 0, " ^"),
        ("细胞 x", 4, 1, "     ^"),
        ("a细胞", 2, 2, " ^^^^"),
        ("🔬: x", 4, 1, "    ^"),
        ("e\u0301x", 3, 1, " ^"),
        ("\tx", 2, 1, " ^"),
    ],
)
def test_the_caret_stands_below(line: str, column: int, length: int, caret: str) -> None:
    assert shown(line, column, length)[1] == caret


def test_a_long_line_is_cut_and_its_caret_too() -> None:
    text, caret = shown("x" * 10_000, 1000, 9000)
    assert len(text) == len(caret) == 240
    assert caret == " " * 120 + "^" * 120


def test_a_length_of_nothing_is_one_for_programs() -> None:
    problem = Problem("no", Place(Source("t", ("a:",)), 1, 3, 0))
    assert problem.as_dict()["end_column"] == 4
    assert "endColumn=4" in problem.as_github()


def test_hints_pass_over_small_and_large_letters() -> None:
    assert hint("HPAZOO", ["hpazoo", "name"]) == "did you mean 'hpazoo'?"
    assert did_you_mean("HEADS", ["heads", "views"]) == "; did you mean 'heads'?"
    assert hint("a", ["A"]) == "did you mean 'A'?"
