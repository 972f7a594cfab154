"""Drawn fields: repeatable, independent, and true to their own truth."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import FieldError, HpazooError
from hpazoo.geometry import cells_of
from hpazoo.readers._hierarchy import NEGATIVE
from hpazoo.readers._patterns import INTERPHASE_ONLY, PATTERNS, SPINDLE
from hpazoo.readers.synthetic import Synthetic
from hpazoo.splitters._ids import groups_by
from hpazoo.training.sources import samples_of

HERE = Path()
CLASSES = class_list("hpa-2021")


@pytest.fixture(scope="module")
def reader():
    return Synthetic(HERE, fields=38, size=256, label_noise=0)


@pytest.fixture(scope="module")
def drawn(reader):
    return [reader.read(name) for name in reader.ids()]


def test_patterns_are_the_classes():
    assert tuple(PATTERNS) == CLASSES.names


def test_same_seed_same_bytes_other_seed_other_bytes():
    few, many, other = (
        Synthetic(HERE, fields=1, size=256),
        Synthetic(HERE, fields=60, size=256),
        Synthetic(HERE, fields=1, size=256, seed=1),
    )
    (name,) = few.ids()
    assert name == "synthetic_0-1_A1_1"
    first, same = few.read(name), many.read(name)
    another = other.read("synthetic_1-1_A1_1")
    assert first.pixels.tobytes() == same.pixels.tobytes()
    assert first.masks.tobytes() == same.masks.tobytes()
    assert (first.truth, first.sha256) == (same.truth, same.sha256)
    assert first.sha256 != another.sha256
    # Not the same cells in another light, either.
    assert (first.masks > 0).tobytes() != (another.masks > 0).tobytes()
    assert few.stamp(name) == many.stamp(name) != other.stamp(name)
    assert len(set(many.ids())) == 60


def test_more_fields_leave_the_labels_of_the_first_ones():
    few, many = (
        Synthetic(HERE, fields=fields, label_noise=0.5, antibody_repeats=2).labels(CLASSES)
        for fields in (30, 200)
    )
    row = {name: number for number, name in enumerate(many.ids)}
    for number, name in enumerate(few.ids):
        assert few.labels[number].tolist() == many.labels[row[name]].tolist()
        assert all(few.columns[key][number] == many.columns[key][row[name]] for key in few.columns)


def test_truth_and_masks_agree(reader, drawn):
    table = defaultdict(dict)
    for cell in reader.truth():
        table[cell.field][cell.cell] = cell
    for field in drawn:
        cells = cells_of(field.masks)
        said = table[field.id]
        assert field.masks.dtype == np.int32
        assert field.pixel_size == pytest.approx(0.64)
        assert cells.ids.tolist() == sorted(said) == list(range(1, len(cells) + 1))
        kept = {number: cell.locations for number, cell in said.items() if not cell.discarded}
        assert field.truth == kept
        assert 3 <= len(field.truth) <= 20
        assert all(
            names == (NEGATIVE,) or (NEGATIVE not in names and set(names) <= set(PATTERNS))
            for names in field.truth.values()
        )
    assert list(reader.truth([drawn[3].id])) == list(table[drawn[3].id].values())


def test_cells_without_truth_are_cut_off_or_dissolved(reader, drawn):
    seen = 0
    for field in drawn:
        nuclei = reader.nuclei(field.id)
        assert ((nuclei == 0) | (nuclei == field.masks)).all()
        areas = np.bincount(nuclei.ravel(), minlength=field.masks.max() + 1)
        middle = np.zeros_like(nuclei, bool)
        middle[48:-48, 48:-48] = True
        for cell in reader.truth([field.id]):
            dissolves = cell.mitotic and bool(INTERPHASE_ONLY & set(cell.penetrance))
            if dissolves or (nuclei[middle] == cell.cell).sum() == areas[cell.cell] > 0:
                assert cell.discarded == dissolves
                seen += dissolves
            if not areas[cell.cell]:
                assert cell.discarded
    assert seen


def test_every_location_of_a_well_is_shown(reader):
    wells, shown = {}, defaultdict(set)
    labels = reader.labels(CLASSES)
    for row in range(len(labels)):
        wells[labels.columns["well"][row]] = set(labels.named(row).split("|"))
    for cell in reader.truth():
        if not cell.discarded:
            shown[cell.field.removeprefix("synthetic_")[:-2]] |= set(cell.locations)
    assert {name for names in wells.values() for name in names} == set(PATTERNS)  # a deck of 19
    assert all(wells[well] <= shown[well] for well in wells)


def test_nuclei_lie_in_cells(drawn):
    for field in drawn:
        blue = field.pixels[2].astype(float)
        inside, outside = blue[field.masks > 0], blue[field.masks == 0]
        assert np.percentile(inside, 98) > 100
        assert np.percentile(outside, 99) < 60


@pytest.mark.parametrize("name", PATTERNS)
def test_structures_end_with_their_cell(name):
    """A location changes the light of its cell, and of no pixel of another."""
    reader = Synthetic(HERE, fields=4, seed=5)
    place = reader._place("synthetic_5-1_A2_2")
    scene = reader._scene(place)
    # The largest cell that divides, or does not, with its neighbours' proteins off.
    which = max(
        (n for n, cell in enumerate(scene.cells) if cell.id),
        key=lambda n: (len(scene.truth.get(scene.cells[n].id, ())), scene.cells[n].outline.radius),
    )
    cells = [replace(cell, shown=(), level=1.0) for cell in scene.cells]
    outline = replace(cells[which].outline, mitotic=name == SPINDLE)
    cells[which] = replace(cells[which], outline=outline)
    dark = reader._paint(place, replace(scene, cells=cells))
    cells[which] = replace(cells[which], shown=(name,) * (name != NEGATIVE))
    light = reader._paint(place, replace(scene, cells=cells))
    assert np.array_equal(dark.drawn, light.drawn)
    changed = light.light[1] != dark.light[1]
    assert (light.drawn[changed] == which + 1).all()
    assert changed.any() == (name != NEGATIVE)
    outside = light.drawn == 0
    assert all(not light.light[channel][outside].any() for channel in (0, 2, 3))


def test_size_keeps_the_scene():
    name = "synthetic_0-2_A3_1"
    small, middle, large = (
        Synthetic(HERE, fields=40, size=size).read(name) for size in (128, 256, 512)
    )
    assert large.pixel_size == pytest.approx(small.pixel_size / 4)
    assert small.truth == middle.truth == large.truth
    for other in (small, middle):
        size = other.shape[0]
        again = cv2.resize(large.masks, (size, size), interpolation=cv2.INTER_NEAREST)
        assert (again == other.masks).mean() > 0.97
        light = cv2.resize(large.pixels[1], (size, size), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(light.ravel(), other.pixels[1].ravel())[0, 1] > 0.8


@pytest.mark.parametrize("heterogeneity", [0, 1, 2.2])
def test_penetrance_is_as_asked(heterogeneity):
    """In interphase, where it can be told; a cell of the first field may be made to show it."""
    reader = Synthetic(HERE, fields=240, heterogeneity=heterogeneity)
    usual = {cell.field: cell.penetrance for cell in Synthetic(HERE, fields=240).truth()}
    wanted, shown, strays = [], [], 0
    for cell in reader.truth(name for name in reader.ids() if name.endswith("_2")):
        if cell.discarded or cell.mitotic:
            continue
        for name, share in cell.penetrance.items():
            if name != SPINDLE:
                before = usual[cell.field][name]
                assert share == pytest.approx(max(1 - heterogeneity * (1 - before), 0.05))
                wanted.append(share)
                shown.append(name in cell.locations)
        strays += bool(set(cell.locations) - {*cell.penetrance, NEGATIVE})
    error = (np.mean(wanted) * (1 - np.mean(wanted)) / len(wanted)) ** 0.5
    assert abs(np.mean(shown) - np.mean(wanted)) <= 4 * error
    assert (strays == 0) == (heterogeneity == 0)
    if heterogeneity == 1:  # the mean of the shares that were measured is .62
        assert 0.55 < np.mean(wanted) < 0.7


@pytest.mark.parametrize("errors", ["slips", "swaps"])
def test_noise_of_labels(errors):
    def said(noise, **more):
        reader = Synthetic(HERE, fields=2400, label_noise=noise, label_errors=errors, **more)
        return reader.labels(CLASSES)

    clean, some, many, all_wrong = (said(noise) for noise in (0, 0.1, 0.3, 1))
    wrong = [(table.labels != clean.labels).any(axis=1) for table in (some, many, all_wrong)]
    error = (0.3 * 0.7 / 1200) ** 0.5  # a field of a well says what the other says
    assert abs(wrong[0].mean() - 0.1) < 4 * error
    assert abs(wrong[1].mean() - 0.3) < 4 * error
    assert wrong[2].all()
    assert (wrong[1] >= wrong[0]).all()
    negative = clean.labels[:, CLASSES.index(NEGATIVE)]
    assert 0.04 < negative.mean() < 0.07
    for table in (clean, many, all_wrong):
        assert table.labels.any(axis=1).all()
        alone = table.labels[table.labels[:, CLASSES.index(NEGATIVE)]]
        assert (alone.sum(axis=1) == 1).all()
    truth = Synthetic(HERE, fields=9, label_noise=1).truth()
    assert list(truth) == list(Synthetic(HERE, fields=9, label_noise=0).truth())


def test_twins_share_labels():
    reader = Synthetic(HERE, fields=6 * 24, label_noise=0.5, antibody_repeats=3)
    table = reader.labels(CLASSES)
    by = defaultdict(list)
    for row, antibody in enumerate(table.columns["antibody"]):
        by[antibody].append(row)
    assert len(by) == 24
    for rows in by.values():
        assert len({table.columns["plate"][row] for row in rows}) == 3
        assert len({table.columns["well"][row] for row in rows}) == 3
        assert len({table.named(row) for row in rows}) == 1
    assert len({table.named(rows[0]) for rows in by.values()}) > 12
    one, twin, other = (f"synthetic_{reader.seed}-{plate}_A1_1" for plate in (1, 3, 4))
    shares = [next(reader.truth([name])).penetrance for name in (one, twin, other)]
    assert shares[0] == shares[1] != shares[2]
    fields = [reader.read(name) for name in (one, twin)]
    assert fields[0].sha256 != fields[1].sha256


def test_wells_and_antibodies_are_groups():
    reader = Synthetic(HERE, fields=6 * 24, antibody_repeats=2)
    samples = samples_of(reader.labels(CLASSES))
    for column, count in {"well": 72, "antibody": 36, "plate": 6}.items():
        group, _ = groups_by(samples, None, column, "refuse")
        assert sorted(np.bincount(group).tolist()) == [144 // count] * count
    with pytest.raises(HpazooError, match="say no antibody"):
        groups_by(samples, "antibody", None, "refuse")


def test_negative_fields_are_dark():
    reader = Synthetic(HERE, fields=240, size=256, label_noise=0)
    labels = reader.labels(CLASSES)
    negative = labels.labels[:, CLASSES.index(NEGATIVE)]
    dark = [name for name, no in zip(labels.ids, negative.tolist(), strict=True) if no]
    bright = [name for name, no in zip(labels.ids, negative.tolist(), strict=True) if not no]
    levels = [
        [np.percentile(reader.read(name).pixels[1], 99) for name in names[:10]]
        for names in (dark, bright)
    ]
    assert max(levels[0]) < 110
    assert np.median(levels[1]) > 130


def look_of(field):
    """Of a field's pixels, not of its cells: how sharp, noisy, dark and full it is."""
    found = []
    for channel in (0, 2, 3):
        pixels = field.pixels[channel].astype(np.float32)
        fine = pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5)
        found += [fine.std() / pixels.std(), pixels.mean(), np.median(np.abs(fine))]
    return found


