"""What heads that pool once and classify with one layer share."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from hpazoo.regions import Regions


class PooledHead(nn.Module):
    """One number per feature and region, dropout, one linear layer `logit`."""

    needs: ClassVar[tuple[str, ...]] = ("feature-map",)
    gives: ClassVar[tuple[str, ...]] = ("regions",)

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.logit = nn.Linear(features, classes)

    def pool(self, features: Tensor, regions: Regions) -> Tensor:
        """Feature map (B, F, h, w), N regions -> (N, F)."""
        raise NotImplementedError

    def forward(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Feature map (B, F, h, w), N regions -> logits (N, classes), embedding (N, F)."""
        regions.check(features)
        embedding = self.pool(features, regions)
        logits: Tensor = self.logit(functional.dropout(embedding, self.dropout, self.training))
        return logits, embedding
