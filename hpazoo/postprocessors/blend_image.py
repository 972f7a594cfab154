"""Cells hear what a member says of their whole field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.parameters import MemberName, Range
from hpazoo.postprocessors import Seen, postprocessors
from hpazoo.probability import LEAST


@postprocessors.register
class BlendImage:
    """Mix every cell's probabilities p with those q that a member gives, mostly of the whole field.

    `arithmetic`: p' = (1 - w) p + w q. `geometric`: p' = p^(1 - w) q^w, which at w = .5 ranks cells
    as the product p q does; p and q below 1e-7 count as 1e-7. Image-level answers are more certain
    where the cells of a field are alike, and blind to how they differ. The member is for this
    alone: it takes no part in the ensemble.

    Parameters
    ----------
    member
        Whose answers are mixed in: a member with `strategy: whole-image`, as a rule.
    weight
        Its share w.
    mean
        Which of the two formulas.
    """

    def __init__(
        self,
        classes: ClassList,
        data: Path,
        *,
        member: MemberName,
        weight: Annotated[float, Range(gt=0, lt=1)] = 0.3,
        mean: Literal["arithmetic", "geometric"] = "arithmetic",
    ) -> None:
        self.member = member
        self.weight = weight
        self.mean = mean

    def correct(self, probabilities: np.ndarray, seen: Seen) -> np.ndarray:
        """(N, classes) -> the same shape."""
        said = seen.members[self.member].astype(np.float64)
        own = probabilities.astype(np.float64)
        if self.mean == "arithmetic":
            mixed = own + self.weight * (said - own)
        else:
            logs = (1 - self.weight) * np.log(own.clip(LEAST)) + self.weight * np.log(
                said.clip(LEAST)
            )
            mixed = np.exp(logs)
        return mixed.clip(0, 1).astype(np.float32)
