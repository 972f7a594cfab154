"""How good are found cells? Against outlines drawn by hand, and against drawn fields.

    python bench/segmenters.py [--fields DIR] [--seeds N] [--picture FILE.png]

`docs/segmentation.md` says what the numbers mean.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import expand_labels
from skimage.segmentation import watershed as flood

from hpazoo.fields import Field
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.readers.synthetic import Synthetic
from hpazoo.segmenters.watershed import Watershed

ROOT = Path(__file__).resolve().parent.parent
OUTLINES = ROOT / "tests" / "segmenters" / "outlines"
FIELDS = ROOT.parent / "shared" / "data" / "fields"
THRESHOLDS = (0.5, 0.6, 0.7, 0.75)
SIZES = (512, 1024)
FIRST_SEED = 100
"""Watershed was worked on with the drawings of smaller seeds."""
CEILING = "truth, 0.6 µm wider"
_AS_WRITTEN = argparse.RawDescriptionHelpFormatter
Find = Callable[[Field], np.ndarray]


class Truth(NamedTuple):
    """What is there: regions 1..N of one field, and how sure that is."""

    labels: np.ndarray
    """(H, W) int32."""
    sure: np.ndarray
    """(N,) bool."""
    wide: dict[int, np.ndarray]
    """A second reading (H, W) bool of regions whose extent can be read in two ways."""


@dataclass
class Score:
    """Counts over one or more fields; `+=` adds another's."""

    regions: int = 0
    found: int = 0
    hits: np.ndarray = field(default_factory=lambda: np.zeros(len(THRESHOLDS), int))
    ious: list[float] = field(default_factory=list)
    """Best assignment's IoU of every region, 0 for one without partner."""
    missed: int = 0
    merged: int = 0
    split: int = 0
    spurious: int = 0

    def __iadd__(self, other: Score) -> Score:
        for name in ("regions", "found", "hits", "ious", "missed", "merged", "split", "spurious"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def f1(self) -> np.ndarray:
        """F1 at each of THRESHOLDS."""
        return 2 * self.hits / max(self.regions + self.found, 1)

    @property
    def matched(self) -> float:
        """Mean IoU of the pairs that reach 0.5."""
        pairs = [iou for iou in self.ious if iou >= 0.5]
        return float(np.mean(pairs)) if pairs else 0.0


def score(truth: Truth, labels: np.ndarray, *, sure_only: bool, either: bool = False) -> Score:
    """Compare found `labels` (H, W) with the truth of one field.

    With `sure_only`, unsure regions count neither as missed nor, where found, as spurious. With
    `either`, a region with two readings may match the better one.

    A region is missed when less than a quarter of it lies in any found cells; merged when its
    found cell also holds more than half of another region; split when a second found cell lies
    mostly within it and covers a tenth of it. A found cell is spurious when less than a quarter
    of it lies in any region.
    """
    count, top = len(truth.sure), int(labels.max(initial=0))
    common = _overlap(truth.labels, labels, count, top)
    areas = common.sum(1)[1:].astype(float)
    sizes = common.sum(0)[1:].astype(float)
    shared = common[1:, 1:].astype(float)
    iou = shared / np.maximum(areas[:, None] + sizes - shared, 1)
    if either:
        for number, mask in truth.wide.items():
            inside = np.bincount(labels[mask], minlength=top + 1)[1:]
            other = inside / np.maximum(mask.sum() + sizes - inside, 1)
            iou[number - 1] = np.maximum(iou[number - 1], other)
    counted = truth.sure if sure_only else np.ones(count, bool)
    there = sizes > 0
    # Found on an unsure region: neither right nor wrong.
    there &= shared[~counted].sum(0) <= sizes / 2
    rows, columns = linear_sum_assignment(iou[counted][:, there], maximize=True)
    ious = np.zeros(int(counted.sum()))
    ious[rows] = iou[counted][:, there][rows, columns]
    half = (shared > areas[:, None] / 2)[counted]
    held = half & (half.sum(0) > 1)
    pieces = (shared > sizes / 2) & (shared > areas[:, None] / 10)
    return Score(
        regions=len(ious),
        found=int(there.sum()),
        hits=np.array([(ious >= level).sum() for level in THRESHOLDS]),
        ious=ious.tolist(),
        missed=int((shared.sum(1) < areas / 4)[counted].sum()),
        merged=int(held.any(1).sum()),
        split=int((pieces.sum(1) > 1)[counted].sum()),
        spurious=int((shared.sum(0) < sizes / 4)[there].sum()),
    )


def _overlap(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> np.ndarray:
    pairs = first.astype(np.int64) * (columns + 1) + second
    return np.bincount(pairs.ravel(), minlength=(rows + 1) * (columns + 1)).reshape(rows + 1, -1)


def read_outlines(file: Path) -> dict[str, Truth]:
    """The `cells`, `nuclei` and `seeds` of one field, from polygons in its pixels.

    `seeds` are nuclei where those of one cell count as one, as a cell has one seed.
    """
    data = json.loads(file.read_text("utf-8"))
    width, height = data["size"]
    found = {}
    for kind in ("cells", "nuclei"):
        labels = np.zeros((height, width), np.int32)
        wide = {}
        for number, item in enumerate(data[kind], 1):
            cv2.fillPoly(labels, [np.array(item["points"])], number)
            if "wide" in item:
                mask = cv2.fillPoly(np.zeros(labels.shape, np.uint8), [np.array(item["wide"])], 1)
                wide[number] = mask > 0
        found[kind] = Truth(labels, np.array([item["sure"] for item in data[kind]]), wide)
    names = [item["id"] for item in data["cells"]]
    owners = [names.index(item["cell"]) + 1 for item in data["nuclei"]]
    _, seeds = np.unique([0, *owners], return_inverse=True)
    labels = seeds.astype(np.int32)[found["nuclei"].labels]
    found["seeds"] = Truth(labels, np.ones(int(seeds.max()), bool), {})
    return found


def drawn_truth(drawn: Field) -> Truth:
    """Cells of a field of `synthetic`; those without a told location (cut off) are unsure."""
    assert drawn.masks is not None
    ids = range(1, int(drawn.masks.max()) + 1)
    return Truth(drawn.masks.astype(np.int32), np.array([i in drawn.truth for i in ids]), {})


def nearest_nucleus(drawn: Field) -> np.ndarray:
    """Baseline: every pixel of the field goes to the nearest of watershed's nuclei."""
    nuclei = Watershed(Path()).nuclei(drawn)
    if not nuclei.any():
        return nuclei
    nearest = ndimage.distance_transform_edt(
        nuclei == 0, return_distances=False, return_indices=True
    )
    return np.asarray(nuclei[tuple(nearest)])


def nucleus_ring(drawn: Field) -> np.ndarray:
    """Baseline: nuclei widened by 8 µm, parted half way."""
    nuclei = Watershed(Path()).nuclei(drawn)
    if not nuclei.any():
        return nuclei
    away, nearest = ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
    reach = 8.0 / (drawn.pixel_size or 0.08)
    return np.where(away <= reach, nuclei[tuple(nearest)], 0)


def plain_otsu(drawn: Field) -> np.ndarray:
    """Baseline as in a textbook: Otsu for nuclei and cells, flooded by brightness."""
    step = drawn.pixel_size or 0.08
    blue, signal = drawn.pixels[2], np.maximum(drawn.pixels[0], drawn.pixels[3])
    blue, signal = (cv2.GaussianBlur(x, (0, 0), 0.5 / step) for x in (blue, signal))
    _, bright = cv2.threshold(blue, 0, 1, cv2.THRESH_OTSU)
    _, inside = cv2.threshold(signal, 0, 1, cv2.THRESH_OTSU)
    seeds, count = ndimage.label(bright)
    areas = np.bincount(seeds.ravel(), minlength=count + 1) * step**2
    seeds[areas[seeds] < 16] = 0
    grown = flood(255 - signal, seeds, mask=(inside | bright) > 0)  # type: ignore[no-untyped-call]
    return np.asarray(grown, np.int32)


def wider(truth: Truth, pixel_size: float) -> np.ndarray:
    """The truth itself, 0.6 µm wider: what a perfect finder might score on uncertain outlines."""
    return np.asarray(expand_labels(truth.labels, 0.6 / pixel_size))  # type: ignore[no-untyped-call]


FINDERS: dict[str, Find] = {
    "watershed": lambda drawn: Watershed(Path()).segment(drawn),
    "plain Otsu": plain_otsu,
    "nucleus + 8 µm": nucleus_ring,
    "nearest nucleus": nearest_nucleus,
}


def real_fields(fields: Path) -> list[tuple[Field, dict[str, Truth]]]:
    """The fields that have outlines, with them."""
    reader = HpaFiles(fields.resolve(), root=".")
    files = sorted(OUTLINES.glob("*.json"))
    return [(reader.read(file.stem), read_outlines(file)) for file in files]


def drawn_fields(size: int, seeds: int, fields: int = 6) -> Iterator[Field]:
    """Every fourth field of a plate of `synthetic`, `fields` of each of `seeds` plates."""
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        reader = Synthetic(Path(), fields=4 * fields, size=size, seed=seed)
        for name in reader.ids()[::4]:
            yield reader.read(name)


Rows = dict[tuple[str, str], Score]


def score_real(pairs: list[tuple[Field, dict[str, Truth]]]) -> Rows:
    """Scores of all finders on the cells, and of seeds, by (data, finder)."""
    rows: Rows = defaultdict(Score)
    for real, truth in pairs:
        cells = truth["cells"]
        found = {name: find(real) for name, find in FINDERS.items()}
        found[CEILING] = wider(cells, real.pixel_size or 0.08)
        for name, labels in found.items():
            rows["by hand, sure cells", name] += score(cells, labels, sure_only=True)
            rows["by hand, all cells", name] += score(cells, labels, sure_only=False)
            rows["  either reading", name] += score(cells, labels, sure_only=False, either=True)
        nuclei = Watershed(Path()).nuclei(real)
        rows["by hand, nuclei", "watershed"] += score(truth["nuclei"], nuclei, sure_only=False)
        rows["  a cell's as one", "watershed"] += score(truth["seeds"], nuclei, sure_only=False)
    order = ["by hand, sure cells", "by hand, all cells", "  either reading"]
    order += ["by hand, nuclei", "  a cell's as one"]
    return {key: rows[key] for key in sorted(rows, key=lambda key: order.index(key[0]))}


def score_drawn(size: int, seeds: int) -> Rows:
    """Scores of all finders on fields of `synthetic`, by (data, finder)."""
    rows: Rows = defaultdict(Score)
    for drawn in drawn_fields(size, seeds):
        truth = drawn_truth(drawn)
        for name, find in FINDERS.items():
            rows[f"synthetic, {size} px", name] += score(truth, find(drawn), sure_only=True)
        labels = wider(truth, drawn.pixel_size or 0.08)
        rows[f"synthetic, {size} px", CEILING] += score(truth, labels, sure_only=True)
    return rows


def table(rows: Rows) -> Table:
    """One line per data and finder."""
    result = Table(title="Cells found against cells there", box=None)
    for name in ("data", "finder"):
        result.add_column(name, no_wrap=True)
    levels = [f"F1 {level:g}" for level in THRESHOLDS]
    for name in (
        "there", "found", *levels, "IoU", "missed", "merged", "split", "spurious"
    ):  # fmt: skip
        result.add_column(name, justify="right", no_wrap=True)
    before = ""
    for (data, finder), s in rows.items():
        result.add_row(
            data if data != before else "",
            finder,
            *map(str, (s.regions, s.found)),
            *(f"{value:.3f}" for value in (*s.f1, s.matched)),
            *map(str, (s.missed, s.merged, s.split, s.spurious)),
        )
        before = data
    return result


def picture(pairs: list[tuple[Field, dict[str, Truth]]], side: int = 560) -> np.ndarray:
    """Fields beside each other, (side, ...) BGR: outlines by hand white, found cells magenta.

    Few grey levels, so that the file stays small.
    """
    panels = []
    for real, truth in pairs:
        planes = [cv2.resize(real.pixels[i], (side, side), interpolation=cv2.INTER_AREA)
                  for i in (0, 2, 3)]  # fmt: skip
        light = np.sqrt(np.max(planes, axis=0) / 255.0)
        grey = (np.minimum(light * 1.1, 1) * 7).astype(np.uint8) * 24
        image = cv2.cvtColor(cv2.medianBlur(grey, 3), cv2.COLOR_GRAY2BGR)
        found = Watershed(Path()).segment(real)
        for labels, colour in ((found, (255, 0, 255)), (truth["cells"].labels, (255, 255, 255))):
            small = cv2.resize(labels, (side, side), interpolation=cv2.INTER_NEAREST)
            for number in range(1, int(small.max()) + 1):
                mask = (small == number).astype(np.uint8)
                lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(image, lines, -1, colour, 1)
        panels.append(image)
    return np.hstack(panels)


def main() -> None:
    """Print the table; write the picture where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AS_WRITTEN)
    parser.add_argument("--fields", type=Path, default=FIELDS, help="folder of the two real fields")
    parser.add_argument("--seeds", type=int, default=3, help="plates of drawn fields of each size")
    parser.add_argument("--picture", type=Path, help="PNG of the outlines over the fields")
    given = parser.parse_args()
    console = Console(width=130)
    rows: Rows = {}
    begin = time.perf_counter()
    if given.fields.is_dir():
        pairs = real_fields(given.fields)
        rows |= score_real(pairs)
        if given.picture:
            cv2.imwrite(str(given.picture), picture(pairs), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    else:
        console.print(f"no real fields in {given.fields}: give their folder with --fields")
    for size in SIZES:
        rows |= score_drawn(size, given.seeds)
    console.print(table(rows))
    console.print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
