"""Labels of several readers, joined with their images."""

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.training.sources import gather

NEW = class_list("hpa-2021")


def images(folder, *ids):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ids:
        for channel in ("red", "green", "blue", "yellow"):
            (folder / f"{name}_{channel}.png").touch()


def source(tmp_path, name, rows, files, **options):
    (tmp_path / f"{name}.csv").write_text("ID,Label,plate\n" + "".join(f"{r},p\n" for r in rows))
    images(tmp_path / name, *files)
    return {"type": "hpa-files", "root": name, "labels": f"{name}.csv", **options}


def test_joined_and_sorted(tmp_path):
    one = source(tmp_path, "one", ["z,0|1", "b,2", "lost,3"], ["b", "z", "unlabelled"])
    two = source(tmp_path, "two", ["b,2", "a,4", "x,16"], ["a", "b", "x"], exclude=["Cytosol"])
    found = gather([one, two], NEW, tmp_path)
    assert found.table.ids == ("a", "b", "z")
    assert found.reader_of.tolist() == [1, 0, 0]
    assert [np.flatnonzero(row).tolist() for row in found.table.labels] == [[4], [2], [0, 1]]
    assert [reader.root.name for reader in found.readers] == ["one", "two"]
    text = "\n".join(found.notes)
    assert "one.csv: 1 of 3 labelled images have no files: lost" in text
    assert "one.csv: 1 image without labels: unlabelled" in text
    assert "two.csv: 1 image with Cytosol left out of 3" in text
    assert "1 image in more than one table" in text
    samples = found.samples(np.zeros((3, 2), np.float32))
    assert len(samples) == 3
    assert samples.columns == {"plate": ("p", "p", "p")}
    assert samples.embeddings.shape == (3, 2)


def test_drawn_fields(tmp_path):
    found = gather(["synthetic"], NEW, tmp_path)
    assert len(found) == 8
    assert found.table.ids == tuple(sorted(found.readers[0].ids()))


def test_ids_that_differ_a_little_are_pointed_out(tmp_path):
    one = source(
        tmp_path, "one", ["x,0", "5_20_A1_1_cr57f,1", "ABC,2"], ["x", "20_A1_1", "abc", "other"]
    )
    text = "\n".join(gather([one], NEW, tmp_path).notes)
    assert "2 of 3 labelled images have no files: 5_20_A1_1_cr57f, ABC; 2 of them are there" in text
    assert "(20_A1_1 for 5_20_A1_1_cr57f)" in text
    assert "3 images without labels: 20_A1_1, abc, other" in text


@pytest.mark.parametrize(
    ("rows", "files", "words"),
    [
        (["a,0"], ["b"], "none of its 1 ids has an image with reader 'hpa-files', which finds 1"),
        (["a,0"], ["b"], "the table begins with a, the images with b; are they of one data set?"),
        (["A,0"], ["a"], "1 of them are there under another name (a for A)"),
    ],
)
def test_nothing_joins(tmp_path, rows, files, words):
    with pytest.raises(HpazooError) as caught:
        gather([source(tmp_path, "one", rows, files)], NEW, tmp_path)
    assert words in str(caught.value)


def test_readers_that_cannot_be_learned_from(tmp_path):
    images(tmp_path / "bare", "a")
    with pytest.raises(HpazooError, match="have no labels"):
        gather([{"type": "hpa-files", "root": "bare"}], NEW, tmp_path)
    one = source(tmp_path, "one", ["a,0"], ["a"])
    two = source(tmp_path, "two", ["a,1"], ["a"])
    with pytest.raises(HpazooError, match=r"one id and different labels: a \(Nucleoplasm and Nuc"):
        gather([one, two], NEW, tmp_path)
    with pytest.raises(UsageError, match="no map"):
        gather([one | {"labels_in": "hpa-2021"}], class_list("hpa-2018"), tmp_path)
