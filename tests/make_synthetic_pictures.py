"""Draw the pictures of docs/synthetic.md anew.

`python -m tests.make_synthetic_pictures FIELDS`: FIELDS is a folder with real fields of the atlas,
which are shown beside drawn ones at the same µm per px. For who maintains the docs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from hpazoo.readers._patterns import PATTERNS, SPINDLE
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.readers.synthetic import Synthetic

OUT = Path(__file__).parent.parent / "docs" / "pictures"
DRAWN_PIXEL = 0.32  # µm
BESIDE = Synthetic(Path(), fields=600, seed=7)
ONE_EACH = Synthetic(Path(), fields=912, seed=3, heterogeneity=0, label_noise=0)
HALF, MOST = 80, 40
SHORT = {
    "Vesicles and punctate cytosolic patterns": "Vesicles",
    "Nucleoli fibrillar center": "Nucl. fibrillar center",
}


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    picture = np.ascontiguousarray(picture)
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, text, (4, 13), font, 0.38, colour, width, cv2.LINE_AA)
    return picture


def row(pixels: np.ndarray, text: str) -> np.ndarray:
    """All channels together, then each alone."""
    red, green, blue, yellow = pixels
    tiles = [np.dstack([blue, green, red])]
    tiles += [cv2.cvtColor(one, cv2.COLOR_GRAY2BGR) for one in (red, green, blue, yellow)]
    part = slice(20, 404)
    small = [cv2.resize(one[part, part], (168, 168), interpolation=cv2.INTER_AREA) for one in tiles]
    labelled(small[0], text)
    return np.hstack(small)


def beside(folder: Path) -> np.ndarray:
    """Real fields above drawn ones: of each plate the field with the most cells, three of them."""
    rows = []
    real = HpaFiles(folder, root=".")
    for name in real.ids()[:2]:
        field = real.read(name)
        assert field.pixel_size is not None
        scale = field.pixel_size / DRAWN_PIXEL
        small = [
            cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for one in field.pixels
        ]
        rows.append(row(np.stack(small)[:, :512, :512], f"real: {name}"))
    by_plate: dict[str, tuple[int, str]] = {}
    count: dict[str, int] = defaultdict(int)
    for cell in BESIDE.truth():
        count[cell.field] += 1
    for name, cells in count.items():
        plate = name.split("_")[1]
        by_plate[plate] = max(by_plate.get(plate, (0, "")), (cells, name))
    for _, name in sorted(by_plate.values(), reverse=True)[:3]:
        rows.append(row(BESIDE.read(name).pixels, f"drawn: {name.removeprefix('synthetic_')}"))
    return np.vstack(rows)


def by_class() -> np.ndarray:
    """A cell of each class, and the mean of many, turned so that the centrosome lies right."""
    turned: dict[str, list[list[np.ndarray]]] = defaultdict(list)
    example: dict[str, np.ndarray] = {}
    for name in ONE_EACH.ids():
        scene = ONE_EACH._scene(ONE_EACH._place(name))
        (shown, *more) = scene.antibody.classes
        if more or len(turned[shown]) >= MOST:
            continue
        field = ONE_EACH.read(name)
        assert field.masks is not None
        for cell in scene.cells:
            if not cell.id or cell.discarded or cell.locations != (shown,):
                continue
            x, y = map(float, cell.outline.centre)
            dx, dy = cell.pole - cell.outline.centre
            turn = cv2.getRotationMatrix2D((x, y), float(np.degrees(np.arctan2(dy, dx))), 1)
            turn[:, 2] += HALF - np.array([x, y])
            own = cv2.dilate((field.masks == cell.id).astype(np.uint8), np.ones((3, 3))) > 0
            turned[shown].append(
                [
                    cv2.warpAffine(np.where(own, one, 0).astype(np.float32), turn, (2 * HALF,) * 2)
                    for one in field.pixels[:3]
                ]
            )
            inside = min(x, y, 512 - x, 512 - y) > HALF
            usual = 55 < cell.outline.radius < 88 and not cell.outline.mitotic
            if shown not in example and inside and not cell.weak and (usual or shown == SPINDLE):
                window = slice(int(y) - HALF, int(y) + HALF), slice(int(x) - HALF, int(x) + HALF)
                example[shown] = field.pixels[:3, *window]
    print({name: len(cells) for name, cells in turned.items()})
    tiles = []
    for name in PATTERNS:
        red, green, blue = example[name]
        cell = np.dstack([blue * 0.6, green, red * 0.45]).astype(np.uint8)
        _, green, blue = np.mean(turned[name], axis=0)
        green *= 255 / max(float(green.max()), 60)
        mean = np.dstack([blue * 0.6, green, np.zeros_like(green)]).clip(0, 255).astype(np.uint8)
        tiles.append(np.vstack([labelled(cell, SHORT.get(name, name)), labelled(mean, "mean")]))
    tiles.append(np.zeros_like(tiles[0]))
    grid = np.vstack([np.hstack(tiles[start : start + 10]) for start in (0, 10)])
    return cv2.resize(grid, None, fx=0.65, fy=0.65, interpolation=cv2.INTER_AREA)


def main() -> None:
    best = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    cv2.imwrite(str(OUT / "synthetic-beside-real.png"), beside(Path(sys.argv[1])), best)
    cv2.imwrite(str(OUT / "synthetic-classes.png"), by_class(), best)


if __name__ == "__main__":
    main()
