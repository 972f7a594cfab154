"""An embedding and its cosines with a centre per class: bestfitting's metric learning of 2018."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpazoo.heads import heads
from hpazoo.parameters import Range
from hpazoo.regions import Regions


@heads.register
class Arcface(nn.Module):
    """Mean and maximum of each feature -> an embedding -> its cosine with the centre of each class.

    `over` means for mean and maximum what it means for `avg-max`. The embedding is what the last
    batch norm gives; it has no fixed length. Logits are cosines, in [-1, 1]: the margin and the
    scale of ArcFace are training's and belong to its loss. With no classes at all the head gives
    embeddings, and logits (N, 0). Deng et al. 2019, arXiv:1801.07698; used so in
    CellProfiling/HPA-competition-solutions, bestfitting, `networks/resnet_ml.py`, whose dropout
    stays on at test time: here it acts in training only.

    Parameters
    ----------
    hidden
        Width of the layer between the pooled features and the embedding.
    embedding
        Length of the embedding.
    dropout
        Share of the hidden layer set to 0 before the embedding, in training only; half as much of
        the pooled features before the hidden layer.
    """

    needs: ClassVar[tuple[str, ...]] = ("feature-map",)
    gives: ClassVar[tuple[str, ...]] = ("regions",)

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        hidden: Annotated[int, Range(ge=1)] = 2048,
        embedding: Annotated[int, Range(ge=1)] = 512,
        dropout: Annotated[float, Range(ge=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bn1 = nn.BatchNorm1d(2 * features)
        self.fc1 = nn.Linear(2 * features, hidden)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc2 = nn.Linear(hidden, embedding)
        self.bn3 = nn.BatchNorm1d(embedding)
        bound = 1 / math.sqrt(embedding)
        self.weight = nn.Parameter(torch.empty(classes, embedding).uniform_(-bound, bound))

    def forward(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Feature map (B, F, h, w), N regions -> cosines (N, classes), embedding (N, d)."""
        regions.check(features)
        pooled = torch.cat([regions.mean(features), regions.max(features)], dim=1)
        values = functional.dropout(self.bn1(pooled), self.dropout / 2, self.training)
        values = self.bn2(functional.relu(self.fc1(values)))
        values = functional.dropout(values, self.dropout, self.training)
        embedding: Tensor = self.bn3(self.fc2(values))
        with torch.autocast(embedding.device.type, enabled=False):
            # a loss multiplies differences of cosines by its scale: too fine for halves
            cosines = _directions(embedding) @ _directions(self.weight).T
        return cosines.to(embedding.dtype) if not self.training else cosines, embedding


def _directions(rows: Tensor) -> Tensor:
    """Rows of length 1, in single precision at least: halves cannot hold the squares."""
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return functional.normalize(wide)
