"""What drawn fields have in common: plates (cell lines), antibodies, and what annotators say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from hpazoo.readers._drawing import Rng
from hpazoo.readers._patterns import PATTERNS, SPINDLE

NEGATIVE = "Negative"
NAMES = tuple(PATTERNS)
LOCATIONS = NAMES[:18]
WELLS = tuple(f"{row}{column}" for row in "ABC" for column in range(1, 5))
FIELDS = 2  # per well

Errors = Literal["slips", "swaps"]
Seeded = Callable[..., Rng]
"""Numbers -> a generator of their own."""

_PENETRANCE = dict(  # mean share of a field's cells that show the field's label, in hand labels
    zip(
        LOCATIONS,
        [
            *(0.80, 0.75, 0.66, 0.48, 0.89, 0.45, 0.67, 0.52, 0.74),
            *(0.71, 0.59, 0.08, 0.25, 0.74, 0.81, 0.68, 0.79, 0.59),
        ],
        strict=True,
    )
)
_SHARES = np.array(  # of the 21,806 labelled images of 2021 that have the label
    [
        *(0.403, 0.050, 0.112, 0.058, 0.065, 0.082, 0.036, 0.085, 0.044),
        *(0.046, 0.038, 0.004, 0.080, 0.147, 0.092, 0.012, 0.261, 0.028),
    ]
)
_SHAPE = 3.0  # of the beta distribution of penetrance
_DROPPED = 5 / 7  # of slips; the others add a label


class Place(NamedTuple):
    """Where a field comes from, as numbers from 0; twins are wells of one antibody."""

    plate: int
    well: int
    field: int
    antibody: int

    def columns(self, seed: int) -> dict[str, str]:
        """What a table of labels says of it; other seeds draw other plates and antibodies."""
        plate = f"{seed}-{self.plate + 1}"
        return {
            "plate": plate,
            "well": f"{plate}_{WELLS[self.well]}",
            "antibody": f"drawn-{seed}-{self.antibody + 1}",
        }


def place_of(index: int, repeats: int) -> Place:
    """Place of the `index`-th field, when each antibody is on `repeats` plates."""
    plate, rest = divmod(index, len(WELLS) * FIELDS)
    well, number = divmod(rest, FIELDS)
    return Place(plate, well, number, plate // repeats * len(WELLS) + well)


def name_of(place: Place, seed: int) -> str:
    """With the seed, since fields of another one are other fields."""
    return f"synthetic_{seed}-{place.plate + 1}_{WELLS[place.well]}_{place.field + 1}"


def index_of(name: str, seed: int) -> int | None:
    """Which field `name_of` named so; None if none can be."""
    found = re.fullmatch(
        rf"synthetic_{seed}-([1-9][0-9]{{0,8}})_({'|'.join(WELLS)})_([1-{FIELDS}])", name
    )
    if found is None:
        return None
    plate, well, number = found.groups()
    return ((int(plate) - 1) * len(WELLS) + WELLS.index(well)) * FIELDS + int(number) - 1


@dataclass(frozen=True)
class Plate:
    """One cell line under one microscope setting; lengths in px at 512.

    `size` and `nucleus` are factors of a cell's radius, `elongation` the ratio of its axes,
    `crowding` how near cells come to each other, `spread` how far they grow into free space,
    `lobes` how uneven nuclei are. `gains` (4,) scale the light of the channels, `blur` is the sigma
    of the optics, `haze` the share of light that is out of focus, `reach` how far the
    ER extends, in radii of the cell.
    """

    size: float
    nucleus: float
    elongation: float
    cells: tuple[int, int]
    crowding: float
    spread: float
    lobes: float
    gains: np.ndarray
    blur: float
    background: float
    haze: float
    reach: float


@dataclass(frozen=True)
class Antibody:
    """Which locations it shows, in which share of cells, how strongly, and what else it sticks to.

    `waves` is the wave number (y, x) of an off-target pattern per 512 px, or None for noise with
    features `grain` px wide; `off_target` is its level.
    """

    classes: tuple[str, ...]
    penetrance: dict[str, float]
    intensity: float
    off_target: float
    grain: float
    waves: tuple[float, float] | None


def draw_plate(rng: Rng) -> Plate:
    fewest = int(rng.integers(7, 11))
    return Plate(
        size=rng.uniform(0.85, 1.2),
        nucleus=rng.uniform(0.36, 0.48),
        elongation=rng.uniform(1, 1.45),
        cells=(fewest, fewest + 3),
        crowding=rng.uniform(0.58, 0.68),
        spread=rng.uniform(1.0, 1.35),
        lobes=rng.uniform(0.01, 0.065),
        gains=np.exp(rng.normal(0, 0.25, 4)),
        blur=rng.uniform(0.7, 1.3),
        background=rng.uniform(0.01, 0.04),
        haze=rng.uniform(0.03, 0.1),
        reach=rng.uniform(0.32, 0.55),
    )


def draw_antibody(seeded: Seeded, number: int, heterogeneity: float) -> Antibody:
    """The `number`-th antibody; its locations depend on seed and number alone.

    A share p of cells becomes max(1 - heterogeneity (1 - p), .05).
    """
    classes = _classes(seeded, number)
    rng = seeded(2, number)
    shares = {}
    for name in classes:
        if name != NEGATIVE:
            mean = _PENETRANCE[name]
            drawn = max(float(rng.beta(_SHAPE * mean, _SHAPE * (1 - mean))), 0.12)
            shares[name] = max(1 - heterogeneity * (1 - drawn), 0.05)
    if SPINDLE in shares:
        shares[SPINDLE] = 1.0  # of the dividing cells, which are few in any case
    angle, waves = rng.uniform(0, np.pi), rng.uniform(5, 20)
    regular = rng.random() < 0.5
    return Antibody(
        classes,
        shares,
        intensity=rng.uniform(0.45, 1),
        off_target=rng.uniform(0.04, 0.09),
        grain=rng.uniform(6, 30),
        waves=(waves * np.sin(angle), waves * np.cos(angle)) if regular else None,
    )


def _classes(seeded: Seeded, number: int) -> tuple[str, ...]:
    """One class of the antibody is dealt from decks of all 19, so that none stays rare."""
    deal, card = divmod(number, len(NAMES))
    certain = NAMES[int(seeded(0, deal).permutation(len(NAMES))[card])]
    if certain == NEGATIVE:
        return (NEGATIVE,)
    rng = seeded(5, number)
    more = int(rng.choice(3, p=[0.45, 0.42, 0.13]))
    # As common labels as in the atlas would drown the rare ones; as common as each other, none.
    chance = np.sqrt(_SHARES) * (np.array(LOCATIONS) != certain)
    others = rng.choice(LOCATIONS, more, replace=False, p=chance / chance.sum()).tolist()
    return tuple(sorted({certain, *others}, key=NAMES.index))


def said_of(seeded: Seeded, number: int, share: float, errors: Errors) -> tuple[str, ...]:
    """What annotators say of an antibody's images; of a `share` of antibodies something wrong.

    `slips` drop a label (five of seven) or add one; an only label is exchanged instead of dropped.
    `swaps` say what another antibody shows. A larger share keeps the errors of a smaller one.
    """
    classes = _classes(seeded, number)
    rng = seeded(6, number)
    if rng.random() >= share:
        return classes
    if errors == "swaps":
        while (other := _classes(seeded, int(rng.integers(2**31)))) == classes:
            pass
        return other
    true = [name for name in classes if name != NEGATIVE]
    new = str(rng.choice([name for name in LOCATIONS if name not in true]))
    if rng.random() < _DROPPED and true:
        gone = str(rng.choice(true))
        said = set(true) - {gone} or {new}
    else:
        said = {*true, new}
    return tuple(sorted(said, key=NAMES.index))
