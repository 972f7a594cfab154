"""Binary cross entropy."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor

from hpazoo.losses import losses
from hpazoo.losses._batch import check_classes
from hpazoo.losses._multilabel import cross_entropies, smoothed
from hpazoo.parameters import Range


@losses.register
class Bce:
    """Binary cross entropy of each class, the mean over classes and images.

    -t log p - (1 - t) log(1 - p), p the sigmoid of the logit, t the target, in [0, 1].

    Parameters
    ----------
    smoothing
        Share of each target that is replaced by one half: labels are not always right.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self, classes: int, *, smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0
    ) -> None:
        check_classes("bce", classes, 1, "classes")
        self.smoothing = smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, classes) -> a scalar."""
        return cross_entropies(logits, smoothed(targets, self.smoothing)).mean()
