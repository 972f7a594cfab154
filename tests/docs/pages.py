"""Pages whose blocks are run: how they are read, and what their examples work on."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hpazoo.cli import main

DOCS = Path(__file__).parents[2] / "docs"
HOME = "/home/me"

_LABELS = ("0|16", "2", "7|16", "14", "16", "18")
"""Of the antibodies of `train.csv`, in turn: numbers of hpa-2021."""
_ANTIBODIES, _FIELDS, _SIZE = 24, 2, 64


class Block(NamedTuple):
    line: int
    mark: str
    language: str
    text: str
    after: str


def blocks_of(text: str) -> list[Block]:
    """Blocks of a page, each with its mark and with the block that follows at once."""
    pattern = re.compile(r"(?:<!-- (.+?) -->\n)?^```(\w+)\n(.*?)^```\n", re.M | re.S)
    blocks = []
    for match in pattern.finditer(text):
        follower = pattern.match(text, match.end())
        line = text.count("\n", 0, match.start(2)) + 1
        after = follower[3] if follower else ""
        blocks.append(Block(line, match[1] or "", match[2], match[3], after))
    return blocks


def files_of(blocks: list[Block]) -> dict[str, str]:
    """Files that a page shows, by name."""
    return {b.mark.removeprefix("file: "): b.text for b in blocks if b.mark.startswith("file: ")}


def where(block: Block) -> str:
    return f"line-{block.line}"


def commands(block: Block) -> list[tuple[list[str], str]]:
    """(words, output shown) of each line of a console block that begins with `$`."""
    parts = re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.M)[1:]
    lines = [part.partition("\n") for part in parts]
    return [(shlex.split(line, comments=True), shown) for line, _, shown in lines]


def cli(words: list[str]) -> tuple[int, str]:
    """Exit code and all that was said of a command, in this process."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words[1:])
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return code, said.getvalue().replace(str(Path.cwd()), HOME)


def plain(text: str) -> list[str]:
    """Rows to compare: processors round differently, so numbers, and how wide they are, are out."""
    rows = [re.sub(r"\d*\.?\d+", "#", row) for row in text.strip().splitlines()]
    return [" ".join(row.split()) for row in rows]


def shows(said: str, shown: str) -> bool:
    """Whether an output is the one shown; a row `...` stands for any rows."""
    rows: Iterator[str] = iter(plain(said))
    gap = False
    for wanted in plain(shown):
        if wanted == "...":
            gap = True
            continue
        found = next((row for row in rows if row == wanted or not gap), None)
        if found != wanted:
            return False
        gap = False
    return gap or next(rows, None) is None


def labelled_images(folder: Path) -> None:
    """`train.csv`, and its images in `train`: two fields of a well of each of some antibodies."""
    images = folder / "train"
    images.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["ID", "Label"])
        for number in range(_ANTIBODIES):
            antibody, plate = 1001 + number, 7 + number // 12
            well = f"{'ABC'[number % 3]}{1 + number % 12}"
            for place in range(1, 1 + _FIELDS):
                name = f"{antibody}_{plate}_{well}_{place}"
                rows.writerow([name, _LABELS[number % len(_LABELS)]])
                for channel in ("red", "green", "blue", "yellow"):
                    plane = rng.integers(0, 256, (_SIZE, _SIZE), dtype=np.uint8)
                    cv2.imwrite(str(images / f"{name}_{channel}.png"), plane)
