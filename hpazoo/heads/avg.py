"""Average pooling and one layer: the usual end of an image classifier."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from hpazoo.heads import heads
from hpazoo.heads._pooled import PooledHead
from hpazoo.parameters import Range
from hpazoo.regions import Regions


@heads.register
class Avg(PooledHead):
    """Classify the mean of each feature with one linear layer.

    `over: grid` takes the mean of feature * weight over the whole grid, `over: cell` over the
    region's own weight; a region without weight has a mean of 0. The embedding is the mean, as
    many values as there are features. Lin et al. 2014, arXiv:1312.4400; the end of torchvision's
    ResNets, and so of pudae's ResNet-34 (pudae/kaggle-hpa).

    Parameters
    ----------
    dropout
        Share of the means set to 0 before the layer, in training only.
    """

    def __init__(
        self, features: int, classes: int, *, dropout: Annotated[float, Range(ge=0, lt=1)] = 0.0
    ) -> None:
        super().__init__(features, classes, dropout)

    def pool(self, features: Tensor, regions: Regions) -> Tensor:
        """Feature map (B, F, h, w), N regions -> mean of each (N, F)."""
        return regions.mean(features)
