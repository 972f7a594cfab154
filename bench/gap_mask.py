"""Gap-Mask beside its backbone, and its attention head and grid weights alone."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import naive
from bench.material import CELLS, Material
from bench.measure import (
    Effort,
    Goal,
    Result,
    Spread,
    Way,
    interleaved,
    once,
    peak_memory,
    same,
)
from bench.networks import CONFIGS, case
from hpazoo.gridding import grid_weights
from hpazoo.models import Model
from hpazoo.regions import Regions
from hpazoo.runner.prepare import prepare

MEMORY = Goal("<=", 15, "MB")
LOGITS = 1e-4
"""Share of the largest logit by which two orders of summation may differ."""
WEIGHTS = 1e-6
OVERS = ("grid", "cell")
PREPARED = (60, 150)
"""Numbers of cells that are held against the prepared backbone too: the most of each goal."""


def _extra(model: Model, features: Tensor, labels: np.ndarray, over: str) -> Tensor:
    """All that Gap-Mask does beside the backbone: logits of all cells of a field."""
    grid = (features.shape[2], features.shape[3])
    with torch.inference_mode():
        return model.read(features, Regions.from_masks([labels], grid, over))[0]


def _peak(model: Model, features: Tensor, labels: np.ndarray, over: str) -> float:
    """Megabytes of `_extra` at its peak, one step after the other: regions stay, the rest goes."""
    grid = (features.shape[2], features.shape[3])
    make = functools.partial(Regions.from_masks, [labels], grid, over)
    made = make()
    kept = sum(one.numel() * one.element_size() for one in (made.weights, made.image, made.cell))

    def read() -> Tensor:
        # Anew, since regions remember what pooling has asked of them.
        with torch.inference_mode():
            return model.read(features, Regions(made.weights, made.image, made.cell, over))[0]

    return max(peak_memory(make), kept / 1e6 + peak_memory(read))


def _naive(model: Model, features: Tensor, labels: np.ndarray, over: str = "grid") -> Tensor:
    head: Any = model.head
    read = naive.attention if hasattr(head, "attention") else naive.avg_max
    with torch.inference_mode():
        grid = (features.shape[2], features.shape[3])
        return read(head, features, torch.from_numpy(naive.grid_weights(labels, grid)), over)


def whole(material: Material, effort: Effort) -> Iterator[Result]:
    """Backbone, and all that is done beside it for 10 to 150 cells, in both readings of `over`.

    The ratio is that of the slower reading. Naive is one call, that of the comparison. The backbone
    is as `build_model` gives it, and again made ready as a run does, which is the faster floor.
    """
    for name in CONFIGS:
        if effort.quick and "768" not in name:
            yield Result("gap-mask", name, skipped="left out by --quick")
            continue
        model, images = case(name)
        with torch.inference_mode():
            features = model.features(images)
        cells = {n: material.narrow(n) for n in CELLS}
        ready = copy.deepcopy(model)
        prepare(ready, "cpu")
        with torch.inference_mode():
            same(ready.features(images), features, "prepared features", LOGITS)
        ways: dict[str, Way] = {
            "backbone": functools.partial(_backbone, model, images),
            "prepared": functools.partial(_backbone, ready, images),
        }
        for n, labels in cells.items():
            for over in OVERS:
                ways[f"{n} {over}"] = functools.partial(_extra, model, features, labels, over)
        # Once a round each, so that the extra work finds the caches that a backbone leaves.
        times = interleaved(ways, effort.rounds, least=0)
        for n, labels in cells.items():
            wanted, slow = once(functools.partial(_naive, model, features, labels))
            checked = same(ways[f"{n} grid"](), wanted, "logits", LOGITS)
            same(ways[f"{n} cell"](), _naive(model, features, labels, "cell"), "over cell", LOGITS)
            over = max(OVERS, key=lambda over: times.median(f"{n} {over}"))
            for floor in ("backbone", "prepared") if n in PREPARED else ("backbone",):
                backbone = times.median(floor)
                yield Result(
                    "gap-mask",
                    f"{name}{', prepared' * (floor == 'prepared')}, N = {n}",
                    backbone + slow,
                    backbone + times.median(f"{n} {over}"),
                    backbone,
                    times.total_over(floor, f"{n} {over}"),
                    Goal("<=", 1.02 if n <= 60 else 1.03),
                    f"{checked}; timed over {over}",
                )
        most = max(CELLS)
        peaks = [_peak(model, features, cells[most], over) for over in OVERS]
        before = peak_memory(functools.partial(_naive, model, features, cells[30]))
        value = max(peaks)
        yield Result(
            "gap-mask",
            f"{name}, N = {most}: extra memory",
            ours=value,
            ratio=Spread(value, value, value),
            goal=MEMORY,
            check=f"naive at N = 30: {before:.0f} MB",
            unit="MB",
        )


def _backbone(model: Model, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.features(images)


def attention_head(material: Material, effort: Effort) -> Iterator[Result]:
    """The head alone, weights given: Inception's map of 2048 x 30 x 30 and 30 cells.

    Floor: the same head on the whole image. Ours gives embeddings too, naive does not. A notebook
    has the map as torch makes it (channels first), a run has it channels last, which is the better
    layout for both: the second line gives that to naive too.
    """
    model, _ = case("inception-v3 1024 px")
    generator = torch.Generator().manual_seed(3)
    first = torch.rand((1, 2048, 30, 30), generator=generator)
    last = first.contiguous(memory_format=torch.channels_last)
    _, made = grid_weights(material.narrow(30), (30, 30))
    weights, image = torch.from_numpy(made), torch.zeros(len(made), dtype=torch.int64)

    def ours() -> Tensor:
        # Regions anew each time: what they know of themselves is part of the work.
        with torch.inference_mode():
            return model.read(last, Regions(weights, image))[0]

    def slow(features: Tensor) -> Tensor:
        with torch.inference_mode():
            return naive.attention(model.head, features, weights)

    def floor() -> Tensor:
        with torch.inference_mode():
            return model.read(last)[0]

    ways: dict[str, Way] = {
        "as made": functools.partial(slow, first),
        "channels last": functools.partial(slow, last),
        "ours": ours,
        "floor": floor,
    }
    checked = same(ours(), slow(first), "logits", LOGITS)
    times = interleaved(ways, effort.rounds)
    for layout in ("as made", "channels last"):
        yield Result(
            "attention-head",
            f"N = 30, naive's map {layout}",
            times.median(layout),
            times.median("ours"),
            times.median("floor"),
            times.ratio(layout, "ours"),
            Goal(">=", 50),
            checked,
        )


def weights(material: Material, effort: Effort) -> Iterator[Result]:
    """Weights on the feature grid from a label image of 150 cells.

    Floor: telling each pixel from its neighbour, which finding runs cannot do without.
    """
    labels = material.narrow(150)
    flat = labels.ravel()
    for side in (24, 30, 16):
        grid = (side, side)
        ways: dict[str, Way] = {
            "naive": functools.partial(naive.grid_weights, labels, grid),
            "ours": functools.partial(grid_weights, labels, grid),
            "floor": lambda: np.not_equal(flat[1:], flat[:-1]),
        }
        ids, found = grid_weights(labels, grid)
        same(ids, naive.cell_ids(labels), "ids")
        exact = 0.0 if labels.shape[0] % side == 0 else WEIGHTS
        checked = same(found, naive.grid_weights(labels, grid), "weights", exact)
        times = interleaved(ways, effort.rounds)
        yield Result(
            "grid-weights",
            f"grid {side} x {side}, N = 150",
            times.median("naive"),
            times.median("ours"),
            times.median("floor"),
            times.ratio("naive", "ours"),
            Goal(">=", 100),
            checked,
        )
        if effort.quick:
            return
