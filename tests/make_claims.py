"""Put the numbers of a finished study into docs/claims.md.

`python -m tests.make_claims RUN AGAIN`: RUN is the folder of `hpazoo study benchmark-synthetic`,
and AGAIN that of the same with `--first 3`. Copies its tables and its picture to docs/claims/ and
writes the tables of the page anew, between its marks; what is said of them stays as it is and has
to be read again. For who maintains the docs.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PAGE, DATA = DOCS / "claims.md", DOCS / "claims"
FILES = ("comparisons.csv", "scores.csv", "classes.csv", "study.md", "study.png")
AGAIN = "other-seeds.csv"
"""Comparisons of the second study."""


def rows_of(name: str, folder: Path = DATA) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def signed(text: str) -> str:
    return f"{float(text):+.3f}"


def spanned(row: dict[str, str]) -> str:
    return f"{signed(row['difference'])} ({signed(row['low'])} to {signed(row['high'])})"


def claims() -> Iterator[str]:
    """A line per comparison."""
    yield (
        "| claim | one | other | difference (95 %) | each repeat | | other seeds "
        "| would refute it |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for row, again in zip(rows_of("comparisons.csv"), rows_of(AGAIN), strict=True):
        assert row["claim"] == again["claim"]
        one, other = f"{float(row['value_one']):.3f}", f"{float(row['value_other']):.3f}"
        span, other_span = spanned(row), spanned(again)
        each = ", ".join(map(signed, row["repeats"].split()))
        said = f"{row['verdict']} | {other_span}, {again['verdict']} | {row['refuted_by']}"
        yield f"| {row['claim']} | {one} | {other} | {span} | {each} | {said} |"


def arms() -> Iterator[str]:
    """A line per member and blend of the spec as it is written, with its corrections."""
    found = {r["arm"]: r for r in rows_of("scores.csv") if r["variant"] == "as-written"}
    names = [arm for arm in found if "," not in arm and arm not in ("chance", "promised", "fresh")]
    names = [arm for arm in names if arm != "the spec's own blend"]
    corrections = list(dict.fromkeys(arm.split(", ")[1] for arm in found if "," in arm))
    yield f"| arm | as it is (95 %) | {' | '.join(corrections)} | ms per field |"
    yield f"|---|---|{'---|' * len(corrections)}---|"
    for name in sorted(names, key=lambda arm: -float(found[arm]["value"])):
        row = found[name]
        value, low, high = (f"{float(row[key]):.3f}" for key in ("value", "low", "high"))
        cells = [found.get(f"{name}, {one}", {}).get("value", "") for one in corrections]
        shown = [f"{float(cell):.3f}" if cell else "" for cell in cells]
        cost = f"{float(row['ms_per_field']):.0f}" if row["ms_per_field"] else ""
        yield f"| {name} | {value} ({low} to {high}) | {' | '.join(shown)} | {cost} |"
    chance = float(found["chance"]["value"])
    yield f"| chance | {chance:.3f} |{' |' * len(corrections)} |"


def folds() -> Iterator[str]:
    """What folds promised, and what new plates gave."""
    yield "| labels and folds | promised | new plates gave | optimism, each repeat |"
    yield "|---|---|---|---|"
    rows = [r for r in rows_of("scores.csv") if r["metric"] == "image-map of labels"]
    found = {(r["variant"], r["arm"]): r for r in rows}
    for variant in ("clean random", "clean antibody", "noisy random", "noisy antibody"):
        promised, fresh = found[variant, "promised"], found[variant, "fresh"]
        pairs = zip(promised["repeats"].split(), fresh["repeats"].split(), strict=True)
        each = ", ".join(f"{float(one) - float(other):+.3f}" for one, other in pairs)
        values = (f"{float(row['value']):.3f}" for row in (promised, fresh))
        yield f"| {variant} | {' | '.join(values)} | {each} |"


def again() -> Iterator[str]:
    """Comparisons of which other seeds say something else."""
    yield "| claim | seeds of this page | | other seeds | |"
    yield "|---|---|---|---|---|"
    for row, other in zip(rows_of("comparisons.csv"), rows_of(AGAIN), strict=True):
        if row["verdict"] != other["verdict"]:
            sides = f"{spanned(row)} | {row['verdict']} | {spanned(other)} | {other['verdict']}"
            yield f"| {row['claim']} | {sides} |"


TABLES = {"claims": claims, "arms": arms, "folds": folds, "again": again}


def page(text: str) -> str:
    """The page with the tables of docs/claims/ between its marks."""
    for name, table in TABLES.items():
        lines = "\n".join(table())
        pattern = re.compile(rf"(<!-- table: {name} -->\n)(?:\|[^\n]*\n)*(<!-- end -->)")
        text, count = pattern.subn(lambda m, new=lines: f"{m[1]}{new}\n{m[2]}", text)
        if count != 1:
            raise SystemExit(f"{PAGE}: expected one table '{name}', found {count}")
    return text


def main() -> None:
    DATA.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(Path(sys.argv[1]) / name, DATA / name)
    shutil.copyfile(Path(sys.argv[2]) / "comparisons.csv", DATA / AGAIN)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
