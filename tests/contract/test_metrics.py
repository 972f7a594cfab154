"""What every metric keeps to, run over all that are registered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import UsageError
from hpazoo.metrics import Judged, Resamplable, metrics
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in
from tests.metrics.drawn import CLASSES, drawn

OPTIONS = {
    "hpa-map": [{}, {"rule": "labelled"}, {"overlap": "box", "iou": 0.4}],
    "image-f1": [{}, {"thresholds": "half"}, {"ratio": "ratio.csv"}],
}
CASES = [(name, options) for name in built_in(metrics) for options in OPTIONS.get(name, [{}])]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{','.join(map(str, case[1].values()))}")
def metric(request, tmp_path):
    name, options = request.param
    factory = metrics.get(name)
    assert not [p.name for p in parameters_of(factory) if p.required and p.name not in options]
    (tmp_path / "ratio.csv").write_text("class,ratio\na,0.3\nc,0.2\n", encoding="utf-8")
    return factory(CLASSES, tmp_path, **options)


@pytest.fixture
def fields():
    return drawn(17, seed=3)


def same(one, other):
    return np.array_equal(one, other, equal_nan=True)


class TestMetric:
    def test_values_lie_between_0_and_1_and_are_missing_without_truth(self, metric, fields):
        judgement = metric.judge(fields)
        values = judgement.values()
        assert values.shape == judgement.positives.shape == (len(CLASSES),)
        assert judgement.positives.dtype == np.int64
        assert np.isnan(values).tolist() == (judgement.positives == 0).tolist()
        assert np.isnan(values[-1]) and (judgement.positives[:-1] > 0).all()  # nothing is the last
        known = values[:-1]
        assert (known >= 0).all() and (known <= 1).all() and 0 < known.mean() < 1
        assert any("left out" in note and CLASSES.names[-1] in note for note in judgement.notes)
        assert judgement.rule and "\n" not in judgement.rule

    def test_it_says_what_it_needs(self, metric):
        assert metric.needs and set(metric.needs) <= {"cells", "labels"}

    def test_what_was_judged_is_left_as_it_was(self, metric):
        once, twice = drawn(6, seed=1), drawn(6, seed=1)
        metric.judge(once).values(np.arange(6.0))
        for one, other in zip(once, twice, strict=True):
            for name in ("scores", "truth", "iou", "box_iou"):
                assert same(getattr(one, name), getattr(other, name))

    @pytest.mark.parametrize("seed", range(4))
    def test_weights_are_repeats_to_the_bit(self, metric, fields, seed):
        weights = np.random.default_rng(seed).integers(0, 4, len(fields))
        repeated = [one for one, times in zip(fields, weights, strict=True) for _ in range(times)]
        assert same(metric.judge(fields).values(weights), metric.judge(repeated).values())

    def test_many_weights_at_once_to_the_bit(self, metric, fields):
        judgement = metric.judge(fields)
        if not isinstance(judgement, Resamplable):
            pytest.skip("reckons one at a time")
        weights = np.random.default_rng(0).integers(0, 3, (300, len(fields)))
        each = np.stack([judgement.values(row) for row in weights])
        assert same(judgement.resampled(weights), each)
        assert judgement.resampled(weights[:0]).shape == (0, len(CLASSES))

    def test_no_weights_are_ones_and_their_scale_does_not_matter(self, metric, fields):
        judgement = metric.judge(fields)
        assert same(judgement.values(), judgement.values(np.ones(len(fields))))
        halves = judgement.values(np.full(len(fields), 0.5))
        np.testing.assert_allclose(halves, judgement.values(), rtol=1e-12)

    def test_fields_in_another_order(self, metric, fields):
        order = np.random.default_rng(0).permutation(len(fields))
        judged, other = metric.judge(fields), metric.judge([fields[i] for i in order])
        assert same(judged.values(), other.values())
        assert judged.rule == other.rule and judged.notes == other.notes
        weights = np.arange(len(fields)) % 3
        assert same(judged.values(weights), other.values(weights[order]))

    def test_cells_in_another_order(self, metric, fields):
        rng = np.random.default_rng(0)
        turned = []
        for one in fields:
            rows, columns = (rng.permutation(len(side)) for side in (one.scores, one.truth))
            turned.append(
                replace(
                    one,
                    scores=one.scores[rows],
                    truth=one.truth[columns],
                    iou=one.iou[np.ix_(rows, columns)],
                    box_iou=one.box_iou[np.ix_(rows, columns)],
                )
            )
        assert same(metric.judge(fields).values(), metric.judge(turned).values())

    def test_only_the_order_of_scores_counts_and_on_which_side_of_half_they_are(
        self, metric, fields
    ):
        def bent(scores):
            return np.where(scores < 0.5, 2 * scores**2, 1 - 2 * (1 - scores) ** 2)

        other = [replace(one, scores=bent(one.scores)) for one in fields]
        assert same(metric.judge(fields).values(), metric.judge(other).values())

    def test_no_fields_no_cells_no_truth(self, metric):
        none = metric.judge([])
        assert np.isnan(none.values()).all() and np.isnan(none.values(np.zeros(0))).all()
        nothing = np.zeros((0, 0))
        blank = np.zeros((0, len(CLASSES)))
        empty = Judged("empty", blank, blank.astype(bool), nothing, nothing)
        assert np.isnan(metric.judge([empty]).values()).all()
        untrue = replace(
            empty, scores=np.ones((2, len(CLASSES))), iou=np.zeros((2, 0)), box_iou=np.zeros((2, 0))
        )
        judgement = metric.judge([untrue])
        assert np.isnan(judgement.values()).all() and not judgement.positives.any()
        assert judgement.curve(0) is None

    def test_weights_of_nothing(self, metric, fields):
        assert np.isnan(metric.judge(fields).values(np.zeros(len(fields)))).all()

    @pytest.mark.parametrize("weights", [np.ones(3), -np.ones(17), np.full(17, np.nan)])
    def test_weights_that_are_none(self, metric, fields, weights):
        with pytest.raises(UsageError, match="17 finite numbers >= 0"):
            metric.judge(fields).values(weights)

    def test_curves_fall_through_the_scores(self, metric, fields):
        judgement = metric.judge(fields)
        assert judgement.curve(len(CLASSES) - 1) is None
        curve = judgement.curve(0)
        if curve is None:
            assert all(judgement.curve(i) is None for i in range(len(CLASSES)))
            return
        assert len(curve.recall) == len(curve.precision) == len(curve.score) > 3
        assert (np.diff(curve.score) < 0).all() and (np.diff(curve.recall) >= 0).all()
        assert 0 <= curve.recall[-1] <= 1 and (curve.precision <= 1).all()

    def test_arrays_that_do_not_fit_are_refused(self, metric, fields):
        for broken in (
            replace(fields[0], scores=fields[0].scores[:, 1:]),
            replace(fields[0], iou=fields[0].iou[1:]),
            replace(fields[0], box_iou=fields[0].box_iou.T[1:]),
            replace(fields[0], truth=fields[0].truth[:, 1:]),
            replace(fields[0], labels=np.ones(2, bool)),
        ):
            with pytest.raises(UsageError, match=f"field {fields[0].field}: '"):
                metric.judge([broken])

    def test_truth_of_images_alone(self, metric, fields):
        known = [replace(one, labels=one.truth.any(axis=0)) for one in fields]
        blind = [
            replace(
                one,
                truth=one.truth[:0],
                iou=one.iou[:, :0],
                box_iou=one.box_iou[:, :0],
                cells_known=False,
            )
            for one in known
        ]
        if "cells" in metric.needs:
            with pytest.raises(UsageError, match=f"field {fields[0].field}: .* not known"):
                metric.judge(blind)
        else:
            assert same(metric.judge(blind).values(), metric.judge(fields).values())
            with pytest.raises(UsageError, match="nothing is known of its locations"):
                metric.judge([replace(blind[0], labels=None)])

    def test_other_classes(self, metric):
        """Nothing knows the number of classes beforehand."""
        one = ClassList("one", ("only",))
        fields = [
            replace(f, scores=f.scores[:, :1], truth=f.truth[:, :1]) for f in drawn(5, seed=2)
        ]
        factory = metrics.get(next(n for n in built_in(metrics) if metrics.get(n) is type(metric)))
        assert factory(one, None).judge(fields).values().shape == (1,)
        wanted = class_list("hpa-2018")
        assert factory(wanted, None).judge([]).values().shape == (28,)
