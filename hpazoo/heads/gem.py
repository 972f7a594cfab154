"""Generalised mean pooling and one layer."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from hpazoo.heads import heads
from hpazoo.heads._attention import largest, rows, total
from hpazoo.heads._pooled import PooledHead
from hpazoo.parameters import Range
from hpazoo.regions import Regions


@heads.register
class Gem(PooledHead):
    """Classify the generalised mean of each feature, (mean of x^p)^(1/p), with one linear layer.

    p = 1 is the mean, a large p comes near the maximum. `over: grid` takes x = feature * weight
    and the mean over the whole grid; `over: cell` takes x = feature and the mean weighted by the
    region's weights. In both x is at least `eps`, so that negative features count as next to
    nothing and a region without weight has a mean of `eps`. The embedding is the generalised mean,
    as many values as there are features. Radenovic et al. 2018, arXiv:1711.02512, equation 3.

    Parameters
    ----------
    power
        The exponent p, or where it begins.
    learn
        Learn p, one for all features.
    eps
        Smallest value of a feature that is counted as it is.
    dropout
        Share of the means set to 0 before the layer, in training only.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        power: Annotated[float, Range(ge=1, le=100)] = 3.0,
        learn: bool = True,
        eps: Annotated[float, Range(gt=0, le=1)] = 1e-6,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__(features, classes, dropout)
        self.power = power
        self.eps = eps
        self.p = nn.Parameter(torch.full((1,), float(power))) if learn else None

    def pool(self, features: Tensor, regions: Regions) -> Tensor:
        """Feature map (B, F, h, w), N regions -> generalised mean of each (N, F).

        Sums of powers are taken as logarithms, beside the largest term: x^p itself leaves the
        range of numbers soon.
        """
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        power = wide.new_tensor([self.power]) if self.p is None else self.p.to(wide.dtype)
        if regions.is_whole:
            terms = power * wide.clamp(min=self.eps).log().flatten(2)
            log_mean = terms.logsumexp(2) - math.log(terms.shape[2])
        else:
            log_mean = self._log_mean(rows(wide), power, regions)
        return (log_mean / power).exp().to(features.dtype)

    def _log_mean(self, values: Tensor, power: Tensor, regions: Regions) -> Tensor:
        """Logarithm of the mean of x^p of each region, from a row per position: (N, F)."""
        positions = regions.grid[0] * regions.grid[1]
        nothing = power * math.log(self.eps)
        found = [values.new_zeros((0, values.shape[1]))]
        for _, part in regions.support.parts(values.shape[1]):
            x = values[part.image * positions + part.position]
            weight = part.weight.to(x.dtype)[:, None]
            counts = torch.tensor(part.counts, device=x.device)[:, None]
            if regions.over == "grid":
                terms = power * (x * weight).clamp(min=self.eps).log()
                missing = (positions - counts).to(x.dtype)
                whole = x.new_tensor(float(positions))
            else:
                # A region without weight is one position with nothing at it.
                terms = power * x.clamp(min=self.eps).log() + weight.log()
                missing = (counts == 0).to(x.dtype)
                whole = total(weight, part) + missing
            # No smaller than the term of a position outside, whose share below is then at most 1.
            top = largest(terms, part, nothing.detach().expand(1, 1))
            rest = missing * (nothing - top).exp()
            mean = (total((terms - top[part.region]).exp(), part) + rest) / whole
            found.append(mean.log() + top)
        return torch.cat(found)
