"""From maps to cells, against the steps of the original written down once more."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import closing, disk
from skimage.segmentation import find_boundaries, watershed

from hpazoo.geometry import cells_of
from hpazoo.segmenters._hpa_postprocess import _close, cells_of_nuclei, fill_holes, nuclei_of
from hpazoo.segmenters._outlines import in_reading_order

MIN_NUCLEUS, MIN_CELL = 2500 / 16, 5500 / 16  # px of 0.32 µm


def overlaps(truth, found):
    """IoU (T, F) of all pairs of ids but 0."""
    width = int(found.max()) + 1
    pairs = np.bincount(
        (truth.astype(np.int64) * width + found).ravel(), minlength=(int(truth.max()) + 1) * width
    ).reshape(-1, width)
    iou = pairs / (pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs)
    return iou[1:, 1:]


def naive_without_small(labels, area):
    keep = np.bincount(labels.ravel()) >= area
    keep[0] = False
    return np.where(keep[labels], labels, 0)


def naive_parts(labels):
    """Parted by lines, each part's holes filled."""
    return ndimage.label(ndimage.binary_fill_holes((labels > 0) & ~find_boundaries(labels)))[0]


def naive(nuclei, cells):
    """The original's steps at four times the size, where its casts to 8 bit do no harm."""
    nuclei, cells = (np.kron(maps, np.ones((1, 4, 4))) / 255 for maps in (nuclei, cells))
    seeds = ndimage.label((nuclei[2] > 0.15) & (nuclei[1] + cells[1] < 0.95))[0]
    mask = nuclei[2] > 0.4
    holes = ndimage.label(~mask)[0]
    mask |= (holes > 0) & (naive_without_small(holes, 1000) == 0)
    seeds = naive_without_small(seeds, 500)
    found = watershed(mask.astype(float), seeds, mask=mask, watershed_line=True)
    found = label(naive_without_small(found, 2500))
    level = max(0.22, threshold_otsu(cells[2]) / 2)
    relief = -np.maximum(cells[2], level)
    grown = naive_without_small(watershed(relief, found, mask=cells[2] > level), 5500)
    grown = naive_parts(closing(grown, disk(6)))
    grown = naive_parts(watershed(relief, grown, mask=(grown > 0) | (cells[1] > 0.05)))
    return found, label(naive_without_small(label(grown > 0), 5500))


def random_maps(side, count, seed):
    """Two (3, side / 4, side / 4) uint8: smooth, noisy nuclei and cells that touch or do not."""
    rng = np.random.default_rng(seed)
    size = side // 4
    gap = 0.75 * size / np.sqrt(count)
    centres: list[np.ndarray] = []
    for point in rng.uniform(0, size, (count * 3, 2)):
        if all(np.hypot(*(point - other)) > gap for other in centres):
            centres.append(point)
    rows, columns = np.mgrid[:size, :size]
    away = np.sort([np.hypot(rows - y, columns - x) for y, x in centres[:count]], axis=0)[:2]

    def noise(blur, strength):
        field = ndimage.gaussian_filter(rng.normal(size=(size, size)), blur)
        return strength * field / field.std()

    def maps(*logits):
        powers = np.exp(np.stack(logits) - np.max(logits, axis=0))
        return (powers / powers.sum(axis=0) * 255 + 0.5).astype(np.uint8)

    nucleus = 0.28 * gap - away[0] + noise(6, 1.5)
    reach = (0.95 * gap - away[0] + noise(8, 3)) / 2
    valley = away[1] - away[0] + noise(3, 1)
    inside = np.minimum(reach, valley - 3 + noise(4, 0.5))
    return (
        maps(0 * nucleus, -0.5 - 0.6 * np.abs(nucleus), 1.5 * nucleus),
        maps(-reach, np.minimum(reach + 2, 3 - valley), inside),
    )


