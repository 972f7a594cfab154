"""A sheet of paper: the field, the field in colours, and a legend of what occurs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from hpazoo.writers._overlay import Colour, Spot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI, _EDGE, _HEAD, _ROW, _SWATCH = 100, 16, 66, 26, 16
_SIZES = (10.0, 8.5, 7.0)
"""Of texts in cells, in points: the largest that has room."""
_CLEAR = 5
"""Pixels between a text and the outline."""
_INK, _QUIET, _STAMP = "#1a1a1a", "#666666", "#c00000"
_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_FONT = "DejaVu Sans"
"""Comes with matplotlib, so that a sheet looks the same everywhere."""

Canvas = Any
"""matplotlib's, whose methods tell no types."""


@dataclass(frozen=True)
class Entry:
    """A line of the legend; without a colour a frame alone."""

    text: str
    colour: Colour | None


@dataclass(frozen=True)
class Label:
    """What stands in a cell: a location a line, each of which may be broken at its spaces."""

    lines: Sequence[str]
    spot: Spot


def sheet(
    title: str,
    field: np.ndarray,
    cells: np.ndarray,
    about: str,
    labels: Sequence[Label],
    legend: Sequence[Entry],
    pixel: float | None,
    stamp: str,
) -> bytes:
    """PNG of two pictures (h, w, 3) side by side, with all that is written around them.

    `about` says what the colours mean, `pixel` is the size in µm of a pixel of the pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = field.shape[:2]
    paper = Figure(dpi=_DPI)
    canvas: Canvas = FigureCanvasAgg(paper)
    seen = "microtubules red, protein green, nucleus blue"
    # what stands above a small picture is wider than it
    room = max(width, *(round(_extent(canvas, text, 10)[0]) + 1 for text in (seen, about)))
    total = 3 * _EDGE + 2 * room
    columns, step = _columns(canvas, legend, total - 2 * _EDGE)
    rows = -(-len(legend) // columns)
    page = np.full((_HEAD + height + _EDGE + rows * _ROW + _EDGE, total, 3), 255, np.uint8)
    page[_HEAD : _HEAD + height, _EDGE : _EDGE + width] = field
    second = 2 * _EDGE + room
    page[_HEAD : _HEAD + height, second : second + width] = cells
    bar = _bar(page, height, width, pixel)
    places = [
        (_EDGE + k % columns * step, _HEAD + height + _EDGE + k // columns * _ROW)
        for k in range(len(legend))
    ]
    for entry, (x, y) in zip(legend, places, strict=True):
        _swatch(page, x, y, entry.colour)
    paper.set_size_inches(total / _DPI, len(page) / _DPI)
    paper.figimage(page, 0, 0)
    write = _Pen(paper, len(page))
    write(_EDGE, 24, " ".join(title.split()), size=13, weight="bold")
    if stamp:
        text = f"{stamp}: these calls mean nothing"
        write(total - _EDGE, 24, text, size=13, weight="bold", color=_STAMP, ha="right")
    write(_EDGE, 50, seen, size=10, color=_QUIET)
    write(second, 50, about, size=10, color=_QUIET)
    if bar:
        write(*bar, size=10, color="white", ha="center")
    for entry, (x, y) in zip(legend, places, strict=True):
        write(x + _SWATCH + 8, y + _SWATCH / 2, entry.text, size=10)
    for label in labels:
        _in_cell(canvas, write, label, second, _HEAD)
    return _png(canvas)


class _Pen:
    """Writes at px from the top left corner, plain text only: a `$` is a `$`."""

    def __init__(self, paper: Figure, height: int) -> None:
        self.paper = paper
        self.height = height

    def __call__(self, x: float, y: float, text: str, *, size: float, **more: Any) -> None:
        look = {"color": _INK, "va": "center", "family": _FONT, "parse_math": False, **more}
        self.paper.text(x, self.height - y, text, fontsize=size, transform=None, **look)


def _extent(canvas: Canvas, text: str, size: float) -> tuple[float, float]:
    """Width and height of a line in px."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=_FONT, size=size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks becomes a box
        found = canvas.get_renderer().get_text_width_height_descent(text, font, ismath=False)
    return float(found[0]), float(found[1])


def _columns(canvas: Canvas, legend: Sequence[Entry], room: float) -> tuple[int, int]:
    """(columns of the legend, px from one to the next)."""
    widest = max((_extent(canvas, entry.text, 10)[0] for entry in legend), default=1)
    step = round(widest) + _SWATCH + 36
    return max(1, int(room // step)), step


def _swatch(page: np.ndarray, x: int, y: int, colour: Colour | None) -> None:
    frame = page[y : y + _SWATCH, x : x + _SWATCH]
    frame[:] = colour or (165, 165, 165)
    if colour is None:
        frame[2:-2, 2:-2] = 255


def _bar(
    page: np.ndarray, height: int, width: int, pixel: float | None
) -> tuple[float, float, str] | None:
    """Draw a scale bar of about a sixth of the width; where its text stands, and which."""
    if not pixel:
        return None
    fitting = [length for length in _BARS if length / pixel <= width / 5]
    if not fitting:
        return None
    long = round(fitting[-1] / pixel)
    bottom, right = _HEAD + height - 14, _EDGE + width - 14
    page[bottom - 5 : bottom, right - long : right] = 255
    return right - long / 2, bottom - 18, f"{fitting[-1]} µm"


def _in_cell(canvas: Canvas, write: _Pen, label: Label, left: float, top: float) -> None:
    """Write the names in their cell, where they have room: the colour says the same."""
    from matplotlib.patheffects import withStroke

    spot = label.spot
    room = spot.width - 2 * _CLEAR
    for size in _SIZES:
        lines = [part for line in label.lines for part in _broken(canvas, line, size, room)]
        extents = [_extent(canvas, line, size) for line in lines]
        tall = len(lines) * size * _DPI / 72 * 1.3
        if lines and max(w for w, _ in extents) <= room and tall <= spot.height - 2 * _CLEAR:
            write(
                left + spot.x,
                top + spot.y,
                "\n".join(lines),
                size=size,
                color="white",
                ha="center",
                linespacing=1.12,
                path_effects=[withStroke(linewidth=2.2, foreground="#000000cc")],
            )
            return


def _broken(canvas: Canvas, text: str, size: float, width: float) -> list[str]:
    """A text in lines that are no wider, as far as its words allow that."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _extent(canvas, longer, size)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _png(canvas: Canvas) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3]
    # Without date or version in the file: equal results give equal bytes.
    done, coded = cv2.imencode(".png", drawn[:, :, ::-1])
    if not done:
        raise ValueError(f"OpenCV could not encode a picture {drawn.shape}")
    return coded.tobytes()
