"""The eight flips and quarter turns of a view."""

from __future__ import annotations

from typing import Literal

from hpazoo.views import views
from hpazoo.views._turns import D4, TurnedViews


@views.register
class D4Views(TurnedViews):
    """Show each view in all eight flips and quarter turns of a square: eight passes.

    Those of a view that is not square exchange its height and width. The label image turns with the
    pixels. bestfitting took the largest of eight such probabilities, pudae the mean
    (CellProfiling/HPA-competition-solutions, pudae/kaggle-hpa).

    Parameters
    ----------
    blend
        Whether a cell gets the mean of its probabilities or the largest.
    """

    turns = D4

    def __init__(self, *, blend: Literal["mean", "max"] = "mean") -> None:
        super().__init__(blend=blend)
