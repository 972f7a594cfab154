"""Losses of images that may show several locations: what components of this kind share.

A target between 0 and 1, from smoothing or from mixed images, counts as that share of a positive
image and the rest of a negative one. All take logits and targets (B, classes) of any floating type
and reckon in single precision at least.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from hpazoo.losses._batch import check_batch, wide

HARD_LEAST = 2
"""Negatives of a class that count however few there are."""


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Targets with a share of each replaced by one half: 0 -> s / 2, 1 -> 1 - s / 2.

    Szegedy et al. 2016, arXiv:1512.00567, section 7, with two outcomes per class.
    """
    return targets * (1 - smoothing) + smoothing / 2 if smoothing else targets


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of every image and class, (B, classes)."""
    logits, targets = _checked(logits, targets)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p of every outcome, weighted by the outcome's share; a scalar.

    Summed over the classes, the mean over the images.
    """
    logits, targets = _checked(logits, targets)
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    # powers by way of logarithms: the power of a probability that became 0 has no gradient
    each = targets * (gamma * no).exp() * yes + (1 - targets) * (gamma * yes).exp() * no
    return -each.sum(dim=1).mean()


def symmetric_lovasz(
    logits: Tensor, targets: Tensor, per: Literal["class", "image"] = "class"
) -> Tensor:
    """Mean of the Lovasz hinges of (logits, targets) and of (-logits, 1 - targets); a scalar.

    Each class is a set of images, or each image a set of classes; the mean over the sets is taken.
    """
    logits, targets = _checked(logits, targets)
    if per == "image":
        logits, targets = logits.mT, targets.mT
    # Each item twice: as the positive and as the negative that it has a share of. A positive of one
    # hinge is a negative of the other and has the same error there, so one order serves both.
    shares = torch.cat([targets, 1 - targets])
    errors, order = torch.cat([1 - logits, 1 + logits]).sort(dim=0, descending=True, stable=True)
    counted = shares.gather(0, order)
    first = order < len(logits)
    positive, negative = counted * first, counted * ~first
    steps = _jaccard_steps(positive, negative) + _jaccard_steps(negative, positive)
    return (errors.relu() * steps).sum(dim=0).mean() / 2


def _jaccard_steps(inside: Tensor, outside: Tensor) -> Tensor:
    """How much each next wrong item adds to the Jaccard distance from the set: (n, sets).

    Items lie inside the set with one share and outside with another. When the first k are wrong,
    with shares a and b in all, the distance is (a + b) / (size of the set + b). Berman et al. 2018,
    arXiv:1705.08790, algorithm 1.
    """
    wrong_inside, wrong_outside = inside.cumsum(dim=0), outside.cumsum(dim=0)
    union = inside.sum(dim=0) + wrong_outside
    # nothing in the union: nothing is wrong yet
    distance = (wrong_inside + wrong_outside) / torch.where(union > 0, union, 1)
    return distance.diff(dim=0, prepend=torch.zeros_like(distance[:1]))


def hard_log(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the classes of the mean cross entropy of positives and hardest negatives.

    Of n negatives (target 0) beside p others, those with the highest logits count:
    min(n, p + max(2, n / 2), 2 + 7 n / 10), rounded down.
    """
    each = cross_entropies(logits, targets)
    positive = targets > 0
    shown = positive.sum(dim=0)
    absent = len(targets) - shown
    most = torch.minimum(shown + (absent // 2).clamp(min=HARD_LEAST), HARD_LEAST + absent * 7 // 10)
    ranked = wide(logits.detach()).masked_fill(positive, -torch.inf)
    order = ranked.argsort(dim=0, descending=True, stable=True)
    place = order.argsort(dim=0)  # of each image among the negatives
    counts = positive | (place < torch.minimum(most, absent))
    return ((each * counts).sum(dim=0) / counts.sum(dim=0)).mean()


def _checked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    check_batch(logits, targets, tuple(logits.shape))
    logits = wide(logits)
    return logits, targets.to(logits.dtype)
