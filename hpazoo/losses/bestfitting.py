"""What the team bestfitting minimised in 2018."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hpazoo.losses import losses
from hpazoo.losses._batch import check_classes
from hpazoo.losses._multilabel import focal, hard_log, symmetric_lovasz


@losses.register
class Bestfitting:
    """Half of `focal`, half of `symmetric-lovasz` and half of `hard-log`, added up.

    With the defaults of each (gamma 2, sets per class). CellProfiling/HPA-competition-solutions,
    bestfitting, `layers/loss.py`: `FocalSymmetricLovaszHardLogLoss`.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, classes: int) -> None:
        check_classes("bestfitting", classes, 1, "classes")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, classes) -> a scalar."""
        parts = focal(logits, targets, 2.0), symmetric_lovasz(logits, targets)
        return (parts[0] + parts[1] + hard_log(logits, targets)) / 2
