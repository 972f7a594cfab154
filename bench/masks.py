"""Label images: submission strings, boxes and areas."""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Iterator

import numpy as np

from bench import naive
from bench.material import Material
from bench.measure import Effort, Goal, Result, Way, WrongAnswerError, interleaved, same
from hpazoo.fields import Cells
from hpazoo.geometry import cells_of
from hpazoo.rle import encode_cells, submission_string


def strings(labels: np.ndarray) -> list[str]:
    """Submission strings of all cells, as the writer makes them."""
    return [submission_string(counts) for counts in encode_cells(labels)]


def submission(material: Material, effort: Effort) -> Iterator[Result]:
    """Label image -> base64 of zlib of run lengths, cell by cell.

    Floor: zlib and base64 of run lengths that are there.
    """
    for count in (30,) if effort.quick else (30, 150):
        labels = material.labels(count)
        counts = encode_cells(labels)
        wanted = [naive.encode(labels == i) for i in naive.cell_ids(labels)]
        if counts != wanted:
            raise WrongAnswerError("counts: differ from those of pycocotools")
        if strings(labels) != naive.submission_strings(labels):
            raise WrongAnswerError("strings: differ from naive's")
        ways: dict[str, Way] = {
            "naive": functools.partial(naive.submission_strings, labels),
            "ours": functools.partial(strings, labels),
            "floor": functools.partial(_packed, counts),
        }
        times = interleaved(ways, effort.rounds)
        yield Result(
            "submission",
            f"N = {count}",
            times.median("naive"),
            times.median("ours"),
            times.median("floor"),
            times.ratio("naive", "ours"),
            Goal(">=", 25) if count == 30 else None,
            "counts equal to pycocotools, strings equal",
        )


def _packed(counts: list[bytes]) -> list[str]:
    return [base64.b64encode(zlib.compress(one, 9)).decode() for one in counts]


def boxes(material: Material, effort: Effort) -> Iterator[Result]:
    """Boxes, areas and border flags of all cells.

    Floor: telling each pixel from its neighbour.
    """
    for count in (30,) if effort.quick else (30, 150):
        labels = material.labels(count)
        flat = labels.ravel()
        checked = compare_boxes(cells_of(labels), naive.boxes(labels))
        ways: dict[str, Way] = {
            "naive": functools.partial(naive.boxes, labels),
            "ours": functools.partial(cells_of, labels),
            "floor": lambda: np.not_equal(flat[1:], flat[:-1]),  # noqa: B023
        }
        times = interleaved(ways, effort.rounds)
        yield Result(
            "boxes",
            f"N = {count}",
            times.median("naive"),
            times.median("ours"),
            times.median("floor"),
            times.ratio("naive", "ours"),
            Goal(">=", 5),
            checked,
        )


def compare_boxes(cells: Cells, wanted: list[naive.Box]) -> str:
    """A word that all are equal; WrongAnswerError where they are not."""
    same(cells.ids, [one.id for one in wanted], "ids")
    same(cells.boxes, [one.box for one in wanted], "boxes")
    same(cells.areas, [one.area for one in wanted], "areas")
    same(cells.touches_border, [one.touches_border for one in wanted], "border flags")
    return "ids, boxes, areas, flags equal"
