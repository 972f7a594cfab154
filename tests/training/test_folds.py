"""Splits are checked, whatever splitter made them, and written so that they can be read again."""

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.splitters import Samples, Split
from hpazoo.training.folds import split, write_folds

NEW = class_list("hpa-2021")


class Given:
    def __init__(self, fold, group=None, folds=None):
        self.folds, self.given = folds, (np.array(fold), None if group is None else np.array(group))

    def split(self, samples):
        return Split(*self.given, ("a note",))


def samples(count):
    return Samples(tuple(f"x{row}" for row in range(count)), np.ones((count, 19), bool), NEW)


@pytest.mark.parametrize(
    ("fold", "group", "folds"),
    [
        ([0, 1, 1, 0], None, 2),
        ([0, 1, 2, -1], [3, 4, 4 + 1, 9], None),
        ([0, -1, -1, -1], None, 1),
        (np.array([0, 1, 1, 0], np.int32), [7, 8, 8, 7], 2),
    ],
)
def test_sound_splits(fold, group, folds):
    found = split(samples(4), Given(fold, group, folds), "x")
    assert found.fold.dtype == np.int64
    assert found.fold.tolist() == list(fold)
    assert found.notes == ("a note",)


@pytest.mark.parametrize(
    ("fold", "group", "folds", "words"),
    [
        ([0, 1, 1], None, 2, r"gave folds of shape \(3,\) and type int64 for 4 images; this is"),
        ([0.0, 1, 1, 0], None, 2, r"gave folds of shape \(4,\) and type float64"),
        ([0, 1, 2, 0], None, 2, "gave folds 0 to 2, not 0 to 1"),
        ([0, 1, -2, 0], None, 2, "gave folds -2 to 1"),
        ([0, 2, 2, 0], None, 3, "put no image into fold 1 of 3; ask for fewer folds"),
        ([0, 2, 2, 0], None, None, "put no image into fold 1 of 3"),
        ([-1, -1, -1, -1], None, None, "put no image into fold 0 of 1"),
        ([0, 0, 0, 0], None, 1, "put all 4 images into fold 0: nothing is left to train on"),
        ([0, 1, 1, 0], [1, 1, 2, 3], 2, r"put group 1 into folds 0 and 1 \(x0, x1\)"),
        ([0, -1, 1, 0], [0, 1, 2, 1], 2, r"put group 1 into folds -1 and 0 \(x1, x3\)"),
        ([0, 1, 1, 0], [1, 1], 2, r"gave \(2,\) groups for 4 images"),
    ],
)
def test_what_is_no_split(fold, group, folds, words):
    with pytest.raises(HpazooError, match=f"splitter 'x' {words}"):
        split(samples(4), Given(fold, group, folds), "x")


def test_nothing_to_split():
    with pytest.raises(HpazooError, match="no labelled image"):
        split(samples(0), Given([]), "x")


def test_file_of_folds(tmp_path):
    path = tmp_path / "folds.csv"
    write_folds(path, ["a", 'b,"c"', "d"], Split(np.array([1, -1, 0])))
    assert path.read_bytes() == b'field,fold\na,1\n"b,""c""",-1\nd,0\n'
    write_folds(path, ["a", "b"], Split(np.array([1, 0]), np.array([7, 9])))
    assert path.read_text() == "field,fold,group\na,1,7\nb,0,9\n"
