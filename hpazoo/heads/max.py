"""Maximum pooling and one layer."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from hpazoo.heads import heads
from hpazoo.heads._pooled import PooledHead
from hpazoo.parameters import Range
from hpazoo.regions import Regions


@heads.register
class Max(PooledHead):
    """Classify the maximum of each feature with one linear layer.

    The maximum is that of feature * weight over the whole grid with `over: grid` and `over: cell`
    alike, so that positions outside the region count as 0 and a region without weight has a
    maximum of 0. The embedding is the maximum, as many values as there are features. Oquab et al.
    2015, "Is object localization for free?".

    Parameters
    ----------
    dropout
        Share of the maxima set to 0 before the layer, in training only.
    """

    def __init__(
        self, features: int, classes: int, *, dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0
    ) -> None:
        super().__init__(features, classes, dropout)

    def pool(self, features: Tensor, regions: Regions) -> Tensor:
        """Feature map (B, F, h, w), N regions -> maximum of each (N, F)."""
        return regions.max(features)