def test_plates_have_their_own_look():
    plates = 6
    reader = Synthetic(HERE, fields=24 * plates, size=256)
    names = [
        f"synthetic_0-{plate + 1}_{row}{n}_1"
        for plate in range(plates)
        for row in "AB"
        for n in range(1, 5)
    ]
    looks = np.log([look_of(reader.read(name)) for name in names])
    plate = np.repeat(np.arange(plates), 8)
    spread = np.mean([looks[plate == one].std(axis=0) for one in range(plates)], axis=0)
    right = 0
    for row, own in enumerate(plate.tolist()):
        others = np.arange(len(plate)) != row
        means = np.stack([looks[others & (plate == one)].mean(axis=0) for one in range(plates)])
        right += int((np.square((looks[row] - means) / spread).sum(axis=1)).argmin()) == own
    assert right / len(plate) > 0.6  # chance is .17


@pytest.mark.slow
def test_size_and_place_do_not_give_labels_away():
    """What a classifier could use instead of patterns; in dividing cells size is the pattern."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    reader = Synthetic(HERE, fields=480, size=128)
    rows, truth, plates = [], [], []
    for name in reader.ids():
        if not name.endswith("_1"):
            continue
        field = reader.read(name)
        cells = cells_of(field.masks)
        for cell in reader.truth([name]):
            if cell.discarded or cell.mitotic:
                continue
            y0, x0, y1, x1 = cells.boxes[cell.cell - 1].tolist()
            area = float(cells.areas[cell.cell - 1])
            y, x = (y0 + y1) / 256 - 0.5, (x0 + x1) / 256 - 0.5
            nucleus = field.pixels[1][field.masks == cell.cell].max() / 255
            shape = [np.log(area), (y1 - y0) / (x1 - x0), y, x, y * y, x * x]
            rows.append([*shape, float(cells.touches_border[cell.cell - 1]), len(cells), nucleus])
            truth.append([one in cell.locations for one in PATTERNS])
            plates.append(int(name.split("_")[1]))
    features, shown = np.array(rows), np.array(truth)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    test = np.array(plates) > 13
    assert test.sum() > 400

    def auc(one, columns):
        model = LogisticRegression().fit(features[~test][:, columns], shown[~test, one])
        return roc_auc_score(shown[test, one], model.decision_function(features[test][:, columns]))

    classes = [n for n, name in enumerate(PATTERNS) if name != SPINDLE]
    blind = [auc(one, slice(0, 8)) for one in classes]
    assert abs(np.mean(blind) - 0.5) < 0.03
    assert max(blind) < 0.65
    # The same classifier, shown a little of the protein, does better: it could have.
    assert auc(len(PATTERNS) - 1, slice(0, 9)) > 0.7


@pytest.mark.parametrize(
    "name",
    [
        *("synthetic_0-9_A1_1", "synthetic_0-0_A1_1", "synthetic_0-1_A1_3", "synthetic_0-1_A1_1\n"),
        *("synthetic_1-1_A1_1", "synthetic_1_A1_1", ""),
    ],
)
def test_unknown_field(name):
    with pytest.raises(FieldError, match="no drawn field"):
        Synthetic(HERE).read(name)
