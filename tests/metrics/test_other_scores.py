from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, UsageError
from hpazoo.metrics import Judged
from hpazoo.metrics.cell_map import CellMap
from hpazoo.metrics.image_f1 import ImageF1
from hpazoo.metrics.image_map import ImageMap
from tests.metrics import long_way
from tests.metrics.drawn import CLASSES, drawn

NOWHERE = Path("/there/is/no/such/folder")
ONE = ClassList("one", ("a",))
SEEDS = range(12)


def images(scores, truth):
    """An image each, with one mask and its labels known; one class."""
    none = np.zeros((1, 0))
    return [
        Judged(str(i), np.array([[s]]), none.T[:, :0].reshape(0, 1).astype(bool), none, none,
               np.array([t]), cells_known=False)
        for i, (s, t) in enumerate(zip(scores, truth, strict=True))
    ]  # fmt: skip


def by_image(fields):
    """Scores and truth (fields, classes), and a number below all scores where there is none."""
    low = [np.vstack([one.scores, np.full((1, len(CLASSES)), np.nan)]) for one in fields]
    scores = np.array([np.nan_to_num(one, nan=-1.0).max(axis=0) for one in low])
    return scores, np.array([one.truth.any(axis=0) for one in fields])


@pytest.mark.parametrize("seed", SEEDS)
def test_cell_map_is_average_precision_over_matched_cells(seed):
    from sklearn.metrics import average_precision_score

    fields = drawn(9, seed)
    scores, truth, cells, masks = [], [], 0, 0
    for one in fields:
        found = long_way.pairs(one.iou)
        scores += [one.scores[n] for n, _ in found]
        truth += [one.truth[m] for _, m in found]
        cells, masks = cells + len(one.truth), masks + len(one.scores)
    scores, truth = np.nan_to_num(scores, nan=-1.0), np.array(truth)
    judgement = CellMap(CLASSES, NOWHERE).judge(fields)
    values = judgement.values()
    assert judgement.positives.tolist() == truth.sum(axis=0).tolist()
    for index in np.flatnonzero(truth.any(axis=0)):
        wanted = average_precision_score(truth[:, index], scores[:, index])
        assert values[index] == pytest.approx(wanted, abs=1e-12)
    assert f"{cells - len(truth)} of {cells} true cells left out" in judgement.notes[0]
    assert f"{masks - len(truth)} of {masks} masks left out" in judgement.notes[1]


def test_cell_map_does_not_ask_how_well_cells_are_outlined():
    """Nothing reaches the competition's threshold."""
    iou = np.array([[0.1, 0.0], [0.05, 0.3]])
    scores, truth = np.array([[0.9], [0.2]]), np.array([[True], [False]])
    assert CellMap(ONE, NOWHERE).judge([Judged("f", scores, truth, iou, iou)]).values() == [1]


@pytest.mark.parametrize("seed", SEEDS)
def test_image_map_is_average_precision_over_images(seed):
    from sklearn.metrics import average_precision_score

    fields = drawn(20, seed)
    scores, truth = by_image(fields)
    values = ImageMap(CLASSES, NOWHERE).judge(fields).values()
    for index in range(len(CLASSES) - 1):
        wanted = average_precision_score(truth[:, index], scores[:, index])
        assert values[index] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_those_of_scikit_learn(seed):
    from sklearn.metrics import average_precision_score

    fields = drawn(20, seed)
    scores, truth = by_image(fields)
    weights = np.random.default_rng(seed).random(len(fields))
    values = ImageMap(CLASSES, NOWHERE).judge(fields).values(weights)
    for index in range(len(CLASSES) - 1):
        wanted = average_precision_score(truth[:, index], scores[:, index], sample_weight=weights)
        assert values[index] == pytest.approx(wanted, abs=1e-12)


