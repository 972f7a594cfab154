"""Attention over positions: pudae's head of 2018."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from hpazoo.heads import heads
from hpazoo.heads._attention import AttentionPooling, bins, largest, rows, total
from hpazoo.parameters import Range
from hpazoo.regions import Regions, Support


@heads.register
class Attention(AttentionPooling):
    """Average the logits of all positions, weighted by a softmax of attention, class by class.

    `over: grid` scales the features by the region's weights and runs the softmax over all
    positions: those outside count with the biases. `over: cell` leaves the features as they are
    and averages logits by attention * weight within the region. A region without weight gets the
    bias of the logits. The original has no embedding; here it is the region's mean feature (F,),
    over the whole grid or over its own weight. pudae/kaggle-hpa, `models/model_factory.py`.

    Parameters
    ----------
    grid
        Average maps of any other size to grid x grid positions first (30 is what Inception v3
        gives at 1024 px): weighted features with `over: grid`, features and weights apart with
        `over: cell`. Without it, maps are used as they are.
    """

    needs: ClassVar[tuple[str, ...]] = ("feature-map",)
    gives: ClassVar[tuple[str, ...]] = ("regions", "auxiliary-logits")

    def __init__(
        self, features: int, classes: int, *, grid: Annotated[int, Range(ge=1)] | None = None
    ) -> None:
        super().__init__(features, classes)
        self.classes = classes
        self.grid = grid
        self.auxiliary: AttentionPooling | None = None

    def add_auxiliary(self, features: int) -> None:
        """Add a second head, for training, on an auxiliary map of so many features."""
        self.auxiliary = AttentionPooling(features, self.classes)

    def auxiliary_logits(self, maps: Tensor) -> Tensor:
        """Auxiliary map (B, F, h, w) of any grid -> logits (B, classes) of whole images."""
        if self.auxiliary is None:
            raise RuntimeError("this head has no auxiliary part; its backbone has no auxiliary map")
        return self.auxiliary.whole(*self.auxiliary.maps(maps)).to(maps.dtype)

    def forward(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Feature map (B, F, h, w), N regions -> logits (N, classes), embedding (N, F)."""
        regions.check(features)
        logit, attention = self.maps(features)
        if regions.is_whole:
            logits = self.whole(self._pool(logit), self._pool(attention))
        elif regions.over == "cell":
            logits = self._over_cell(self._pool(logit), self._pool(attention), regions)
        else:
            logits = self._over_grid(logit, attention, regions)
        return logits.to(features.dtype), regions.mean(features)

    def _target(self, grid: tuple[int, int]) -> tuple[int, int]:
        return (self.grid, self.grid) if self.grid else grid

    def _pool(self, maps: Tensor) -> Tensor:
        target = self._target((maps.shape[2], maps.shape[3]))
        same = tuple(maps.shape[2:]) == target
        return maps if same else functional.adaptive_avg_pool2d(maps, target)

    def _support(self, regions: Regions) -> Support:
        """Where regions have weight on the grid that the softmax runs over."""
        if self._target(regions.grid) == regions.grid:
            return regions.support
        return Support.of(self._pool(regions.weights[None])[0], regions.image)

    def _over_cell(self, logit: Tensor, attention: Tensor, regions: Regions) -> Tensor:
        """Mean logit (N, classes) of the positions of each region, by attention * weight."""
        bias, attention_bias = self.biases(logit.dtype)
        positions = logit.shape[2] * logit.shape[3]
        logit, attention = rows(logit), rows(attention) + attention_bias
        found = [logit.new_zeros((0, self.classes))]
        for _, part in self._support(regions).parts(self.classes):
            place = part.image * positions + part.position
            score = attention[place]
            top = largest(score, part, score.new_tensor(-torch.inf))
            share = (score - top[part.region]).exp() * part.weight.to(score.dtype)[:, None]
            # The largest term is the weight itself; only a region without positions sums up to 0.
            whole = total(share, part).clamp(min=torch.finfo(share.dtype).tiny)
            found.append(total(share * logit[place], part) / whole + bias)
        return torch.cat(found)

    def _over_grid(self, logit: Tensor, attention: Tensor, regions: Regions) -> Tensor:
        """Softmax over all positions; those outside a region are all alike: counted, not listed.

        A 1 x 1 convolution of map * weight is (convolution of the map) * weight, and averaging
        commutes with both, so that the convolutions run once per image.
        """
        bias, attention_bias = self.biases(logit.dtype)
        height, width = regions.grid
        target = self._target(regions.grid)
        down, down_share = bins(height, target[0], logit)
        across, across_share = bins(width, target[1], logit)
        logit, attention = rows(logit), rows(attention)
        weights = regions.weights.flatten(1).to(logit.dtype)
        found = [logit.new_zeros((0, self.classes))]
        for which, part in self._support(regions).parts(self.classes):
            row, column = part.position // target[1], part.position % target[1]
            score, value = attention_bias, logit.new_zeros(())
            for i in range(down.shape[1]):
                for j in range(across.shape[1]):
                    place = down[row, i] * width + across[column, j]
                    share = down_share[row, i] * across_share[column, j]
                    share = (share * weights[which.start + part.region, place])[:, None]
                    place = part.image * (height * width) + place
                    score = score + share * attention[place]
                    value = value + share * logit[place]
            outside = target[0] * target[1] - torch.tensor(part.counts, device=score.device)
            outside = outside[:, None]
            # With nothing outside, the bias is no bound: next to it all scores might vanish.
            top = largest(score, part, attention_bias.where(outside > 0, -torch.inf))
            rest = outside * (attention_bias - top).where(outside > 0, 0).exp()
            share = (score - top[part.region]).exp()
            whole = total(share, part) + rest
            found.append(total(share * value, part) / whole + bias)
        return torch.cat(found)
