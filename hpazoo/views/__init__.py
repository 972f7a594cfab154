"""Views show the same cells several times over: test-time augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.fields import View

views = Registry("views")


class Views(Protocol):
    """Built without positional values. Pure numpy: no model in sight."""

    def of(self, view: View) -> Sequence[View]:
        """The view in all of its forms, always as many, the `cells` of each those of the view.

        What is done to the pixels is done to the label image: rows stand for the same cells.
        """
        ...

    def blend(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (forms, N, classes) of one network -> (N, classes)."""
        ...
