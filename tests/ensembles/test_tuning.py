"""The search for weights, and what is said of its gain."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hpazoo.ensembles._tuning import (
    Evidence,
    _moved,
    cross_fitted,
    fit,
    gain_interval,
    mean_precision,
    rounded,
)
from hpazoo.ranking import average_precisions


def evidence(noises, fields=60, cells=6, classes=4, seed=0) -> Evidence:
    """Members that see the truth through noise, in fields of one unit each."""
    draw = np.random.default_rng(seed)
    truth = draw.random((classes, fields * cells)) < 0.3
    said = np.stack([truth + draw.normal(0, noise, truth.shape) for noise in noises])
    return Evidence(said.astype(np.float32), truth, np.repeat(np.arange(fields), cells))


def images(one: Evidence, cells: int) -> Evidence:
    """The same with an image, of so many cells, in a row."""
    truth = one.truth.reshape(len(one.truth), -1, cells).any(axis=2)
    first = np.arange(0, one.said.shape[2], cells)
    return Evidence(one.said, truth, one.unit[::cells], first)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    """Ties within and between classes of truth included."""
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, 8, (5, 60)).astype(np.float32) / 8
    truth = draw.random((5, 60)) < np.array([[0.5], [0.02], [0.9], [0.2], [0.3]])
    truth[:, 0], truth[3] = True, False
    found = average_precisions(scores, truth)
    assert np.isnan(found[3])
    kept = [0, 1, 2, 4]
    expected = [average_precision_score(truth[c], scores[c]) for c in kept]
    assert found[kept] == pytest.approx(expected, abs=1e-12)
    assert mean_precision(scores, truth) == pytest.approx(np.mean(expected))


def test_members_are_told_by_what_they_know() -> None:
    weights = fit(evidence([0.3, 0.6, 50.0]))
    assert weights[0] > weights[1] > weights[2] and weights[2] < 0.05
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()


def test_a_search_over_a_fine_grid_finds_hardly_more() -> None:
    one = evidence([0.4, 0.7, 1.2], fields=400)
    share = np.linspace(0, 1, 21)
    grid = [np.array([a, b, 1 - a - b]) for a in share for b in share if a + b <= 1 + 1e-9]
    best = max(mean_precision(one.blended(w), one.truth) for w in grid)
    found = mean_precision(one.blended(fit(one)), one.truth)
    assert best - 0.002 < found


def test_equal_members_stay_equal() -> None:
    one = evidence([0.8])
    same = Evidence(np.repeat(one.said, 3, axis=0), one.truth, one.unit)
    assert fit(same) == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_few_fields_hold_weights_near_to_equal() -> None:
    """Averaged over draws, as one draw may favour any member."""

    def distance(fields: int) -> float:
        drawn = [fit(evidence([0.6, 0.8], fields=fields, seed=seed)) for seed in range(8)]
        return float(np.std([weights[0] for weights in drawn]))

    assert distance(8) < 0.25
    assert distance(300) < distance(8)


@pytest.mark.parametrize("change", [0.2, -0.2, 1, -1])
@pytest.mark.parametrize("start", [(1.0, 0.0, 0.0), (0.0, 0.3, 0.7), (0.2, 0.3, 0.5)])
def test_moves_stay_on_the_simplex(change: float, start: tuple[float, ...]) -> None:
    for member in range(3):
        moved = _moved(np.array(start), member, change)
        assert moved.sum() == pytest.approx(1) and (moved >= 0).all()
        assert moved[member] == pytest.approx(min(max(start[member] + change, 0), 1))


def test_rounding_keeps_the_sum() -> None:
    found = rounded(np.full(7, 1 / 7))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert all(round(one * 1000) == pytest.approx(one * 1000) for one in found)


def test_an_image_is_its_best_cell() -> None:
    one = images(evidence([0.5, 1.0]), 6)
    weights = np.array([0.7, 0.3])
    by_hand = (one.said[0] * 0.7 + one.said[1] * 0.3).reshape(4, 60, 6).max(axis=2)
    np.testing.assert_allclose(one.blended(weights), by_hand, rtol=1e-6)
    part = one.of(one.unit % 3 == 0)
    np.testing.assert_array_equal(part.blended(weights), one.blended(weights)[:, ::3])
    np.testing.assert_array_equal(part.truth, one.truth[:, ::3])


def test_no_row_is_scored_by_weights_that_saw_its_unit() -> None:
    """Turning the truth of one unit around changes no score of that unit."""
    one = evidence([0.5, 1.0, 3.0], fields=10)
    before = cross_fitted(one)
    mine = one.unit == 4
    turned = Evidence(one.said, np.where(mine, ~one.truth, one.truth), one.unit)
    after = cross_fitted(turned)
    np.testing.assert_array_equal(after[:, mine], before[:, mine])
    assert not np.array_equal(after, before)


def test_gain_of_noise_is_measured_as_none() -> None:
    """In the fit's own fields a gain would show; on left out ones it must not."""
    gains, fitted = [], []
    for seed in range(12):
        one = evidence([1.0, 1.0, 1.0, 1.0], fields=12, cells=4, seed=seed)
        base = mean_precision(one.blended(np.full(4, 0.25)), one.truth)
        gains.append(mean_precision(cross_fitted(one), one.truth) - base)
        fitted.append(mean_precision(one.blended(fit(one)), one.truth) - base)
    assert np.mean(fitted) > 0.003 > np.mean(gains)


def test_interval_is_that_of_resampled_fields() -> None:
    """Against drawing the rows of units anew, one round after the other."""
    one = evidence([0.5, 1.5], fields=15, cells=3)
    one = Evidence(np.round(one.said, 1), one.truth, one.unit * 7)
    scores, base = one.blended(np.array([0.9, 0.1])), one.blended(np.array([0.5, 0.5]))
    found = gain_interval(one, scores, base, rounds=120, seed=5)
    rng, gains = np.random.default_rng(5), []
    for times in rng.multinomial(15, np.full(15, 1 / 15), 120):
        rows = np.repeat(np.arange(45), np.repeat(times, 3))
        both = [mean_precision(s[:, rows], one.truth[:, rows]) for s in (scores, base)]
        gains.append(both[0] - both[1])
    assert found == pytest.approx(np.quantile(gains, (0.025, 0.975)), abs=1e-12)