@pytest.mark.parametrize(
    ("side", "count"),
    [
        (640, 8),
        (1024, 40),
        pytest.param(1728, 20, marks=pytest.mark.slow),
        pytest.param(1728, 60, marks=pytest.mark.slow),
        pytest.param(2048, 30, marks=pytest.mark.slow),
        pytest.param(2048, 150, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_finds_the_cells_of_the_original(side, count, seed):
    """Its lines between cells, 2 px wide, and its rim of 1 px are what the IoU lacks."""
    nuclei, cells = random_maps(side, count, seed)
    theirs = dict(zip(("nuclei", "cells"), naive(nuclei, cells), strict=True))
    seeds = nuclei_of(nuclei, cells, MIN_NUCLEUS)
    ours = {"nuclei": seeds, "cells": cells_of_nuclei(seeds, cells, MIN_CELL)}
    for what, found in ours.items():
        assert len(np.unique(found)) == len(np.unique(theirs[what])) > count / 2
        iou = overlaps(theirs[what], np.kron(found, np.ones((4, 4), np.int32)))
        best = iou.max(axis=1)
        assert np.median(best) > 0.93, what
        assert (best > 0.88).mean() > 0.98, what


def test_nucleus_and_cell_share_their_id():
    nuclei, cells = random_maps(1024, 40, 3)
    seeds = nuclei_of(nuclei, cells, MIN_NUCLEUS)
    grown = cells_of_nuclei(seeds, cells, MIN_CELL)
    ids = in_reading_order(grown)
    for cell in range(1, ids.max() + 1):
        assert len(np.unique(seeds[(ids == cell) & (seeds > 0)])) == 1


@pytest.mark.parametrize(("rows", "columns"), [(15, 20), (265, 265)])
def test_any_number_of_cells(rows, columns):
    """300 and 70,225 of 6 x 6 px, a pixel apart."""
    tile = np.zeros((7, 7), np.uint8)
    tile[:6, :6] = 255
    inside = np.tile(tile, (rows, columns))
    maps = np.stack([np.zeros_like(inside), 255 - inside, inside])
    seeds = nuclei_of(maps, maps, 0)
    grown = in_reading_order(cells_of_nuclei(seeds, maps, 0))
    assert grown.dtype == np.int32
    found = cells_of(grown)
    assert len(found) == seeds.max() == rows * columns
    assert found.ids[-1] == rows * columns
    assert grown[7 * rows - 4, 7 * columns - 4] == rows * columns
    assert (np.diff(found.boxes[:, :2], axis=0) >= 0).any(axis=1).all()
    assert found.areas.sum() == grown.size
    assert found.areas.max() <= 64


def test_seeds_are_cut_by_both_borders_together():
    nuclei, cells = np.zeros((2, 3, 30, 60), np.uint8)
    nuclei[2, 5:25, 5:55] = 255
    nuclei[1:, 5:25, 29:31] = [[[140]], [[110]]]
    assert nuclei_of(nuclei, cells, MIN_NUCLEUS).max() == 1
    cells[1, :, 29:31] = 150  # 290 together, which is 34 in 8 bit
    found = nuclei_of(nuclei, cells, MIN_NUCLEUS)
    assert found.max() == 2
    assert (found[10, 10:50:39] == [1, 2]).all()


def test_a_seed_may_be_wider_than_its_nucleus():
    nuclei, cells = np.zeros((2, 3, 30, 60), np.uint8)
    nuclei[2, 5:15, 5:15] = 60
    assert nuclei_of(nuclei, cells, 0).max() == 0
    nuclei[2, 8:12, 8:13] = 200
    assert (nuclei_of(nuclei, cells, 0) > 0).sum() == 20
    nuclei[2, 5:15, 15:40] = 60
    nuclei[2, 5:15, 40:55] = 200  # of the same seed, yet another nucleus
    assert np.bincount(nuclei_of(nuclei, cells, 0).ravel()).tolist() == [1630, 150, 20]
    assert (nuclei_of(nuclei, cells, 30) > 0).sum() == 150


def test_small_holes_in_nuclei():
    nuclei, cells = np.zeros((2, 3, 40, 60), np.uint8)
    nuclei[2, 5:35, 5:55] = 255
    nuclei[2, 10:15, 10:15] = nuclei[2, 20:29, 30:39] = 0
    found = nuclei_of(nuclei, cells, MIN_NUCLEUS)
    assert (found[10:15, 10:15] == 1).all()
    assert not found[20:29, 30:39].any()


def test_gaps_that_are_closed():
    """As a disc of 6 px does it at four times the size."""
    labels = np.zeros((60, 120), np.int32)
    labels[5:55, 5:115] = 1
    for width in range(1, 7):
        labels[5:40, 18 * width : 18 * width + width] = 0
    labels[labels > 0] += np.arange(120)[np.nonzero(labels)[1]] > 60
    found = _close(labels)
    wanted = closing(np.kron(labels > 0, np.ones((4, 4), np.uint8)), disk(6))
    wanted = wanted.reshape(60, 4, 120, 4).sum(axis=(1, 3)) >= 8
    assert [bool(found[20, 18 * width]) for width in range(1, 7)] == [True] * 3 + [False] * 3
    assert ((found > 0) != wanted).sum() < 8
    assert np.array_equal(found[labels > 0], labels[labels > 0])
    assert (found[:, :60] != 2).all()


def test_a_nucleus_over_two_pieces():
    nuclei, cells = np.zeros((2, 3, 60, 90), np.uint8)
    nuclei[2, 20:40, 30:60] = 255
    cells[2, 5:55, 5:85] = 255
    cells[2, :, 42:48] = 0
    seeds = nuclei_of(nuclei, cells, MIN_NUCLEUS)
    assert seeds.max() == 1
    found = cells_of_nuclei(seeds, cells, MIN_CELL)
    assert np.bincount(found.ravel()).tolist() == [5400 - 3700, 1850, 1850]


def test_cells_are_closed_and_filled():
    nuclei, cells = np.zeros((2, 3, 60, 90), np.uint8)
    nuclei[2, 20:40, 10:30] = 255
    cells[2, 5:55, 5:85] = 255
    cells[2, 5:40, 40:42] = 0  # a crack
    cells[2, 40:48, 50:58] = 0  # a hole
    cells[2, 5:30, 65:75] = 0  # a bay ...
    cells[1, 5:8, 65:75] = 20  # ... that the border makes a hole
    found = cells_of_nuclei(nuclei_of(nuclei, cells, MIN_NUCLEUS), cells, MIN_CELL)
    assert (found[8:52, 8:82] == 1).all()
    assert not found[:5].any()


def test_holes():
    labels = np.zeros((12, 20), np.int32)
    labels[1:10, 1:10] = 70000
    labels[3:5, 3:5] = 0  # a hole
    labels[6, 6] = 0
    labels[1, 1] = 0  # a notch
    labels[9, 4] = 0
    labels[2:6, 10:14] = 4
    labels[3:5, 9:11] = 0  # between two cells
    labels[8:12, 12:20] = 9
    labels[10:12, 14:16] = 0  # open to the edge
    wanted = labels.copy()
    wanted[3:5, 3:5] = wanted[6, 6] = 70000
    assert np.array_equal(fill_holes(labels), wanted)


def test_a_hole_with_a_cell_in_it():
    labels = np.full((11, 11), 3, np.int32)
    labels[3:8, 3:8] = 0
    labels[5, 5] = 8
    assert np.array_equal(fill_holes(labels), labels)
