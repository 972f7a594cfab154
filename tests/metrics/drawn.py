"""Fields judged, made of random numbers: ties, missing scores, masks without truth and the like."""

from __future__ import annotations

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.metrics import Judged

CLASSES = ClassList("mine", ("a", "b", "c", "d", "nothing"))
"""No true cell has the last."""


def drawn(number: int, seed: int, levels: int = 12) -> list[Judged]:
    """`number` fields with up to 7 cells; scores of `levels` values, so that many are equal.

    No IoU of a field stands there twice: which of two equal ones is taken hangs on their order.
    """
    rng = np.random.default_rng(seed)
    fields = []
    for index in range(number):
        n, m = rng.integers(0, 8, 2) if index else (4, 4)
        truth = rng.random((m, len(CLASSES))) < 0.35
        truth[:, -1] = False
        scores = rng.integers(0, levels, (n, len(CLASSES))) / levels
        scores[rng.random(scores.shape) < 0.15] = np.nan
        iou, box_iou = (
            np.where(rng.random((n, m)) < 0.5, rng.random((n, m)), 0.0) for _ in range(2)
        )
        fields.append(Judged(f"field-{index}", scores, truth, iou, box_iou))
    return fields
