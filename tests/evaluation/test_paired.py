"""Differences of scores, and their intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.evaluation.paired import Resampled, group_weights, interval_of, judge, mean_of, resample
from hpazoo.metrics import Judged

CLASSES = class_list("hpa-2021")


def fields(noise: float, seed: int = 0, count: int = 60) -> list[Judged]:
    """Fields of four cells, of which the answers know as much as the noise leaves."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([1, number])
        truth = rng.random((4, len(CLASSES))) < 0.3
        said = truth + noise * np.random.default_rng([2, seed, number]).normal(size=truth.shape)
        found.append(Judged(f"f{number:03}", said, truth, np.eye(4), np.eye(4)))
    return found


def test_groups_are_drawn_whole() -> None:
    groups = ["a", "b", "a", "c", "b", "d"]
    weights = group_weights(groups, 200, 3)
    assert weights.shape == (200, 6)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3, 5]].sum(axis=1) == 4).all()  # as many groups as there are
    assert np.array_equal(weights, group_weights(groups, 200, 3))
    assert not np.array_equal(weights, group_weights(groups, 200, 4))
    assert group_weights(groups, 0, 3).shape == (0, 6)


def test_pairs_are_surer_than_their_parts() -> None:
    """Two noisy readings of the same answers: what they share has no part in the difference."""
    weights = group_weights([one.field for one in fields(0)], 400, 0)
    judged = (judge(fields(noise), "cell-map", CLASSES, Path()) for noise in (1, 1.1))
    better, worse = (resample(one, weights) for one in judged)
    difference = better - worse
    assert difference.value == pytest.approx(better.value - worse.value)
    low, high = difference.interval
    assert low <= difference.value <= high
    assert high - low < 0.5 * (better.interval[1] - better.interval[0])
    assert low > 0


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Of means of normal numbers, whose spread is known."""
    rng = np.random.default_rng(0)
    inside = 0
    for number in range(300):
        sample = rng.normal(size=80)
        weights = group_weights([str(n) for n in range(80)], 300, number)
        low, high = interval_of(float(sample.mean()), weights @ sample / 80)
        inside += low <= 0 <= high
    assert 0.9 <= inside / 300 <= 0.98


def test_a_skewed_score_is_in_its_interval() -> None:
    """Moved, not reflected: the longer tail of the resamples stays the longer side."""
    draws = np.exp(np.random.default_rng(0).normal(size=5000))
    low, high = interval_of(0.4, draws)
    assert low < 0.4 < high
    assert high - 0.4 > 2 * (0.4 - low)


def test_the_mean_of_repeats_knows_how_they_differ() -> None:
    """Its variance is that within repeats and that between them, over their number."""
    rng = np.random.default_rng(0)
    within, between, repeats = 0.02, 0.05, 30
    each = []
    for value in 0.5 + between * rng.normal(size=repeats):
        draws = value + within * rng.normal(size=4000)
        each.append(Resampled(float(value), np.array([value, np.nan]), draws))
    mean = mean_of(each)
    assert mean.value == pytest.approx(np.mean([one.value for one in each]))
    spread = np.std([one.value for one in each])
    expected = np.sqrt((within**2 + spread**2) / repeats)
    assert np.std(mean.draws) == pytest.approx(expected, rel=0.06)
    assert mean.values[0] == pytest.approx(mean.value) and np.isnan(mean.values[1])
    alone = mean_of(each[:1])
    assert np.array_equal(np.sort(alone.draws), np.sort(each[0].draws))


def test_more_networks_do_not_tell_more_of_other_fields() -> None:
    """Three that say the same of the same fields are one; of other fields each they are three."""
    weights = group_weights([one.field for one in fields(0)], 400, 0)
    one = resample(judge(fields(1), "cell-map", CLASSES, Path()), weights)
    assert mean_of([one] * 3).interval == pytest.approx(one.interval)
    others = [replace(one, drawn=(number,)) for number in range(3)]
    low, high = mean_of(others).interval
    assert high - low < 0.75 * (one.interval[1] - one.interval[0])


def test_without_resamples_there_is_no_interval() -> None:
    one = Resampled(0.2, np.array([0.2]), np.zeros(0))
    assert np.isnan(mean_of([one, one]).interval).all()
    assert mean_of([one, one]).value == 0.2
