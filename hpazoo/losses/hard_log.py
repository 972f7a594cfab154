"""Cross entropy of the images that a class is hardest to tell in."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hpazoo.losses import losses
from hpazoo.losses._batch import check_classes
from hpazoo.losses._multilabel import hard_log


@losses.register
class HardLog:
    """Binary cross entropy of all positives and the hardest negatives of each class in a batch.

    A class has n images with a target of 0 and p others in the batch. All p count, and of the n
    those with the highest logits: min(n, p + max(2, n / 2), 2 + 7 n / 10), rounded down. The mean
    over the images that count, then over the classes. Depends on the batch: half of the negatives
    is a choice only where there are several. CellProfiling/HPA-competition-solutions, bestfitting,
    `layers/hard_example.py`.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, classes: int) -> None:
        check_classes("hard-log", classes, 1, "classes")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, classes) -> a scalar."""
        return hard_log(logits, targets)
