"""Regions of feature maps, and pooling over them: the one primitive under Gap-Mask.

A region is a weight for every position of one image's feature map. A whole image is the region of
ones, so that training on images and prediction for cells run the same head.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hpazoo.errors import UsageError, did_you_mean
from hpazoo.gridding import Centres, grid_weights

Over = Literal["grid", "cell"]

_GATHERED = 1 << 20
"""Most feature values gathered at a time, so that memory does not grow with the regions."""
_DENSE = 4
"""Weights that a matrix product takes in, about, while a sum over entries takes in one."""


@dataclass(frozen=True, eq=False)
class Support:
    """Positions where regions weigh more than nothing, entry by entry, in the order of the regions.

    `region`, `image`, `position` (E,) int64 (row * w + column) and `weight` (E,) > 0; `counts` is
    the number of entries of each of the N regions. A pixel belongs to about one cell: E stays
    between one and two maps' worth however many cells there are.
    """

    region: Tensor
    image: Tensor
    position: Tensor
    weight: Tensor
    counts: list[int]

    @classmethod
    def of(cls, weights: Tensor, image: Tensor) -> Support:
        """Of weights (N, h, w) >= 0 and the image of each region (N,)."""
        flat = weights.flatten(1)
        region, position = flat.nonzero(as_tuple=True)
        counts = torch.bincount(region, minlength=len(flat)).tolist()
        return cls(region, image[region], position, flat[region, position], counts)

    def parts(self, width: int) -> Iterator[tuple[range, Support]]:
        """Cut between regions, so that entries times `width` values stay within a few megabytes.

        Gives the regions of a part and their entries, `region` counted from the part's first.
        """
        first = entry = 0
        while first < len(self.counts):
            last, size = first, 0
            while last < len(self.counts) and (
                last == first or (size + self.counts[last]) * width <= _GATHERED
            ):
                size += self.counts[last]
                last += 1
            cut = slice(entry, entry + size)
            yield (
                range(first, last),
                Support(
                    self.region[cut] - first,
                    self.image[cut],
                    self.position[cut],
                    self.weight[cut],
                    self.counts[first:last],
                ),
            )
            first, entry = last, entry + size


class Regions:
    """N weighted parts of the feature maps of a batch.

    Parameters
    ----------
    weights
        (N, h, w), each in [0, 1]: how much of each position of the grid belongs to the region.
    image
        (N,) whole numbers: the image of the batch each region lies in. Any order.
    cell
        (N,) whole numbers: the id of the cell; 0 stands for a whole image and is the default.
    over
        What a region is averaged over: the whole `grid`, as Gap-Mask was first done, or the area
        of the `cell` itself. Heads say what each means for them.
    """

    weights: Tensor
    image: Tensor
    cell: Tensor
    over: Over
    is_whole: bool
    """One region of ones per image, in order: pooling needs no weights."""

    def __init__(self, weights: Any, image: Any, cell: Any = None, over: str = "grid") -> None:
        weights = torch.as_tensor(weights)
        if weights.ndim != 3:
            raise UsageError(
                f"regions need weights of shape (N, h, w), not {tuple(weights.shape)}; "
                "for one region give weights[None]"
            )
        if not weights.is_floating_point():
            weights = weights.float()
        # Written so that NaN fails too; the slack is for weights that a resize has rounded.
        if weights.numel() and not (weights.min() >= 0 and weights.max() <= 1 + 1e-4):
            raise UsageError(
                f"weights of regions must lie in [0, 1]; these lie in "
                f"[{float(weights.min()):g}, {float(weights.max()):g}]"
            )
        self.weights = weights
        self.image = _indices(image, "image", weights)
        if len(weights) and int(self.image.min()) < 0:
            raise UsageError(f"image {int(self.image.min())} of a region is negative")
        self.cell = (
            torch.zeros_like(self.image) if cell is None else _indices(cell, "cell", weights)
        )
        self.over = _over(over)
        self.is_whole = False

    @classmethod
    def from_masks(
        cls,
        label_images: Iterable[Any],
        grid: tuple[int, int],
        over: str = "grid",
        *,
        centres: Centres | None = None,
    ) -> Regions:
        """All cells of label images (H, W), one per image of the batch, in the order of their ids.

        Label images may differ in size; each is cut into `grid` (h, w) parts, and every cell
        weighs the fraction of a part that it covers. No cell is lost, however small.

        The parts are equal, or with `centres`, ((first, step), (height, width)) in pixels of the
        network's image, each ends midway between its centre, `first` + i x `step`, and the next:
        see `hpazoo.gridding.Centres`.
        """
        if getattr(label_images, "ndim", 3) == 2:
            raise UsageError(
                "Regions.from_masks takes a list of label images, one per image of the batch; "
                "for one image give [labels]"
            )
        kind = _over(over)
        found = [grid_weights(np.asarray(labels), grid, centres) for labels in label_images]
        weights = [weights for _, weights in found] or [np.zeros((0, *grid), np.float32)]
        ids = [ids for ids, _ in found] or [np.zeros(0, np.int64)]
        image = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
        return cls._trusted(
            torch.from_numpy(np.concatenate(weights)),
            torch.from_numpy(image),
            torch.from_numpy(np.concatenate(ids)),
            kind,
        )

    @classmethod
    def whole(cls, batch: int, grid: tuple[int, int]) -> Regions:
        """The region of ones of each of `batch` images."""
        weights = torch.ones(1, 1, 1).expand(batch, *grid)
        return cls._trusted(
            weights, torch.arange(batch), torch.zeros(batch, dtype=torch.int64), "grid", True
        )

    @classmethod
    def _trusted(
        cls, weights: Tensor, image: Tensor, cell: Tensor, over: Over, is_whole: bool = False
    ) -> Regions:
        """Without the checks of the constructor, which wait for a GPU."""
        made = cls.__new__(cls)
        made.weights, made.image, made.cell = weights, image, cell
        made.over, made.is_whole = over, is_whole
        return made

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        height, width = self.grid
        return f"Regions({len(self)} on a grid of {height} x {width}, over={self.over!r})"

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid."""
        return self.weights.shape[1], self.weights.shape[2]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Regions:
        """The same regions on a device; `dtype` is that of the weights."""
        weights = self.weights.to(device, dtype or self.weights.dtype)
        if weights is self.weights and self.image.device == weights.device:
            return self
        return self._trusted(
            weights, self.image.to(device), self.cell.to(device), self.over, self.is_whole
        )

    @functools.cached_property
    def support(self) -> Support:
        """Where the weights are not 0; made once and shared by all that pool over the regions."""
        return Support.of(self.weights, self.image)

    @functools.cached_property
    def _images(self) -> int:
        return int(self.image.max()) + 1 if len(self) else 0

    def check(self, features: Tensor) -> None:
        """Refuse feature maps (B, F, h, w) that these regions do not lie on."""
        if features.ndim != 4:
            raise UsageError(f"feature maps are (B, F, h, w), not {tuple(features.shape)}")
        if tuple(features.shape[2:]) != self.grid:
            raise UsageError(
                "the regions lie on a grid of {} x {}, the feature maps on {} x {}; make them with "
                "grid=model.grid(height, width) of the images".format(
                    *self.grid, *features.shape[2:]
                )
            )
        if self._images > len(features):
            raise UsageError(
                f"a region lies in image {self._images - 1}, but the batch holds {len(features)} "
                "(they are counted from 0)"
            )

    def mean(self, features: Tensor) -> Tensor:
        """Mean of each region over feature maps (B, F, h, w) -> (N, F).

        `over: grid` sums feature * weight and divides by h * w, `over: cell` by the sum of the
        region's own weights. A region without weight gets 0.
        """
        if self.is_whole:
            return features.mean((2, 3))
        wide = torch.promote_types(features.dtype, torch.float32)
        weights = self.weights.flatten(1).to(wide)
        # Divided before the sum, which half precision could not hold.
        if self.over == "cell":
            total = weights.sum(1, keepdim=True).clamp(min=torch.finfo(wide).tiny)
        else:
            total = weights.new_tensor(weights.shape[1])
        if features.device.type == "cpu" and features.dtype == wide and self._is_sparse:
            return self._sums(features, total)
        shares = (weights / total).to(features.dtype)
        maps = features.flatten(2).transpose(1, 2)
        if len(features) == 1:
            return shares @ maps[0]
        order = torch.argsort(self.image, stable=True)
        counts = torch.bincount(self.image, minlength=len(features)).tolist()
        means = [
            rows @ one for rows, one in zip(torch.split(shares[order], counts), maps, strict=True)
        ]
        return torch.cat(means)[torch.argsort(order)]

    def max(self, features: Tensor) -> Tensor:
        """Largest feature * weight of each region over the whole grid of (B, F, h, w) -> (N, F).

        Positions outside a region count as 0, also where all its features are negative; a region
        that covers every position has no outside.
        """
        if self.is_whole:
            return features.amax((2, 3))
        channels, positions = features.shape[1], math.prod(self.grid)
        rows = _rows(features)
        largest = [features.new_zeros((0, channels))]
        for regions, part in self.support.parts(channels):
            values = rows.index_select(0, part.image * positions + part.position)
            values = values.mul_(part.weight.to(values.dtype)[:, None])
            outside = [0.0 if count < positions else -torch.inf for count in part.counts]
            floor = values.new_tensor(outside)[:, None].expand(len(regions), channels)
            index = part.region[:, None].expand_as(values)
            largest.append(floor.scatter_reduce(0, index, values, "amax"))
        return torch.cat(largest)

    @property
    def _is_sparse(self) -> bool:
        """Whether summing the few entries there are takes less time than a matrix product."""
        return len(self.support.position) * _DENSE < self.weights.numel()

    def _sums(self, features: Tensor, total: Tensor) -> Tensor:
        """Sum of feature * weight / `total` (N or 1, 1) of each region, entry by entry."""
        entries = self.support
        place = entries.image * math.prod(self.grid) + entries.position
        share = entries.weight.to(features.dtype) / total.expand(len(self), 1)[entries.region, 0]
        counts = torch.tensor(entries.counts)
        # A bag is a region; one without entries sums up to 0.
        return functional.embedding_bag(
            place, _rows(features), counts.cumsum(0) - counts, mode="sum", per_sample_weights=share
        )


def _rows(features: Tensor) -> Tensor:
    """Maps (B, F, h, w) -> a row for each position, (B * h * w, F), in memory too."""
    return features.permute(0, 2, 3, 1).flatten(0, 2).contiguous()


def _indices(values: Any, name: str, weights: Tensor) -> Tensor:
    indices = torch.as_tensor(values, device=weights.device)
    if indices.numel() == 0:
        indices = indices.to(torch.int64)
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise UsageError(f"'{name}' of regions must be whole numbers, not {indices.dtype}")
    if tuple(indices.shape) != (len(weights),):
        raise UsageError(
            f"there are {len(weights)} regions, so '{name}' must be of shape ({len(weights)},), "
            f"not {tuple(indices.shape)}"
        )
    return indices.to(torch.int64)


def _over(over: str) -> Over:
    if over not in get_args(Over):
        raise UsageError(
            f"regions are averaged over 'grid' or 'cell', not {over!r}"
            f"{did_you_mean(str(over), get_args(Over))}"
        )
    return over  # type: ignore[return-value]
