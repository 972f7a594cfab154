from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import UsageError
from hpazoo.metrics import Judged
from hpazoo.metrics.hpa_map import HpaMap
from hpazoo.overlap import Shapes, box_overlaps, overlaps
from hpazoo.rle import encode_mask
from tests.metrics import long_way
from tests.metrics.drawn import CLASSES, drawn

NOWHERE = Path("/there/is/no/such/folder")
ONE = ClassList("one", ("a",))


def judged(scores, iou, truth=None, field="f", labels=None):
    """One field and one class; all true cells are of it, unless said."""
    iou = np.array(iou, float)
    truth = np.ones((iou.shape[1], 1), bool) if truth is None else np.array(truth, bool)[:, None]
    return Judged(field, np.array(scores, float)[:, None], truth, iou, iou, labels)


def value(*fields, **options):
    return HpaMap(ONE, NOWHERE, **options).judge(fields).values()[0]


@pytest.fixture(scope="module")
def cases(shared):
    folder = shared / "oracle" / "metric"
    expected = json.loads((folder / "expected.json").read_text())
    return {
        name: (np.load(folder / f"{name}.npz"), case) for name, case in expected["cases"].items()
    }


def oracle_fields(case, classes):
    """Detections may overlap, so that each is a mask in run lengths; empty ones are dropped."""
    fields = []
    for image, labels in enumerate(case["gt_labels"]):
        here = case["gt_image"] == image
        cells = np.unique(case["gt_cell"][here])
        truth = np.zeros((len(cells), classes), bool)
        truth[np.searchsorted(cells, case["gt_cell"][here]), case["gt_class"][here]] = True
        here = case["det_image"] == image
        names = ("det_layer", "det_cell", "det_class", "det_score")
        rows = list(zip(*(case[name][here].tolist() for name in names), strict=True))
        masks = sorted({(layer, cell) for layer, cell, _, _ in rows})
        scores = np.full((len(masks), classes), np.nan)
        for layer, cell, label, score in rows:
            scores[masks.index((layer, cell)), label] = score
        layers = case["pred_labels"][image]
        counts = [encode_mask(layers[layer] == cell) for layer, cell in masks]
        predicted = Shapes.from_counts(counts, *labels.shape)
        kept = ~predicted.empty
        predicted, true = predicted.only(kept), Shapes.from_labels(labels, cells)
        iou, box_iou = overlaps(predicted, true), box_overlaps(predicted, true)
        fields.append(Judged(str(image), scores[kept], truth, iou, box_iou))
    return fields


