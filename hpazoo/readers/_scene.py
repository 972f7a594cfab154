"""A drawn field before it is drawn: its cells, what each shows, and what can be told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpazoo.readers._drawing import Rng
from hpazoo.readers._hierarchy import LOCATIONS, NAMES, NEGATIVE, Antibody, Plate
from hpazoo.readers._layout import Outline, lay_out, poles, rasterise
from hpazoo.readers._patterns import INTERPHASE_ONLY, SPINDLE

_UNIT = 0.25  # the truth is made at 128 px, whatever the size of the drawing
_SIDE = 128
_PAD = 28
_SMALLEST = 345.0  # px at 512: 5500 px at 2048, below which the atlas counts no cell
_INSIDE = 0.5  # share of a nucleus within the field, below which a cell has no truth
_STRAY = 0.033  # share of cells with a label that their field lacks, in hand labels
_WEAK = 0.06


@dataclass(frozen=True)
class Drawn:
    """One cell of a scene; `id` 0 where too little of it lies within the field.

    `shown` are the locations that are drawn, in order of their classes; `dissolved`: the protein is
    all over the dividing cell. `discarded`: nobody could tell its locations. `level` is the
    brightness of its protein, about 1.
    """

    id: int
    outline: Outline
    pole: np.ndarray
    shown: tuple[str, ...]
    dissolved: bool
    discarded: bool
    weak: bool
    level: float

    @property
    def locations(self) -> tuple[str, ...]:
        """What is true of it, `Negative` included."""
        return self.shown or (NEGATIVE,)


@dataclass(frozen=True)
class Scene:
    """Cells of a field, and what they have in common."""

    plate: Plate
    antibody: Antibody
    cells: list[Drawn]

    @property
    def truth(self) -> dict[int, tuple[str, ...]]:
        """Cell id -> names of its locations, where they can be told."""
        return {cell.id: cell.locations for cell in self.cells if cell.id and not cell.discarded}


def make_scene(
    shapes: Rng, says: Rng, plate: Plate, antibody: Antibody, heterogeneity: float, first: bool
) -> Scene:
    """Cells by the generator `shapes`, and what they show by `says`: neither changes the other.

    In the `first` field of a well each of its locations is shown by a cell, if there is one that
    can: annotators label what they see.
    """
    spindles = SPINDLE in antibody.classes
    outlines = lay_out(shapes, plate, spindles)
    labels, patches = rasterise(outlines, _UNIT, _SIDE, _PAD)
    centrosomes = poles(shapes, outlines, labels, _UNIT, _PAD)
    inner = slice(_PAD, _PAD + _SIDE)
    areas = np.bincount(labels[inner, inner].ravel(), minlength=len(outlines) + 1)
    dissolves = any(name in INTERPHASE_ONLY for name in antibody.classes)
    cells = []
    kept = 0
    for number, (outline, pole, patch) in enumerate(
        zip(outlines, centrosomes, patches, strict=True), start=1
    ):
        kept += (counts := bool(areas[number] >= _SMALLEST * _UNIT**2))
        shown = _shown(says, antibody, heterogeneity, outline.mitotic)
        weak, level = says.random() < _WEAK, float(np.exp(says.normal(0, 0.35)))
        dissolved = outline.mitotic and dissolves
        inside = 0.0
        if patch is not None:
            nucleus = patch.inner > 0
            rows, columns = (
                slice(max(_PAD - part.start, 0), max(_PAD + _SIDE - part.start, 0))
                for part in patch.where
            )
            inside = np.count_nonzero(nucleus[rows, columns]) / max(
                int(np.count_nonzero(nucleus)), 1
            )
        # What is at the centrosome cannot be told where that lies outside. Were only the cells
        # discarded that have something there, a cell's place would give its label away.
        seen = inside >= _INSIDE and bool(((pole >= 0) & (pole < _SIDE / _UNIT)).all())
        cells.append(
            Drawn(
                kept * counts,
                outline,
                pole,
                shown,
                dissolved,
                dissolved or not seen,
                weak,
                min(level * (0.4 if weak else 1), 1.8),
            )
        )
    return Scene(plate, antibody, _with_each(says, antibody, cells) if first else cells)


def _shown(rng: Rng, antibody: Antibody, heterogeneity: float, mitotic: bool) -> tuple[str, ...]:
    draws = rng.random(len(LOCATIONS))
    stray = LOCATIONS[int(rng.integers(len(LOCATIONS)))]
    strays = rng.random() < min(_STRAY * heterogeneity, 0.2)
    shown = {
        name
        for name, draw in zip(LOCATIONS, draws, strict=True)
        if draw < antibody.penetrance.get(name, 0)
    }
    if strays and antibody.penetrance and not mitotic:
        shown.add(stray)
    shown -= INTERPHASE_ONLY if mitotic else {SPINDLE}
    return tuple(sorted(shown, key=NAMES.index))


def _with_each(rng: Rng, antibody: Antibody, cells: list[Drawn]) -> list[Drawn]:
    """With a cell for each location of the antibody that has none."""
    able = [n for n, cell in enumerate(cells) if cell.id and not cell.discarded]
    able = [n for n in able if not cells[n].outline.mitotic]
    for name in antibody.penetrance:
        pick = rng.random()
        if name == SPINDLE or not able or any(name in cells[n].shown for n in able):
            continue
        n = able[int(pick * len(able))]
        shown = tuple(sorted({*cells[n].shown, name}, key=NAMES.index))
        cells[n] = replace(cells[n], shown=shown)
    return cells
