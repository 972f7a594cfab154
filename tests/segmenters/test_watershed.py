"""Cells found in drawn, odd and real fields."""

import heapq
from pathlib import Path

import numpy as np
import pytest

from bench.segmenters import OUTLINES, Score, Truth, drawn_truth, read_outlines, score
from hpazoo.fields import Field
from hpazoo.geometry import cells_of
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.readers.synthetic import Synthetic
from hpazoo.segmenters._outlines import dark_lines, grow
from hpazoo.segmenters.watershed import Watershed

HERE = Path()
FIELDS = sorted(file.stem for file in OUTLINES.glob("*.json"))


def overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """IoU (T + 1, F + 1) of all pairs of ids."""
    width = int(found.max()) + 1
    pairs = np.bincount(
        (truth.astype(np.int64) * width + found).ravel(), minlength=(int(truth.max()) + 1) * width
    ).reshape(-1, width)
    return pairs / (pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs)


def disc(shape, y, x, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


@pytest.mark.parametrize(("size", "every"), [(512, 3), (1024, 6)])
def test_drawn_fields(size, every):
    """`docs/segmentation.md` has the scores of more fields; these are a little below."""
    total = Score()
    reader = Synthetic(HERE, fields=24, size=size, seed=100)
    for name in reader.ids()[::every]:
        field = reader.read(name)
        total += score(drawn_truth(field), Watershed(HERE).segment(field), sure_only=True)
    assert total.regions > 25
    assert total.f1[1] > 0.91
    assert total.f1[3] > 0.86
    assert total.matched > 0.87


@pytest.fixture(scope="module")
def real(shared):
    """By name: a real field, its outlines by hand, and what is found."""
    reader = HpaFiles(shared / "data" / "fields", root=".")
    result = {}
    for name in FIELDS:
        field = reader.read(name)
        found = (Watershed(HERE).segment(field), Watershed(HERE).nuclei(field))
        result[name] = (field, read_outlines(OUTLINES / f"{name}.json"), *found)
    return result


def test_cells_of_real_fields(real):
    sure, every = Score(), Score()
    for _, outlines, found, _ in real.values():
        sure += score(outlines["cells"], found, sure_only=True)
        every += score(outlines["cells"], found, sure_only=False)
    assert (sure.regions, every.regions) == (20, 29)
    assert sure.f1[1] > 0.94  # one cell of 20 may be lost
    assert sure.f1[3] > 0.84
    assert sure.matched > 0.83
    assert every.f1[0] > 0.93
    assert every.matched > 0.82
    assert sure.missed == sure.split == sure.spurious == 0


def test_nuclei_of_real_fields(real):
    seeds = Score()
    for _, outlines, _, nuclei in real.values():
        seeds += score(outlines["seeds"], nuclei, sure_only=False)
    assert seeds.regions == 27
    assert seeds.f1[0] > 0.95
    assert seeds.matched > 0.86


@pytest.mark.parametrize("name", FIELDS)
def test_label_images_of_real_fields(real, name):
    field, outlines, labels, _ = real[name]
    assert (labels.shape, labels.dtype) == (field.shape, np.int32)
    assert outlines["cells"].labels.shape == field.shape
    assert cells_of(labels).areas.min() > 5500


@pytest.mark.parametrize("name", FIELDS)
def test_outlines_hang_together(name):
    """Nuclei lie in their cells, regions hardly overlap, and a wide reading holds the narrow."""
    truth = read_outlines(OUTLINES / f"{name}.json")
    cells, nuclei, seeds = (truth[kind] for kind in ("cells", "nuclei", "seeds"))
    assert len(np.unique(cells.labels)) == len(cells.sure) + 1
    assert len(np.unique(nuclei.labels)) == len(nuclei.sure) + 1
    assert (cells.labels[nuclei.labels > 0] > 0).mean() > 0.99
    assert ((seeds.labels > 0) == (nuclei.labels > 0)).all()
    held = overlaps(seeds.labels, cells.labels) > 0.01
    assert (held[1:, 1:].sum(1) == 1).all()
    for number, mask in cells.wide.items():
        assert mask[cells.labels == number].mean() > 0.97
        assert not cells.sure[number - 1]


def test_same_cells_at_another_size():
    """Thresholds are physical: the same scene at half the resolution has the same cells."""
    field = Synthetic(HERE, fields=1, size=1024).read("synthetic_0-1_A1_1")
    half = Field("half", field.pixels[:, ::2, ::2].copy(), field.pixel_size * 2)
    large = Watershed(HERE).segment(field)
    small = Watershed(HERE).segment(half)
    assert large.max() == small.max() > 0
    iou = overlaps(large[::2, ::2], small)
    assert np.median(iou[1:, 1:].max(axis=1)) > 0.9


def test_assumed_pixel_size_is_that_of_an_atlas_field():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_0-1_A1_1")
    unknown = Field("unknown", field.pixels)
    assert np.array_equal(Watershed(HERE).segment(field), Watershed(HERE).segment(unknown))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 200), (333, 257)])