def test_labels_of_an_image_win_over_those_of_its_cells():
    field = drawn(1, seed=0)[0]
    labels = np.array([True, False, False, False, True])
    judgement = ImageMap(CLASSES, NOWHERE).judge([replace(field, labels=labels)])
    assert judgement.positives.tolist() == labels.tolist()
    of_cells = ImageMap(CLASSES, NOWHERE).judge([field])
    assert of_cells.positives.tolist() == field.truth.any(axis=0).tolist()
    assert of_cells.notes[0] == "1 of 1 images have the labels of their cells"


def test_images_without_prediction_rank_last_and_are_counted():
    fields = images([0.0, 0.3, 0.2], [True, True, False])
    fields[0] = replace(fields[0], scores=np.zeros((0, 1)), iou=np.zeros((0, 0)),
                        box_iou=np.zeros((0, 0)))  # fmt: skip
    judgement = ImageMap(ONE, NOWHERE).judge(fields)
    assert judgement.values()[0] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert judgement.notes == ("1 of 3 images have no prediction: ranked last",)


@pytest.mark.parametrize("seed", SEEDS)
def test_f1_at_half_is_that_of_scikit_learn(seed):
    from sklearn.metrics import f1_score

    fields = drawn(20, seed)
    scores, truth = by_image(fields)
    values = ImageF1(CLASSES, NOWHERE, thresholds="half").judge(fields).values()
    wanted = f1_score(truth, scores >= 0.5, average=None, zero_division=0.0)
    np.testing.assert_allclose(values[:-1], wanted[:-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_f1_by_class_ratio_calls_as_many_as_the_ratio_says(seed, tmp_path):
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(seed)
    scores, truth = rng.permutation(50) / 50, rng.random(50) < 0.4
    fields = images(scores, truth)
    (tmp_path / "r.csv").write_text("class,ratio\na,0.23\n", encoding="utf-8")
    for options, called in (({}, truth.sum()), ({"ratio": "r.csv"}, 11)):  # 11.5: the fewer
        judgement = ImageF1(ONE, tmp_path, **options).judge(fields)
        highest = scores >= np.sort(scores)[::-1][called - 1]
        assert highest.sum() == called
        assert judgement.values()[0] == pytest.approx(f1_score(truth, highest), abs=1e-12)
        assert (scores >= judgement.thresholds[0]).sum() == called


def test_equal_scores_are_called_together():
    fields = images([0.7, 0.7, 0.7, 0.2, 0.1], [True, True, False, False, False])
    judgement = ImageF1(ONE, NOWHERE).judge(fields)
    assert judgement.thresholds[0] == 0.7  # three are as close to two as it gets
    assert judgement.values()[0] == pytest.approx(2 * 2 / (3 + 2))
    rare = images([0.7] * 4 + [0.1], [True, False, False, False, False])
    assert ImageF1(ONE, NOWHERE).judge(rare).thresholds[0] == np.inf
    assert ImageF1(ONE, NOWHERE).judge(rare).values()[0] == 0


def test_the_ratio_of_the_truth_has_seen_the_answer_and_a_file_has_not(tmp_path):
    (tmp_path / "r.csv").write_text("class,ratio\na,0.2\nb,0.4\n", encoding="utf-8")
    fields = drawn(5, seed=0)
    assert "they have seen the answer" in ImageF1(CLASSES, tmp_path).judge(fields).rule
    said = ImageF1(CLASSES, tmp_path, ratio="r.csv").judge(fields)
    assert "class ratios of a file (3 classes it does not name at .5)" in said.rule
    assert said.thresholds[2:].tolist() == [0.5] * 3
    half = ImageF1(CLASSES, tmp_path, thresholds="half").judge(fields)
    assert "called at .5" in half.rule and half.thresholds.tolist() == [0.5] * 5
    assert np.array_equal(half.values()[2:], said.values()[2:], equal_nan=True)
    with pytest.raises(UsageError, match="with 'half' leave it out"):
        ImageF1(CLASSES, tmp_path, thresholds="half", ratio="r.csv")
    with pytest.raises(HpazooError, match=r"none\.csv cannot be read as a table"):
        ImageF1(CLASSES, tmp_path, ratio="none.csv")
