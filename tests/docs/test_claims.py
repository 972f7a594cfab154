"""What docs/claims.md says is what the study of the shipped spec found."""

from __future__ import annotations

import re
from pathlib import Path

import hpazoo
from hpazoo.spec.study import study_of
from tests.make_claims import DATA, PAGE, page, rows_of


def test_tables_are_those_of_the_study() -> None:
    """Made by `python -m tests.make_claims RUN`."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


def test_the_study_is_that_of_the_shipped_spec() -> None:
    """Whoever changes what is claimed runs the study again."""
    study = study_of(hpazoo.load("benchmark-synthetic"))
    rows = rows_of("comparisons.csv")
    assert [row["claim"] for row in rows] == [one.claim for one in study.comparisons]
    assert all(len(row["repeats"].split()) == study.repeats for row in rows)
    told = {row["variant"] for row in rows_of("scores.csv")}
    assert told == {"as-written", *study.variants}


def test_verdicts_follow_from_the_numbers() -> None:
    for row in rows_of("comparisons.csv"):
        low, high = float(row["low"]), float(row["high"])
        each = [float(value) for value in row["repeats"].split()]
        if low > 0 and min(each) > 0:
            expected = "confirmed"
        elif high < 0 and max(each) < 0:
            expected = "refuted"
        else:
            expected = "not confirmed"
        assert row["verdict"] == expected, row["claim"]


def test_the_gates_hold() -> None:
    """Where they do not, nothing else on the page means anything, and it must say so."""
    verdict = {row["claim"]: row["verdict"] for row in rows_of("comparisons.csv")}
    assert verdict["Labels of cells teach such a network the drawn patterns"] == "confirmed"
    assert verdict["Labels of fields teach it a good deal of them"] == "confirmed"
    ceiling = [row for row in rows_of("classes.csv") if row["variant"] == "on cells"]
    ceiling = [row for row in ceiling if row["arm"] == "crop-network" and row["value"]]
    assert len(ceiling) == 19
    weak = sorted(row["class"] for row in ceiling if float(row["value"]) < 0.3)
    text = PAGE.read_text(encoding="utf-8")
    (told,) = re.findall(r"^Classes below \.3 with labels of cells: (.+)\.$", text, re.MULTILINE)
    assert told == (", ".join(weak) or "none")


def test_its_files_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((claims/[^)]+)\)", text):
        assert (Path(DATA).parent / name).is_file(), name
