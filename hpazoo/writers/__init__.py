"""Writers turn the results of a run into files that people and other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hpazoo.errors import HpazooError
from hpazoo.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.fields import Cells

writers = Registry("writers")


def no_pixels() -> np.ndarray:
    """What a result without its field's images says when it is asked for them."""
    raise HpazooError("these results come without the images of their fields")


@dataclass(frozen=True)
class FieldResult:
    """All that is known of one field at the end: its cells and, row for row, their `probabilities`
    (N, classes) float32. `masks()` reads the label image (H, W) anew at each call, and `pixels()`
    the field itself, (4, H, W) uint8 or uint16 in the order of `hpazoo.fields.CHANNELS`; it raises
    HpazooError where the images are not there any more, or are not those that were predicted.
    `embeddings` are there for writers that need them: member -> ids (n,) int64 and vectors (n, d)
    float32.
    """

    id: str
    height: int
    width: int
    pixel_size: float | None
    sha256: str
    notes: tuple[str, ...]
    cells: Cells
    probabilities: np.ndarray
    masks: Callable[[], np.ndarray]
    embeddings: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    pixels: Callable[[], np.ndarray] = no_pixels


class Writer(Protocol):
    """Built with the `ClassList` of the spec as its positional value.

    `needs`, where it is there, may hold `embeddings`: members are then asked for theirs.
    """

    def write(self, folder: Path, results: Iterable[FieldResult], stamp: str) -> Sequence[Path]:
        """Write files, or folders of files, into `folder`, each appearing whole or not at all.

        Returns them.

        `results` come sorted by field id and may be more than fit in memory. A `stamp` that is not
        empty (`random weights`) says why these numbers must not be believed, and goes into a last
        column `stamp`.
        """
        ...
