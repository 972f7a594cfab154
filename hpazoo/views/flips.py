"""Four flips of a view."""

from __future__ import annotations

from typing import Literal

from hpazoo.views import views
from hpazoo.views._turns import FLIPS, TurnedViews


@views.register
class Flips(TurnedViews):
    """Show each view as it is, upside down, left to right, and both: four passes of the network.

    The label image turns with the pixels, so that every cell is pooled where it then lies. Used so
    by the 2018 teams (pudae/kaggle-hpa, CellProfiling/HPA-competition-solutions).

    Parameters
    ----------
    blend
        Whether a cell gets the mean of its probabilities or the largest.
    """

    turns = FLIPS

    def __init__(self, *, blend: Literal["mean", "max"] = "mean") -> None:
        super().__init__(blend=blend)
