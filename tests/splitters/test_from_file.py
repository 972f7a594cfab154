"""Folds from a file are those of the file, or it says why not."""

import numpy as np
import pytest

from hpazoo.errors import HpazooError
from hpazoo.splitters import Samples
from hpazoo.splitters.from_file import FromFile
from tests.splitters.conftest import NEW

IDS = ("a", "b", "c", "d")


def split(folder, text, encoding="utf-8"):
    (folder / "folds.csv").write_bytes(text.encode(encoding))
    samples = Samples(IDS, np.ones((4, 19), bool), NEW)
    return FromFile(folder, file="folds.csv").split(samples)


@pytest.mark.parametrize(
    "text",
    [
        "field,fold\na,0\nb,1\nc,-1\nd,0\n",
        "\ufeffID;fold;what\r\nb;1;x\r\na;0;y\r\nd;0;\r\nc;-1;z\r\n",
        ",Fold,Id\n0,0,a\n1,1,b\n\n2,-1,c\n3,0,d",
        "field\tfold\na\t0.0\nb\t1.0\nc\t-1\nd\t0",
    ],
)
def test_folds(tmp_path, text):
    found = split(tmp_path, text)
    assert found.fold.tolist() == [0, 1, -1, 0] and found.fold.dtype == np.int64
    assert found.group is None and found.notes == ()


def test_groups_and_rows_of_other_images(tmp_path):
    text = "field,fold,group\na,0,x\nb,1,\nc,1,\nd,0,x\ne,7,x\n"
    found = split(tmp_path, text, "utf-16")
    assert found.fold.tolist() == [0, 1, 1, 0]
    assert found.group.tolist() == [0, 1, 2, 0] and found.group.dtype == np.int64
    assert len(found.notes) == 1 and "1 of 5 rows are of no image" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "folds.csv: the file is empty; expected a table with the columns field"),
        ("field,folds\na,0", "line 1: no column fold among field, folds"),
        ("name,fold\na,0", "line 1: no column ID among name, fold"),
        ("field,fold,Fold\na,0,0", "line 1: 2 columns 'fold'"),
        ("field,fold\na,0\nb,1\n", r"2 of 4 images are not in it \(c, d\); give each a row"),
        ("field,fold\nq,0\n", r"4 of 4 images are not in it \(a, b, c, ...\)"),
        ("field,fold\na,0\nb,1\na,0\n", "line 4: 'a' stands on line 2 already"),
        ("field,fold\na,x\n", "line 2: 'x' is no fold; write 0, 1, 2"),
        ("field,fold\na,\n", "line 2: '' is no fold"),
        ("field,fold\na\n", "line 2: '' is no fold"),
        ("field,fold\na,1.5\n", "line 2: '1.5' is no fold"),
        ("field,fold\na,-2\n", "line 2: '-2' is no fold"),
        ("field,fold\na,nan\n", "line 2: 'nan' is no fold"),
        ("field,fold\na,1e9\n", "line 2: '1e9' is no fold"),
        ("field,fold\n,1\n", "line 2: no id in this row"),
        ("field,fold\na,0\nb,0\nc,2\nd,2\n", "none of the images is in fold 1, but .* in fold 2"),
        ("field,fold\na,-1\nb,-1\nc,-1\nd,-1\n", "no image is in a fold, all are -1"),
        ("field,fold\na,0\nb,0\nc,0\nd,0\n", "all images are in fold 0, none is left to train"),
        (
            "field,fold,group\na,0,x\nb,1,y\nc,1,x\nd,0,x\n",
            r"group 'x' is in folds 0 \(a\) and 1 \(c\); a group stays in one fold",
        ),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, text, words):
    with pytest.raises(HpazooError, match=words):
        split(tmp_path, text)


def test_no_file(tmp_path):
    splitter = FromFile(tmp_path, file="none.csv")
    assert splitter.folds is None
    with pytest.raises(HpazooError, match=r"no file .*none\.csv; expected a table"):
        splitter.split(Samples(IDS, np.ones((4, 19), bool), NEW))


def test_folds_of_a_run_are_read_again(tmp_path):
    from hpazoo.splitters import Split
    from hpazoo.training.folds import write_folds

    fold, group = np.array([2, 0, 1, 0]), np.array([5, 3, 4, 3])
    write_folds(tmp_path / "folds.csv", IDS, Split(fold, group))
    found = FromFile(tmp_path, file="folds.csv").split(Samples(IDS, np.ones((4, 19), bool), NEW))
    assert np.array_equal(found.fold, fold)
    assert found.group.tolist() == [0, 1, 2, 1]
