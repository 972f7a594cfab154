"""Leakage figures against counting pairs one by one, and against drawing random splits."""

import numpy as np
import pytest

from hpazoo.training import leakage
from hpazoo.training.leakage import by_group, by_likeness, by_place


def folds_of(rng, count, folds=4, spare=0.1):
    fold = rng.integers(0, folds, count)
    fold[rng.random(count) < spare] = -1
    fold[:folds] = np.arange(folds)
    return fold


def counted(near, fold):
    """(leaking, validated) by looking at each validation image."""
    leaking = [near[row, fold != fold[row]].any() for row in np.flatnonzero(fold >= 0)]
    return sum(leaking), len(leaking)


@pytest.mark.parametrize("block", [7, 64, 4096])
def test_likeness_is_exact_whatever_the_blocks(monkeypatch, block):
    monkeypatch.setattr(leakage, "_BLOCK", block)
    rng = np.random.default_rng(block)
    centres = rng.normal(size=(60, 12))
    points = centres[rng.integers(0, 60, 150)] + rng.normal(0, 0.4, (150, 12))
    points = (points * rng.uniform(0.1, 9, 12) + 5).astype(np.float32)
    points[:, 3] = 2.5  # says nothing
    fold = folds_of(rng, 150)
    found = by_likeness(points, fold)
    spread = points.std(axis=0, dtype=float)
    spread[3] = np.inf
    units = (points - points.mean(axis=0, dtype=float)) / spread
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    near = units @ units.T > leakage.THRESHOLD
    assert (found.leaking, found.images) == counted(near, fold)
    assert 0.2 < found.share < 0.98
    assert len(found.per_fold) == 4
    drawn = [counted(near, rng.permutation(fold)) for _ in range(300)]
    assert found.random == pytest.approx(np.mean([a / b for a, b in drawn]), abs=0.02)


def test_likeness_of_degenerate_embeddings():
    fold = np.array([0, 1, 0, 1])
    same = by_likeness(np.ones((4, 3), np.float32), fold)
    assert (same.share, same.random) == (0, 0)
    pairs = by_likeness(np.array([[1.0], [1], [-1], [-1]], np.float32), fold)
    assert (pairs.share, pairs.random) == (1, pytest.approx(2 / 3))


def test_groups_against_drawn_splits():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 70, 200).tolist()
    fold = folds_of(rng, 200)
    near = np.equal.outer(keys, keys) & ~np.eye(200, dtype=bool)
    found = by_group("plate", "share it", keys, fold)
    assert (found.leaking, found.images) == counted(near, fold)
    drawn = [counted(near, rng.permutation(fold)) for _ in range(300)]
    assert found.random == pytest.approx(np.mean([a / b for a, b in drawn]), abs=0.02)
    kept = by_group("plate", "share it", keys, np.array(keys) % 3)
    assert kept.share == 0 < 0.8 < kept.random


def test_places_of_atlas_ids():
    ids = ["7_20_A1_1", "7_20_A1_2", "7_21_B2_1", "20_A1_3", "30_C1_1", "30_C1_2", "no-id"]
    antibody, well = by_place(ids, np.array([0, 1, 1, 0, 2, 2, 0]))
    assert (antibody.by, antibody.leaking, antibody.images) == ("antibody", 4, 4)
    assert (well.by, well.leaking, well.images) == ("well", 3, 6)
    assert antibody.per_fold[:2] == (1, 1)
    assert well.per_fold == (1, 0.5, 0)
    assert by_place(["x", "y"], np.array([0, 1])) == []
    assert by_place(["20_A1_3", "x"], np.array([-1, 0])) == []
