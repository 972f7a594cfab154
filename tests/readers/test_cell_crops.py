"""Cells as images of their own: the pictures are the strategy's, the labels whose they are said."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpazoo import register
from hpazoo.classes import class_list
from hpazoo.errors import ComponentError, FieldError, HpazooError, UsageError
from hpazoo.fields import Field, Input
from hpazoo.labels import LabelTable
from hpazoo.readers import readers
from hpazoo.readers.cell_crops import CellCrops
from hpazoo.readers.synthetic import Synthetic
from hpazoo.splitters.groups import Groups
from hpazoo.strategies.cell_crop import CellCrop
from hpazoo.training.filling import fill
from hpazoo.training.image_store import ImageStore, load_pixels
from hpazoo.training.sources import gather

HERE = Path()
CLASSES = class_list("hpa-2021")
DRAWN = {"type": "synthetic", "fields": 6, "size": 256, "label_noise": 0}


def crops(of=None, labels="field", **options):
    return CellCrops(HERE, of=of or DRAWN, labels=labels, **options)


def split(image):
    field, _, cell = image.rpartition("_")
    return field, int(cell)


class Photographs:
    """Three fields with masks and labels, of a reader that cannot tell cells by itself."""

    gives = ("masks", "labels")

    def __init__(self, data):
        self.reads = Counter()
        self.version = 1
        self.lock = threading.Lock()

    def ids(self):
        return ["broken", "empty", "few", "other"]

    def stamp(self, field_id):
        return f"{field_id} {self.version}"

    def read(self, field_id):
        with self.lock:
            self.reads[field_id] += 1
        if field_id not in self.ids():
            raise FieldError(f"no field {field_id}")
        if field_id == "broken":
            raise FieldError("broken: its green channel is cut short")
        rng = np.random.default_rng(len(field_id))
        pixels = rng.integers(1, 65536, (4, 700, 900), np.uint16)
        masks = np.zeros((700, 900), np.int64)
        if field_id != "empty":
            masks[0:90, 10:140] = 3
            masks[300:420, 500:560] = 2**40
            masks[640:643, 800:805] = 7  # a speck
        return Field(field_id, pixels, 0.1, (f"of {field_id}",), "0" * 64, masks)

    def labels(self, classes):
        labels = np.zeros((3, len(classes)), bool)
        labels[[0, 1, 2], [4, 5, 6]] = True
        ids, columns = ("few", "gone", "broken"), {"plate": ("p", "q", "r")}
        return LabelTable(classes, ids, labels, columns, ("a note",), "t.csv")


class Untruthful(Photographs):
    """Knows cells, and says of them what is no class."""

    gives = ("masks", "truth")

    def read(self, field_id):
        return replace(super().read(field_id), truth={3: ("Nowhere",)})


@pytest.fixture
def photographs():
    for name, factory in (("photographs", Photographs), ("untruthful", Untruthful)):
        register("readers", f"test.{name}")(factory)
    yield "test.photographs"
    for name in ("photographs", "untruthful"):
        del readers._added[f"test.{name}"]
    readers._components = None


@pytest.mark.parametrize("of", ["drawn", "photographs"])
@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("others", ["zero", "keep"])
@pytest.mark.parametrize("size", [48, 160])
def test_a_network_learns_what_it_will_be_shown(of, fit, others, size, photographs, tmp_path):
    config = photographs if of == "photographs" else DRAWN | {"fields": 2}
    options = {"margin": 9, "others": others, "fit": fit}
    reader = crops(config, size=size, **options)
    field = reader.of.read(reader.of.ids()[-1])
    views = list(CellCrop(**options).views(field, field.masks, Input(size, "none")))
    assert len(views) > 2
    store = ImageStore(tmp_path, size)
    for view in views:
        image = f"{field.id}_{view.cells[0]}"
        assert np.array_equal(reader.read(image).pixels, view.pixels)
        kept = store.add({"type": "cell-crops"}, reader, image)
        assert np.array_equal(load_pixels(kept), view.pixels)


def test_without_a_size_a_cell_is_as_large_as_in_its_field(photographs):
    reader = crops(photographs, fit="pad", margin=10)
    field, found = reader.of.read("few"), reader.read(f"few_{2**40}")
    margin = round(10 * 900 / 512)
    tall, wide = 120 + 2 * margin, 60 + 2 * margin
    assert found.pixels.shape == (4, tall, tall)
    left = (tall - wide) // 2 + margin
    eight = (field.pixels[:, 300:420, 500:560].astype(int) + 128) // 257
    assert np.array_equal(found.pixels[:, margin:-margin, left : left + 60], eight)
    assert np.count_nonzero(found.pixels) == np.count_nonzero(eight)
    assert (found.pixel_size, found.notes) == (0.1, ("of few",))
    # One that is cut off by the field has its margin inside alone.
    corner = reader.read("few_3")
    assert corner.pixels.shape[1] == min(10, margin) + 130 + margin
    assert np.count_nonzero(corner.pixels[:, :, 0]) == 0


def test_pixel_sizes_are_those_of_the_image(photographs):
    half = crops(photographs, fit="pad", margin=0, size=60).read(f"few_{2**40}")
    assert half.pixel_size == pytest.approx(0.1 * 120 / 60, rel=0.02)
    stretched = crops(photographs, margin=0, size=60).read(f"few_{2**40}")
    assert stretched.pixel_size is None


def test_cells_with_the_labels_of_their_field():
    reader, fields = crops(), Synthetic(HERE, fields=6, size=256, label_noise=0)
    table, of_fields = reader.labels(CLASSES), fields.labels(CLASSES)
    there = {f"{one.field}_{one.cell}" for one in fields.truth()}
    assert reader.ids() == sorted(table.ids) == sorted(there)
    assert any(one.discarded for one in fields.truth())
    for row, image in enumerate(table.ids):
        field, _ = split(image)
        same = of_fields.ids.index(field)
        assert np.array_equal(table.labels[row], of_fields.labels[same])
        assert table.columns["field"][row] == field
        for name, texts in of_fields.columns.items():
            assert table.columns[name][row] == texts[same]
    for name in fields.ids():
        found = np.unique(fields.read(name).masks)[1:].tolist()
        assert found == sorted(cell for field, cell in map(split, table.ids) if field == name)


def test_cells_with_their_own_labels():
    reader, fields = crops(labels="cell"), Synthetic(HERE, fields=6, size=256, label_noise=0)
    table = reader.labels(CLASSES)
    assert reader.ids() == sorted(table.ids)
    true = {f"{name}_{cell}": said for name in fields.ids() for cell, said in truth(fields, name)}
    assert true == {name: table.named(row).split("|") for row, name in enumerate(table.ids)}
    assert set(table.columns) == {*fields.labels(CLASSES).columns, "field"}
    discarded = sum(one.discarded for one in fields.truth())
    assert table.notes == (f"{discarded} cells left out: nobody can tell what they show",)


def truth(fields, name):
    for cell, locations in fields.read(name).truth.items():
        yield cell, list(locations)


def test_a_training_divides_them_by_field(tmp_path):
    configs = [
        {"type": "cell-crops", "of": DRAWN, "labels": "field"},
        {"type": "cell-crops", "of": DRAWN | {"seed": 3}, "labels": "cell"},
    ]
    found = gather(configs, CLASSES, tmp_path)
    assert set(found.reader_of.tolist()) == {0, 1}
    fold = Groups(HERE, column="field", folds=3).split(found.samples()).fold
    owner = found.table.columns["field"]
    assert len({*zip(owner, fold.tolist(), strict=True)}) == len(set(owner)) == 12
    assert set(fold.tolist()) == {0, 1, 2}


def test_what_cannot_be_shown_is_said(photographs, tmp_path):
    reader = crops(photographs)
    assert reader.ids() == ["broken_0", f"few_{2**40}", "few_3", f"other_{2**40}", "other_3"]
    with pytest.raises(FieldError, match="broken: its green channel is cut short"):
        reader.read("broken_0")
    table = reader.labels(CLASSES)
    assert sorted(table.ids) == [f"few_{2**40}", "few_3"]
    assert table.columns == {"plate": ("p", "p"), "field": ("few", "few")}
    assert table.notes == (
        "a note",
        "1 of 3 labelled fields have no files: gone",
        "1 field cannot be read: broken: its green channel is cut short",
        "1 field without cells: empty",
    )
    config = {"type": "cell-crops", "of": photographs, "labels": "field"}
    text = "\n".join(gather([config], CLASSES, tmp_path).notes)
    assert f"3 images without labels: broken_0, other_{2**40}, other_3" in text


def test_fields_are_read_once_for_all_of_their_cells(photographs):
    reader = crops(photographs)
    ids, _ = reader.ids(), reader.labels(CLASSES)
    assert reader.of.reads == {"broken": 2, "empty": 1, "few": 1, "other": 1}
    for image in ids[1:]:
        reader.read(image)
    assert reader.of.reads["few"] == reader.of.reads["other"] == 2
    reader.of.version = 2
    assert reader.ids() == ids
    assert reader.of.reads["few"] == 3
    reader.read("few_3")
    assert reader.of.reads["few"] == 4


def test_threads_that_fill_a_store_share_the_fields(photographs, tmp_path):
    config = {"type": "cell-crops", "of": photographs, "labels": "field", "size": 32}
    sources = gather([config], CLASSES, tmp_path)
    (reader,) = sources.readers
    reader.of.reads.clear()
    args = sources, [config], 4, lambda count: None, lambda image, reason: None
    found, aside = fill(ImageStore(tmp_path / "store", 32), *args)
    assert (set(found), aside) == ({f"few_{2**40}", "few_3"}, {})
    assert reader.of.reads == {"few": 1}
    again = fill(ImageStore(tmp_path / "store", 32), *args)
    assert again == (found, {})
    assert reader.of.reads == {"few": 1}


def test_threads_get_what_one_alone_gets():
    one, many = crops(size=32), crops(size=32)
    ids = one.ids()
    mixed = [ids[place] for place in np.random.default_rng(0).permutation(len(ids))]
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(mixed, pool.map(many.read, mixed), strict=True))
    for image in ids:
        assert np.array_equal(found[image].pixels, one.read(image).pixels)


def test_a_cell_in_two_parts_is_shown_by_its_larger_one():
    class Parts(Photographs):
        def read(self, field_id):
            masks = np.zeros((512, 512), np.uint16)
            cv2.circle(masks, (100, 100), 30, 5, -1)
            masks[480:490, 480:490] = 5
            return Field(field_id, np.full((4, 512, 512), 200, np.uint8), None, (), "", masks)

    register("readers", "test.parts")(Parts)
    try:
        found = crops("test.parts", margin=4, fit="pad").read("few_5")
    finally:
        del readers._added["test.parts"]
        readers._components = None
    assert found.pixels.shape == (4, 69, 69)
    assert found.pixel_size is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"of": {"type": "hpa-files", "root": "."}}, "'hpa-files' gives no masks that say where"),
        ({"of": "test.photographs", "labels": "cell"}, "does not know what each cell shows"),
        ({"of": "test.untruthful"}, "has no labels of its fields; 'labels: cell' gives each"),
        ({"of": "sinthetic"}, "unknown reader 'sinthetic'; did you mean 'synthetic'"),
        ({"of": {"type": "cell-crops", "of": DRAWN, "labels": "field"}}, "gives no masks"),
    ],
)
def test_readers_that_will_not_do(photographs, options, words):
    with pytest.raises(UsageError) as caught:
        crops(**options)
    assert words in str(caught.value)


def test_nothing_can_be_learned(photographs, monkeypatch):
    with pytest.raises(UsageError, match="says 'Nowhere' of cells, which the class list hpa-2021"):
        crops("test.untruthful", "cell").labels(CLASSES)
    with pytest.raises(UsageError, match="draws the classes of hpa-2021"):
        crops().labels(class_list("hpa-2018"))
    monkeypatch.setattr(Photographs, "ids", lambda self: ["empty"])
    with pytest.raises(HpazooError, match="finds 1 field, and none has cells"):
        crops(photographs).ids()
    monkeypatch.setattr(Photographs, "ids", lambda self: ["other"])
    with pytest.raises(HpazooError, match=r"t\.csv: no cell has labels: of 1 field of reader"):
        crops(photographs).labels(CLASSES)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("few_03", "cells are called <field>_<number>"),
        ("few_99", f"few_99: no cell 99 in the field few, which has 3, 7, {2**40}"),
        ("few_0", "no cell 0 in the field few"),
        ("empty_1", "which has none"),
        ("lost_1", "no field lost"),
        ("12", "no cell 12"),
    ],
)
def test_cells_that_are_not_there(photographs, image, words):
    with pytest.raises(FieldError) as caught:
        crops(photographs).read(image)
    assert words in str(caught.value)


def test_options_that_it_does_not_take():
    with pytest.raises(ComponentError, match="cell-crops"):
        readers.build({"type": "cell-crops", "of": DRAWN}, HERE)
