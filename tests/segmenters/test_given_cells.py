"""Cells that others found: label images on disk, and those a reader brings."""

import errno
from pathlib import Path

import numpy as np
import pytest

from hpazoo.errors import FieldError
from hpazoo.fields import Field
from hpazoo.imageio import write_label_image
from hpazoo.segmenters.label_images import LabelImages
from hpazoo.segmenters.provided import Provided

FIELD = Field("1_A1_1", np.zeros((4, 12, 17), np.uint8))
LABELS = np.zeros((12, 17), np.int32)
LABELS[2:5, 3:9], LABELS[7:, 10:] = 5, 70000


def problem(segmenter, field=FIELD) -> str:
    with pytest.raises(FieldError) as caught:
        segmenter.segment(field)
    return str(caught.value)


@pytest.mark.parametrize("name", ["{}.tif", "{}_mask.tif", "{}_cell_mask.tiff", "{}.npy"])
def test_ids_are_kept(tmp_path, name):
    path = tmp_path / "masks" / name.format(FIELD.id)
    path.parent.mkdir()
    np.save(path, LABELS) if path.suffix == ".npy" else write_label_image(path, LABELS)
    labels = LabelImages(tmp_path, root="masks").segment(FIELD)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, LABELS)


def test_building_does_not_touch_the_disk():
    with pytest.raises(FieldError, match="no folder of label images"):
        LabelImages(Path("nowhere"), root="masks").stamp("x")


def test_messages(tmp_path):
    given = LabelImages(tmp_path, root="masks")
    assert f"no folder of label images {tmp_path / 'masks'}" in problem(given)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1_A1_1_nuclei.png").write_bytes(b"")
    text = problem(given)
    assert text.startswith(f"1_A1_1: no label image in {tmp_path / 'masks'}: looked for 1_A1_1.png")
    assert text.endswith("there is 1_A1_1_nuclei.png")
    path = tmp_path / "masks" / "1_A1_1.png"
    write_label_image(path, np.ones((6, 17), np.uint8))
    assert "1_A1_1.png: 17 x 6 (width x height), but the field 1_A1_1 is 17 x 12" in problem(given)
    np.save(path.with_suffix(".npy"), LABELS)
    assert "2 label images" in problem(given)
    assert "1_A1_1.png and 1_A1_1.npy; keep one" in problem(given)
    path.unlink()
    np.save(path.with_suffix(".npy"), np.full((12, 17), 2**31))
    assert "id 2147483648 is above 2**31 - 1" in problem(given)


def test_stamp_follows_the_file(tmp_path):
    given = LabelImages(tmp_path, root=".")
    with pytest.raises(FieldError, match="no label image"):
        given.stamp("x")
    write_label_image(tmp_path / "x.png", LABELS % 9)
    first = given.stamp("x")
    assert first == LabelImages(tmp_path, root=".").stamp("x") != ""
    np.save(tmp_path / "x.npy", LABELS)
    assert given.stamp("x") != first


@pytest.mark.parametrize("fill", [1, 255, 65535])
def test_filled_masks_are_refused(tmp_path, fill):
    """Ids that masks of two levels have; two cells would pass for one."""
    given = LabelImages(tmp_path, root=".")
    path = tmp_path / f"{FIELD.id}.png"
    write_label_image(path, np.where(LABELS > 0, fill, 0))
    text = problem(given)
    assert text.startswith(f"{path}: 2 areas apart from each other have one id, {fill}, as in a")
    assert "another id than 1, 255, 65535" in text
    one = np.where(LABELS == 5, fill, 0)
    one[11, 16] = fill  # a crumb of it
    for labels in (one, np.where(LABELS > 0, 7, 0), np.where(LABELS == 5, 2, LABELS % 3 * fill)):
        write_label_image(path, labels)
        assert np.array_equal(given.segment(FIELD), labels)


def test_long_names_and_closed_folders(tmp_path, monkeypatch):
    """A name may fit the file system with one ending and not with another."""
    field = Field("x" * 245, FIELD.pixels)
    write_label_image(tmp_path / "short.png", LABELS % 9)
    (tmp_path / "short.png").rename(tmp_path / f"{field.id}.png")
    assert np.array_equal(LabelImages(tmp_path, root=".").segment(field), LABELS % 9)

    def closed(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", closed)
    text = problem(LabelImages(tmp_path, root="."))
    assert text.endswith("1_A1_1.png: cannot be looked for: Permission denied")


def test_provided():
    carried = Field("x", FIELD.pixels, masks=LABELS)
    assert np.array_equal(Provided(Path()).segment(carried), LABELS)
    assert "its reader gives no label image" in problem(Provided(Path()))
