import numpy as np
import pytest

from hpazoo.ensembles.mean import Mean


def test_weighted_mean():
    members = np.array([[[0.2, 1.0]], [[0.8, 0.0]]], np.float32)
    blend = Mean().blend(members, np.array([3.0, 1.0]))
    assert blend == pytest.approx(np.array([[0.35, 0.75]]))


def test_accumulates_in_double_precision():
    noise = np.random.default_rng(0).random((500, 20, 3), np.float32)
    weights = np.random.default_rng(1).random(500) + 0.1
    expected = (noise.astype(np.float64) * weights[:, None, None]).sum(0) / weights.sum()
    assert np.array_equal(Mean().blend(noise, weights), expected.astype(np.float32))


def test_equal_members_give_their_own_value():
    value = np.random.default_rng(0).random((50, 4), np.float32)
    members = np.stack([value] * 7)
    assert np.array_equal(Mean().blend(members, np.linspace(0.1, 3, 7)), value)


def test_members_of_weights_given_as_float32():
    members = np.random.default_rng(0).random((3, 6, 4), np.float32)
    weights = np.array([1, 0.5, 2], np.float32)
    assert np.array_equal(
        Mean().blend(members, weights), Mean().blend(members, weights.astype(float))
    )
