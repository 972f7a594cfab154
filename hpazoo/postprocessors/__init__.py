"""Postprocessors correct the blended probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.fields import Cells


postprocessors = Registry("postprocessors")


@dataclass(frozen=True)
class Seen:
    """What is known of a field beside the blend: its `cells`, height and width in px, µm per pixel
    where known, and what each member said, name -> (N, classes) float32.
    """

    cells: Cells
    shape: tuple[int, int]
    pixel_size: float | None
    members: Mapping[str, np.ndarray]


class Postprocessor(Protocol):
    """Built with the `ClassList` of the spec and the data folder (a `Path`) as positional values.

    One that has to know all fields first also has `fit(probabilities)`; it is called once, before
    anything is corrected, with an iterator over the (N, classes) of all fields, as they come to
    this step. A member that a parameter names (`MemberName`) takes no part in the blend.
    """

    def correct(self, probabilities: np.ndarray, seen: Seen) -> np.ndarray:
        """Probabilities (N, classes) of a field -> the same shape; the input is left as it was."""
        ...
