"""Cross entropy that looks away from what is known already."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor

from hpazoo.losses import losses
from hpazoo.losses._batch import check_classes
from hpazoo.losses._multilabel import focal, smoothed
from hpazoo.parameters import Range


@losses.register
class Focal:
    """Binary cross entropy in which an outcome of probability p counts (1 - p)^gamma.

    Summed over the classes, the mean over the images, as bestfitting did: about as many times the
    size of `bce` as there are classes. -(t (1 - p)^gamma log p + (1 - t) p^gamma log(1 - p)), p the
    sigmoid of the logit, t the target, in [0, 1]. Lin et al. 2017, arXiv:1708.02002, without
    alpha; CellProfiling/HPA-competition-solutions, bestfitting, `layers/loss.py`, which weights
    targets between 0 and 1 in another way.

    Parameters
    ----------
    gamma
        0 is cross entropy; the larger, the less count images that are right already.
    smoothing
        Share of each target that is replaced by one half: labels are not always right.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        classes: int,
        *,
        gamma: Annotated[float, Range(ge=0, le=100)] = 2.0,
        smoothing: Annotated[float, Range(ge=0, lt=1)] = 0.0,
    ) -> None:
        check_classes("focal", classes, 1, "classes")
        self.gamma = gamma
        self.smoothing = smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, classes) -> a scalar."""
        return focal(logits, smoothed(targets, self.smoothing), self.gamma)
