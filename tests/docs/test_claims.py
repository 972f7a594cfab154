"""What docs/claims.md says is what the study of the shipped spec found."""

from __future__ import annotations

import re
from pathlib import Path

import hpazoo
from hpazoo.spec.study import study_of
from tests.make_claims import AGAIN, DATA, PAGE, page, rows_of


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


GATES = (
    "Labels of cells teach such a network the drawn patterns",
    "Labels of fields teach it a good deal of them",
)


def test_the_gates_hold() -> None:
    """Where they do not, nothing else on the page means anything, and it must say so."""
    verdict = {row["claim"]: row["verdict"] for row in rows_of("comparisons.csv")}
    assert {gate: verdict[gate] for gate in GATES} == dict.fromkeys(GATES, "confirmed")


def test_differences_in_the_text_are_those_of_the_study() -> None:
    """As `+.046 (+.020 to +.076)`."""
    known = set()
    for row in (*rows_of("comparisons.csv"), *rows_of(AGAIN)):
        values = [f"{float(row[key]):+.3f}" for key in ("difference", "low", "high")]
        known.add(tuple(value.replace("0.", ".") for value in values))
    number = r"([+-]\.\d{3})"
    told = re.findall(rf"{number} \({number} to {number}\)", PAGE.read_text(encoding="utf-8"))
    assert len(told) > 15
    assert [one for one in told if one not in known] == []


def test_verdicts_in_short_are_those_of_both_studies() -> None:
    """A row is known by its two differences: `confirmed twice`, or `refuted, then not ...`."""

    def spans(name: str) -> list[str]:
        rows = rows_of(name)
        values = [
            [f"{float(row[key]):+.3f}" for key in ("difference", "low", "high")] for row in rows
        ]
        return [f"{d} ({low} to {high})".replace("0.", ".") for d, low, high in values]

    verdicts = [[row["verdict"] for row in rows_of(name)] for name in ("comparisons.csv", AGAIN)]
    pairs = list(zip(spans("comparisons.csv"), spans(AGAIN), strict=True))
    known = dict(zip(pairs, zip(*verdicts, strict=True), strict=True))
    text = PAGE.read_text(encoding="utf-8").split("## In short")[1].split("## How")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line]
    told = [row for row in rows if len(row) == 4 and row[2][:1] in "+-" and row[2][1:2] == "."]
    assert len(told) > 20
    for claim, said, first, second in told:
        one, other = known[first, second]
        plain = said.replace("*", "")
        if one == other:
            assert re.match(rf"{one},? twice", plain), claim
        else:
            assert plain.startswith((f"{one}, then {other}", f"{one}, then not;")), claim


def test_what_other_seeds_say() -> None:
    """Numbers of the sentences below the heading."""
    pairs = list(zip(rows_of("comparisons.csv"), rows_of(AGAIN), strict=True))
    sure = [(one, other) for one, other in pairs if one["verdict"] != "not confirmed"]
    same = [one for one, other in sure if one["verdict"] == other["verdict"]]
    signed = [
        one
        for one, other in sure
        if one["verdict"] != other["verdict"]
        and float(one["difference"]) * float(other["difference"]) > 0
    ]
    rest = [other for one, other in pairs if one["verdict"] == "not confirmed"]
    told = [other for other in rest if other["verdict"] != "not confirmed"]
    text = " ".join(PAGE.read_text(encoding="utf-8").split("## Once more")[1].split())
    found = re.search(
        r"Of the (\d+) claims that were confirmed or refuted, (\d+) were again, (\d+) kept their "
        r"sign, (\d+) did not. Of the (\d+) others (\d+) became confirmed or refuted",
        text,
    )
    assert found
    contrary = len(sure) - len(same) - len(signed)
    expected = [len(sure), len(same), len(signed), contrary, len(rest), len(told)]
    assert list(map(int, found.groups())) == expected


def weak_classes() -> list[str]:
    """Those that labels of cells do not teach."""
    ceiling = [row for row in rows_of("classes.csv") if row["variant"] == "on cells"]
    ceiling = [row for row in ceiling if row["arm"] == "crop-network" and row["value"]]
    assert len(ceiling) == 19
    return sorted(row["class"] for row in ceiling if float(row["value"]) < 0.3)


def test_the_page_names_classes_that_were_not_learned() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (told,) = re.findall(r"^Classes below \.3 with labels of cells: (.+)\.$", text, re.MULTILINE)
    assert told == (", ".join(weak_classes()) or "none")


def test_classes_that_were_not_learned_decide_nothing() -> None:
    """Without them every difference that was confirmed or refuted lies on the same side."""
    weak = weak_classes()
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows_of("classes.csv"):
        if row["value"]:
            of_arm = values.setdefault((row["variant"], row["arm"]), {})
            of_arm[row["class"]] = float(row["value"])

    def mean(arm: tuple[str, str], but: list[str]) -> float:
        kept = [value for name, value in values[arm].items() if name not in but]
        return sum(kept) / len(kept)

    moved = [0.0]
    for row in rows_of("comparisons.csv"):
        one, other = (row["variant"], row["one"]), (row["against_variant"], row["other"])
        if one not in values or other not in values:
            continue
        difference, without = (mean(one, but) - mean(other, but) for but in ([], weak))
        moved.append(abs(difference - without))
        if row["verdict"] != "not confirmed":
            assert difference * without > 0, row["claim"]
    assert len(moved) > 40
    assert max(moved) < 0.02


def test_its_files_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((claims/[^)]+)\)", text):
        assert (Path(DATA).parent / name).is_file(), name
