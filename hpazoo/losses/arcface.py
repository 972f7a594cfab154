"""Groups kept apart by an angle: metric learning."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from hpazoo.losses import losses
from hpazoo.losses._batch import check_batch, check_classes, wide
from hpazoo.parameters import Range

_LEAST = 1e-7
"""Square of a sine from which its root has a slope: the step of a float32 just below 1."""


@losses.register
class Arcface:
    """Cross entropy over the groups, the angle to an image's own centre made `margin` larger.

    For a head that gives cosines: cos(angle + margin) in place of the own group's, all times
    `scale`, softmax, -log of the own group's share, the mean over the images. Where angle + margin
    would pass half a turn, and its cosine rise again, cos(angle) - margin sin(margin) takes its
    place: the wronger, the larger. Deng et al. 2019, arXiv:1801.07698.
    CellProfiling/HPA-competition-solutions, bestfitting, `layers/loss.py` has it so too, and takes
    the mean of this and the cross entropy of the plain cosines.

    Parameters
    ----------
    margin
        In radians.
    scale
        What the cosines are multiplied by.
    """

    needs: ClassVar[tuple[str, ...]] = ("groups",)

    def __init__(
        self,
        classes: int,
        *,
        margin: Annotated[float, Range(ge=0, le=1.5)] = 0.5,
        scale: Annotated[float, Range(gt=0, le=1000)] = 30.0,
    ) -> None:
        check_classes("arcface", classes, 2, "groups")
        self.margin = margin
        self.scale = scale

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cosines (B, groups) and numbers (B,) int64 of the own groups -> a scalar."""
        check_batch(logits, targets, (len(logits),))
        cosines, own = wide(logits), targets[:, None]
        cosine = cosines.gather(1, own)
        # Rounding takes cosines to 1 and beyond, where a sine has no slope and then no value.
        sine = (1 - cosine.square()).clamp(min=_LEAST).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        passed = cosine - self.margin * math.sin(self.margin)
        widened = torch.where(cosine > -math.cos(self.margin), turned, passed)
        return functional.cross_entropy(self.scale * cosines.scatter(1, own, widened), targets)