@pytest.mark.parametrize("level", [0, 3, "top"])
def test_flat_fields_have_no_cells(dtype, shape, level):
    value = np.iinfo(dtype).max if level == "top" else level
    labels = Watershed(HERE).segment(Field("flat", np.full((4, *shape), value, dtype), 0.08))
    assert labels.shape == shape
    assert labels.dtype == np.int32
    assert not labels.any()


@pytest.mark.parametrize("channel", [0, 2, 3])
@pytest.mark.parametrize("value", [0, 255])
def test_a_lost_channel_does_no_harm(channel, value):
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_0-1_A1_1")
    pixels = field.pixels.copy()
    pixels[channel] = value
    labels = Watershed(HERE).segment(Field("lost", pixels, field.pixel_size))
    assert (labels.max() == 0) == (channel == 2)


def test_touching_nuclei_are_parted_and_lobes_are_not():
    shape = (256, 512)
    blue = np.zeros(shape, np.uint8)
    blue[disc(shape, 128, 100, 30) | disc(shape, 128, 154, 30)] = 200  # two that touch
    blue[disc(shape, 128, 380, 30) | disc(shape, 128, 402, 30)] = 90  # one long, dim one
    haze = np.full_like(blue, 60)
    field = Field("nuclei", np.stack([haze, haze, blue, haze]), 0.32)
    labels = Watershed(HERE).segment(field)
    assert labels[128, 95] != labels[128, 160]
    assert labels[128, 375] == labels[128, 410] != 0
    assert labels.max() == 3


def test_dim_nuclei_are_found_and_glow_is_not():
    shape = (256, 512)
    blue = np.full(shape, 8, np.uint8)
    for x in (60, 160):
        blue[disc(shape, 128, x, 34)] = 50  # glow ...
        blue[disc(shape, 128, x, 22)] = 220  # ... around a bright nucleus
    blue[disc(shape, 128, 380, 22)] = 45
    field = Field("dim", np.stack([np.full_like(blue, 60), blue, blue, blue]), 0.32)
    nuclei = Watershed(HERE).nuclei(field)
    assert nuclei.max() == 3
    areas = np.bincount(nuclei.ravel())[1:] / (np.pi * 22**2)
    assert areas == pytest.approx(1, abs=0.25)  # with its glow 2.4


def test_a_dark_line_parts_cells_wherever_it_lies():
    shape = (256, 512)
    blue = np.zeros(shape, np.uint8)
    blue[disc(shape, 128, 140, 20) | disc(shape, 128, 360, 20)] = 200
    signal = np.full(shape, 160, np.uint8)
    signal[:, 198:202] = 60  # half way is 250
    field = Field("line", np.stack([signal, signal, blue, signal]), 0.32)
    labels = Watershed(HERE).segment(field)
    assert labels.max() == 2
    border = (labels == labels[128, 140]).sum(1)
    assert np.abs(border - 200).max() <= 4


def test_a_larger_nucleus_has_the_larger_cell():
    shape = (256, 512)
    blue = np.zeros(shape, np.uint8)
    blue[disc(shape, 128, 140, 36) | disc(shape, 128, 360, 22)] = 200
    signal = np.full(shape, 160, np.uint8)
    labels = Watershed(HERE).segment(Field("two", np.stack([signal, signal, blue, signal]), 0.32))
    # From the rims 162 px apart, with a head start of the difference of the radii.
    border = 140 + 36 + (162 + 36 - 22) / 2
    assert (labels[128] == labels[128, 140]).sum() == pytest.approx(border, abs=4)


@pytest.mark.parametrize("step", [0.08, 0.32])
def test_contrast_of_dark_lines(step):
    signal = np.full((300, 300), 184.0, np.float32)
    flat = dark_lines(signal, step)
    assert np.abs(flat).max() < 1e-4
    rows, columns = np.indices(signal.shape)
    away = (rows - columns - 20) / 2**0.5 * step  # µm from a slanting line
    line = dark_lines(((signal + 16) * np.exp(-0.4 * np.exp(-2 * away**2)) - 16), step)
    inner = (slice(60, 240), slice(60, 240))
    assert 0.12 < line[inner][np.abs(away[inner]) < step / 2].mean() < 0.4
    assert line[inner][np.abs(away[inner]) > 3].max(initial=0) < 0.05
    bright = dark_lines(((signal + 16) * np.exp(0.4 * np.exp(-2 * away**2)) - 16), step)
    assert bright[inner][np.abs(away[inner]) < step / 2].max() < 0.05


def slowly_grown(seeds, cost, mask, delay):
    """Dijkstra's algorithm a pixel at a time: labels and times."""
    time = np.full(seeds.shape, np.inf)
    labels = seeds.copy()
    heap = [(float(delay[seeds[at]]), *at) for at in zip(*np.nonzero(seeds), strict=True)]
    for start, y, x in heap:
        time[y, x] = start
    heapq.heapify(heap)
    while heap:
        now, y, x = heapq.heappop(heap)
        if now > time[y, x]:
            continue
        for dy, dx in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]:
            at = (y + dy, x + dx)
            if not (0 <= at[0] < seeds.shape[0] and 0 <= at[1] < seeds.shape[1]):
                continue
            then = now + (dy * dy + dx * dx) ** 0.5 * (cost[y, x] + cost[at]) / 2
            if mask[at] and not seeds[at] and then < time[at]:
                time[at], labels[at] = then, labels[y, x]
                heapq.heappush(heap, (then, *at))
    return labels


