import numpy as np
import pytest

from hpazoo.classes import ClassList
from hpazoo.geometry import cells_of
from hpazoo.imageio import read_label_image
from hpazoo.writers import FieldResult
from hpazoo.writers.label_images import LabelImages

CLASSES = ClassList("mine", ("Nucleus", "Rods & rings", "ER"))


def result(name, ids, probabilities):
    masks = np.zeros((9, 7), np.int32)
    for row, cell in enumerate(ids):
        masks[2 * row, 1:4] = cell
    values = np.asarray(probabilities, np.float32).reshape(-1, 3)
    return FieldResult(name, 9, 7, None, "", (), cells_of(masks), values, masks.copy)


@pytest.mark.parametrize("format", ["png", "tif"])
def test_cells_keep_their_ids(tmp_path, format):
    fields = [result("a", [3, 900], np.zeros((2, 3))), result("b", [], [])]
    (folder,) = LabelImages(CLASSES, format=format).write(tmp_path, fields, "")
    assert folder == tmp_path / "label-images"
    assert sorted(path.name for path in folder.iterdir()) == [f"a.{format}", f"b.{format}"]
    for field in fields:
        assert np.array_equal(read_label_image(folder / f"{field.id}.{format}"), field.masks())


def test_ids_that_a_png_cannot_hold_go_into_a_tif(tmp_path):
    field = result("a", [70_000], np.zeros((1, 3)))
    (folder,) = LabelImages(CLASSES).write(tmp_path, [field], "")
    assert np.array_equal(read_label_image(folder / "a.tif"), field.masks())


def test_locations(tmp_path):
    field = result("a", [5, 8, 70_000], [[0.1, 0.3, 0.2], [0.5, 0.1, 0.1], [0, 0, 1]])
    (folder,) = LabelImages(CLASSES, values="location").write(tmp_path, [field], "")
    labels = read_label_image(folder / "a.png")
    assert labels[0].tolist() == [0, 2, 2, 2, 0, 0, 0]
    assert [labels[row, 1] for row in (2, 4, 6)] == [1, 3, 0]


def test_a_second_time_replaces_the_first_and_a_stamp_lies_beside(tmp_path):
    LabelImages(CLASSES).write(tmp_path, [result("a", [1], np.zeros((1, 3)))], "")
    LabelImages(CLASSES).write(tmp_path, [result("b", [1], np.zeros((1, 3)))], "random weights")
    folder = tmp_path / "label-images"
    assert sorted(path.name for path in folder.iterdir()) == ["b.png", "stamp.txt"]
    assert (folder / "stamp.txt").read_text() == "random weights\n"
