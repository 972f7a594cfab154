"""What flows through a run: fields of view, their cells, and the views that a network sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

CHANNELS = ("red", "green", "blue", "yellow")
"""Order of a field's channels: microtubules, protein, nucleus, endoplasmic reticulum."""


@dataclass(frozen=True)
class Field:
    """One field of view.

    `pixels` is (4, H, W) uint8 or uint16 in the order of CHANNELS; `pixel_size` is in µm, where
    known. `notes` say what reading had to decide; `sha256` is the digest of the source files.
    `masks` and `truth` (cell id -> names of its locations) are there only where the source draws
    its own cells.
    """

    id: str
    pixels: np.ndarray
    pixel_size: float | None = None
    notes: tuple[str, ...] = ()
    sha256: str = ""
    masks: np.ndarray | None = None
    truth: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]


@dataclass(frozen=True)
class FieldRecord:
    """What a run notes of a field; with a `set_aside` reason, why it cannot be used."""

    id: str
    height: int = 0
    width: int = 0
    pixel_size: float | None = None
    sha256: str = ""
    notes: tuple[str, ...] = ()
    set_aside: str = ""
    retry: bool = False
    """Whether the reason may have passed by the next run (memory, permissions)."""
    members: str = ""
    """Digest of the members that were to see the field, when the reason lies with one of them."""


class Input(NamedTuple):
    """What a model takes: a field's longer side in pixels, and the name of its normalisation."""

    size: int
    normalize: str


@dataclass(frozen=True)
class View:
    """What a network is shown of a field.

    `pixels` (4, h, w) uint8. With `labels`, a label image over the same area (any resolution), row
    i stands for the i-th of `cells`, ids found in it; without, the one row is the whole view and
    stands for the one id in `cells` (0: all cells of the field). `statistics` (4, 2) float32: mean
    and population standard deviation per channel, on 0..1, of the whole field at network size, for
    models that normalise per image; None: those of the view itself.
    """

    pixels: np.ndarray
    cells: np.ndarray
    labels: np.ndarray | None = None
    statistics: np.ndarray | None = None


@dataclass(frozen=True)
class Cells:
    """Cells of a label image, by rising id.

    `ids` (N,) int64; `boxes` (N, 4) int64 as y0, x0, y1, x1, half-open; `areas` (N,) int64 in px;
    `touches_border` (N,) bool; `nuclei` (N,) int64 is how much of each is nucleus, in px, None if
    that was not looked at.
    """

    ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    touches_border: np.ndarray
    nuclei: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """uint8 as is; uint16 by full range (0..65535 -> 0..255, rounded)."""
    import numpy as np

    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise TypeError(f"pixels must be uint8 or uint16, not {pixels.dtype}")
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