@pytest.mark.parametrize("number", range(5))
def test_growth_is_along_shortest_ways(number):
    rng = np.random.default_rng(number)
    shape = tuple(rng.integers(20, 50, 2))
    cost = (1 + 20 * rng.random(shape) ** 4).astype(np.float32)
    mask = rng.random(shape) < 0.85
    seeds = np.zeros(shape, np.int32)
    for seed in (1, 3, 4, 7):
        y, x = rng.integers(0, np.array(shape) - 3)
        seeds[y : y + 3, x : x + 2] = seed
    mask |= seeds > 0
    delay = rng.random(8) * 15
    fast = grow(seeds, cost, mask, delay, 1)
    slow = slowly_grown(seeds, cost, mask, delay)
    assert (fast != slow).mean() < 0.002  # ties, and single precision
    assert (fast[seeds > 0] == seeds[seeds > 0]).all()
    assert not fast[~mask].any()


@pytest.mark.parametrize("block", [2, 3])
def test_growth_on_blocks_is_nearly_the_same(block):
    rng = np.random.default_rng(0)
    shape = (121, 97)
    seeds = np.zeros(shape, np.int32)
    seeds[20:26, 30:36], seeds[90:98, 60:68] = 1, 2
    cost = (1 + rng.random(shape)).astype(np.float32)
    mask = disc(shape, 60, 48, 58)
    fine = grow(seeds, cost, mask, np.zeros(3), 1)
    coarse = grow(seeds, cost, mask, np.zeros(3), block)
    assert ((coarse > 0) == mask).all()
    assert (coarse != fine).mean() < 0.03


def test_levels_and_sizes_matter():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_0-1_A1_1")
    plain = Watershed(HERE).segment(field)
    assert not Watershed(HERE, min_nucleus=1e4).segment(field).any()
    assert not Watershed(HERE, min_cell=1e6).segment(field).any()
    tight = Watershed(HERE, cell_level=2.5).segment(field)
    assert 0 < (tight > 0).sum() < (plain > 0).sum()


def test_ids_run_from_the_top_down():
    field = Synthetic(HERE, fields=1, size=512).read("synthetic_0-1_A1_1")
    boxes = cells_of(Watershed(HERE).segment(field)).boxes
    assert boxes[:, 0].tolist() == sorted(boxes[:, 0].tolist())


def boxes(*corners):
    labels = np.zeros((100, 100), np.int32)
    for number, (y0, x0, y1, x1) in enumerate(corners, 1):
        labels[y0:y1, x0:x1] = number
    return labels


LEFT, RIGHT, LOW = (0, 0, 40, 50), (0, 50, 40, 100), (60, 0, 100, 100)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((LEFT, RIGHT, LOW), (3, [3, 3, 3, 3], 0, 0, 0, 0)),
        ((LOW, LEFT), (2, [2, 2, 2, 2], 1, 0, 0, 0)),
        (((0, 0, 40, 100), LOW), (2, [2, 1, 1, 1], 0, 2, 0, 0)),  # a half is the best IoU
        ((LEFT, RIGHT, (60, 0, 100, 65), (60, 65, 100, 100)), (4, [3, 3, 2, 2], 0, 0, 1, 0)),
        ((LEFT, RIGHT, LOW, (42, 0, 58, 100)), (4, [3, 3, 3, 3], 0, 0, 0, 1)),
        ((), (0, [0, 0, 0, 0], 3, 0, 0, 0)),
    ],
)
def test_scores(found, expected):
    truth = Truth(boxes(LEFT, RIGHT, LOW), np.ones(3, bool), {})
    got = score(truth, boxes(*found), sure_only=True)
    assert (got.found, got.hits.tolist()) == expected[:2]
    assert (got.missed, got.merged, got.split, got.spurious) == expected[2:]
    assert got.f1 == pytest.approx(2 * got.hits / (3 + got.found))


def test_scores_of_unsure_regions():
    wide = boxes((50, 0, 100, 100)) > 0
    truth = Truth(boxes(LEFT, RIGHT, LOW), np.array([True, True, False]), {3: wide})
    found = boxes(LEFT, RIGHT, (50, 0, 100, 100))
    sure = score(truth, found, sure_only=True)
    assert (sure.regions, sure.found, sure.hits.tolist()) == (2, 2, [2, 2, 2, 2])
    strict = score(truth, found, sure_only=False)
    assert strict.ious == pytest.approx([1, 1, 0.8])
    either = score(truth, found, sure_only=False, either=True)
    assert either.ious == [1, 1, 1]
    total = Score()
    total += sure
    total += strict
    assert (total.regions, len(total.ious), total.hits.tolist()) == (5, 5, [5, 5, 5, 5])
