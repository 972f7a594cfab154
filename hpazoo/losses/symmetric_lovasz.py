"""A hinge that aims at the overlap of what is called and what is true."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from hpazoo.losses import losses
from hpazoo.losses._batch import check_classes
from hpazoo.losses._multilabel import symmetric_lovasz


@losses.register
class SymmetricLovasz:
    """Lovasz hinge of positives and of negatives, the mean of both: a stand-in for the Jaccard.

    The convex extension of 1 - Jaccard index to the hinge errors 1 - y x, y = +1 or -1 and x the
    logit, once for the set of positives and once for that of negatives; of an empty set it is the
    largest error. Berman et al. 2018, arXiv:1705.08790; symmetric as in
    CellProfiling/HPA-competition-solutions, bestfitting, `layers/loss.py`.

    Parameters
    ----------
    per
        What makes a set: `class`, the images of a batch that show a class, as bestfitting did (few
        images make poor sets); `image`, the classes that an image shows, whatever the batch. The
        mean over the sets is taken.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, classes: int, *, per: Literal["class", "image"] = "class") -> None:
        check_classes("symmetric-lovasz", classes, 1, "classes")
        self.per = per

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, classes) -> a scalar."""
        return symmetric_lovasz(logits, targets, self.per)
