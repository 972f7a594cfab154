"""Gridify's views beside the template way, and beside the network that sees them."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from bench import naive
from bench.material import Material
from bench.measure import Effort, Goal, Result, Spread, Way, interleaved, same
from bench.networks import CONFIGS, case
from hpazoo.fields import Field, Input
from hpazoo.geometry import cells_of
from hpazoo.strategies.gridify import Gridify

CROP = 512
INPUT = Input(768, "hpa-2018")
SIDE = 384
"""Of a view: two crops of 512 px at 768 / 2048."""
SNAP = 8
LINEAR = Goal(">=", 2)


def _views(strategy: Gridify, field: Field, labels: np.ndarray) -> np.ndarray:
    return np.stack([view.pixels for view in strategy.views(field, labels, INPUT)])


def _count(strategy: Gridify, field: Field, labels: np.ndarray) -> int:
    """One view in memory at a time, as in a run."""
    return sum(1 for _ in strategy.views(field, labels, INPUT))


def snapped_boxes(boxes: np.ndarray) -> np.ndarray:
    """Boxes whose crops begin at the multiples of SNAP that are nearest to the exact corners.

    For cells that a crop holds, as those of 2048 px fields with 30 cells are; a corner is moved to
    the other side where the crop would lose a part of its cell.
    """
    moved = boxes.copy()
    for row, (y0, x0, y1, x1) in zip(moved, boxes.tolist(), strict=True):
        for axis, (start, stop) in enumerate(((y0, y1), (x0, x1))):
            first, last = start, stop - CROP
            row[axis] = _nearest(first, last, first)
            row[axis + 2] = _nearest(last, last, first) + CROP
    return moved


def _nearest(origin: int, low: int, high: int) -> int:
    below = origin // SNAP * SNAP
    both = sorted((below, below + SNAP), key=lambda place: abs(place - origin))
    return next((place for place in both if low <= place <= high), both[0])


def views(material: Material, effort: Effort) -> Iterator[Result]:
    """All views of a field of 30 cells, four crops of 512 px to a view of 384 px, linear.

    Both find crops in the field; naive is given the boxes, ours looks for them in the label image.
    Floor: resizing templates that are there, four channels of 1024 x 1024 px side by side.
    """
    field, labels = material.field, material.labels(30)
    boxes = cells_of(labels).boxes
    stacked = np.ascontiguousarray(field.pixels.transpose(1, 2, 0))
    square = np.ascontiguousarray(stacked[: 2 * CROP, : 2 * CROP])
    yield Result(
        "gridify",
        "area, N = 30",
        goal=Goal(">=", 1.4),
        skipped="hpazoo resizes linearly, as the 2018 teams did; there is no area way",
    )
    for name, strategy, corners in (
        ("linear, N = 30", Gridify(), boxes),
        (f"linear, snap {SNAP}, N = 30", Gridify(snap=SNAP), snapped_boxes(boxes)),
    ):
        template = functools.partial(naive.gridify, stacked, corners.tolist(), CROP, SIDE)
        checked = same(_views(strategy, field, labels), template(), "views")
        ways: dict[str, Way] = {
            "naive": template,
            "ours": functools.partial(_count, strategy, field, labels),
            "floor": functools.partial(_resize, square, len(boxes)),
        }
        times = interleaved(ways, effort.rounds)
        ours = times.median("ours")
        yield Result(
            "gridify",
            name,
            times.median("naive"),
            ours,
            times.median("floor"),
            times.ratio("naive", "ours"),
            LINEAR,
            checked,
        )
    network = next(iter(CONFIGS))
    model, images = case(network)
    images = images[:, :, :SIDE, :SIDE].contiguous(memory_format=torch.channels_last)

    def look() -> None:
        with torch.inference_mode():
            model(images)

    exact = functools.partial(_count, Gridify(), field, labels)
    times = interleaved({"ours": exact, "network": look}, effort.rounds, least=0)
    pairs = zip(times.seconds["ours"], times.seconds["network"], strict=True)
    share = Spread.of([100 * a / (len(boxes) * b) for a, b in pairs])
    yield Result(
        "gridify",
        f"linear, share of {network.split()[0]}",
        ours=times.median("ours"),
        floor=len(boxes) * times.median("network"),
        ratio=share,
        goal=Goal("<=", 5, "%"),
        check="floor: the network on 30 views",
    )


def _resize(square: np.ndarray, count: int) -> None:
    for _ in range(count):
        cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
