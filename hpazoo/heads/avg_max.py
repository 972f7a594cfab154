"""Average and maximum side by side, then two layers: bestfitting's head of 2018."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpazoo.heads import heads
from hpazoo.heads._linear import Linear
from hpazoo.parameters import Range
from hpazoo.regions import Regions


@heads.register
class AvgMax(nn.Module):
    """Concatenate the mean and the maximum of each feature, then classify with one hidden layer.

    `over: grid` takes the mean of feature * weight over the whole grid, `over: cell` over the
    region's own weight; the maximum is that of feature * weight in both, 0 outside the region.
    The embedding is the hidden layer after its batch norm, as many values as there are features
    (1024 for DenseNet-121). CellProfiling/HPA-competition-solutions, bestfitting.

    Parameters
    ----------
    dropout
        Share of values set to 0 before each of the two layers, in training only.
    """

    needs: ClassVar[tuple[str, ...]] = ("feature-map",)
    gives: ClassVar[tuple[str, ...]] = ("regions",)

    def __init__(
        self, features: int, classes: int, *, dropout: Annotated[float, Range(ge=0, lt=1)] = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bn1 = nn.BatchNorm1d(2 * features)
        self.fc1 = Linear(2 * features, features)
        self.bn2 = nn.BatchNorm1d(features)
        self.logit = nn.Linear(features, classes)

    def forward(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Feature map (B, F, h, w), N regions -> logits (N, classes), embedding (N, F)."""
        regions.check(features)
        if not regions.is_whole:  # both gather positions, whose features should lie side by side
            features = features.contiguous(memory_format=torch.channels_last)
        pooled = torch.cat([regions.mean(features), regions.max(features)], dim=1)
        hidden = functional.dropout(self.bn1(pooled), self.dropout, self.training)
        embedding: Tensor = self.bn2(functional.relu(self.fc1(hidden)))
        logits: Tensor = self.logit(functional.dropout(embedding, self.dropout, self.training))
        return logits, embedding