@pytest.mark.parametrize("name", ["noisy_scores", "iou_edge"])
@pytest.mark.parametrize(
    ("rule", "verified"),
    [("all", "all_classes_verified"), ("labelled", "only_image_classes_verified")],
)
def test_the_original_cases(cases, name, rule, verified):
    case, expected = cases[name]
    fields = oracle_fields(case, 19)
    judgement = HpaMap(class_list("hpa-2021"), NOWHERE, rule=rule).judge(fields)
    wanted = np.array([np.nan if ap is None else ap for ap in expected[verified]["AP"]])
    np.testing.assert_allclose(judgement.values(), wanted, rtol=0, atol=1e-12)
    assert np.nanmean(judgement.values()) == pytest.approx(expected[verified]["mAP"], abs=1e-12)
    assert judgement.positives.tolist() == expected[verified]["n_gt"]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_random_fields_as_in_loops(seed, labelled):
    rng = np.random.default_rng(seed)
    fields = drawn(int(rng.integers(1, 12)), seed, levels=int(rng.choice([2, 12, 10**9])))
    if seed % 2:  # labels of images beyond those of their cells
        some = rng.random((len(fields), len(CLASSES))) < 0.5
        fields = [replace(one, labels=row) for one, row in zip(fields, some, strict=True)]
    least = float(rng.choice([0.2, 0.6, 0.9]))
    metric = HpaMap(CLASSES, NOWHERE, iou=least, rule="labelled" if labelled else "all")
    wanted = long_way.hpa_map(fields, len(CLASSES), least, labelled)
    np.testing.assert_allclose(metric.judge(fields).values(), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_equal_scores_give_the_least_of_what_their_orders_give(seed):
    fields, rng = drawn(6, seed, levels=3), np.random.default_rng(seed)
    values = HpaMap(CLASSES, NOWHERE, iou=0.3).judge(fields).values()[:-1]
    orders = [long_way.hpa_map(fields, len(CLASSES), 0.3, ties=rng)[:-1] for _ in range(60)]
    assert (values <= np.array(orders) + 1e-12).all()
    assert (values < np.max(orders, axis=0)).any()


def test_boxes_count_where_asked_for():
    fields = drawn(8, seed=4)
    swapped = [replace(one, iou=one.box_iou, box_iou=one.iou) for one in fields]
    boxes = HpaMap(CLASSES, NOWHERE, overlap="box").judge(fields)
    assert np.array_equal(
        boxes.values(), HpaMap(CLASSES, NOWHERE).judge(swapped).values(), equal_nan=True
    )
    assert boxes.rule.startswith("box IoU >= 0.6")


def test_each_detection_looks_only_at_its_best_cell():
    """The second overlaps a free cell well enough, but another, claimed one more."""
    assert value(judged([0.9, 0.8], [[0.9, 0.0], [0.8, 0.7]])) == 0.5
    assert value(judged([0.9, 0.8], [[0.9, 0.0], [0.7, 0.8]])) == 1


def test_only_cells_of_the_class_are_looked_at():
    """The best one is of another class and does not stand in the way."""
    assert value(judged([0.9], [[0.95, 0.7]], truth=[False, True])) == 1


def test_of_equal_overlaps_the_first_is_taken():
    assert value(judged([0.9, 0.8], [[0.7, 0.7], [0.7, 0.0]])) == 0.5
    assert value(judged([0.9, 0.8], [[0.7, 0.7], [0.0, 0.7]])) == 1


@pytest.mark.parametrize(("pixels", "wanted"), [((3, 5), 1), ((6, 10), 1), ((599, 1000), 0)])
def test_the_threshold_itself_is_enough(pixels, wanted):
    assert value(judged([0.9], [[pixels[0] / pixels[1]]])) == wanted


def test_the_same_mask_twice_is_right_once():
    assert value(judged([0.9, 0.9], [[0.8], [0.8]])) == 0.5
    assert value(judged([0.9, 0.8], [[0.8], [0.8]])) == 1
    # The copy that is behind its cell's score stands before another cell's.
    assert value(judged([0.9, 0.8, 0.7], [[0.8, 0], [0.8, 0], [0, 0.8]])) == pytest.approx(5 / 6)


def test_scores_that_are_not_there_are_no_detections():
    assert value(judged([np.nan, 0.8], [[0.9], [0.8]])) == 1
    found = HpaMap(ONE, NOWHERE).judge([judged([np.nan, 0.8], [[0.9], [0.8]])])
    assert found.notes == ("1 of 2 scores are not there: no detections",)


def test_cells_without_a_detection_are_missed():
    assert value(judged([], np.zeros((0, 3)))) == 0
    assert value(judged([0.9], [[0.9, 0, 0, 0]])) == 0.25


def test_wrong_ones_in_fields_without_the_class_count_unless_only_labelled_ones_do():
    right, wrong = judged([0.5], [[0.9]], field="a"), judged([0.9], np.zeros((1, 0)), field="b")
    assert value(right, wrong) == 0.5
    assert value(right, wrong, rule="labelled") == 1
    named = replace(wrong, labels=np.ones(1, bool))
    assert value(right, named, rule="labelled") == 0.5
    # An image's labels do not take away what its cells have.
    unnamed = replace(judged([0.7], [[0.1]], field="c"), labels=np.zeros(1, bool))
    assert value(right, unnamed, rule="labelled") == 0.25
    found = HpaMap(ONE, NOWHERE, rule="labelled").judge([right, wrong])
    assert "ignored (Open Images)" in found.rule
    assert found.notes == ("1 of 2 detections ignored: class not labelled",)


def test_the_rule_is_said_in_full():
    said = HpaMap(ONE, NOWHERE, iou=0.75).judge([]).rule
    assert said == (
        "mask IoU >= 0.75 with the best true cell of the class; all detections count; area under "
        "the envelope of precision, all points"
    )


def test_the_curve_goes_through_every_step():
    curve = HpaMap(ONE, NOWHERE).judge([judged([0.9, 0.8, 0.8, 0.1], np.eye(4)[:, :3])]).curve(0)
    assert curve is not None
    assert curve.recall.tolist() == [1 / 3, 1, 1]
    assert curve.precision.tolist() == [1, 1, 0.75]
    assert curve.score.tolist() == [0.9, 0.8, 0.1]


def test_resampling_sorts_once():
    """A third of the competition, a hundred rounds: .1 s, and 4 s where each round sorts."""
    rng = np.random.default_rng(0)
    names = ClassList("many", tuple(map(str, range(19))))
    fields = []
    for index in range(180):
        truth = rng.random((30, 19)) < 0.06
        iou = np.diag(rng.uniform(0.3, 1, 30))
        fields.append(Judged(str(index), rng.random((30, 19)), truth, iou, iou))
    begin = time.process_time()
    judgement = HpaMap(names, NOWHERE).judge(fields)
    for _ in range(100):
        judgement.values(rng.multinomial(180, np.full(180, 1 / 180)))
    assert time.process_time() - begin < 2


def test_cells_must_be_known():
    field = replace(judged([0.9], np.zeros((1, 0))), cells_known=False)
    with pytest.raises(UsageError, match="field f: what is true of its cells is not known"):
        HpaMap(ONE, NOWHERE).judge([field])
