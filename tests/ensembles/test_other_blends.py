import numpy as np
import pytest

from hpazoo.ensembles.logit_mean import LogitMean
from hpazoo.ensembles.max import Max
from hpazoo.ensembles.rank_mean import RankMean


def test_logit_mean_is_its_formula():
    a, b = np.float64([[0.2, 0.9]]), np.float64([[0.6, 0.5]])
    odds = (a / (1 - a)) ** (1 / 4) * (b / (1 - b)) ** (3 / 4)
    found = LogitMean().blend(np.stack([a, b]).astype(np.float32), np.array([1.0, 3.0]))
    assert found == pytest.approx(odds / (1 + odds), abs=1e-6)


def test_logit_mean_lets_nobody_veto():
    found = LogitMean().blend(np.array([[[0.0, 1.0]], [[1.0, 1.0]]], np.float32), np.ones(2))
    assert found == pytest.approx(np.array([[0.5, 1.0]]), abs=1e-6)


def test_max_takes_the_largest():
    members = np.random.default_rng(0).random((3, 4, 5), np.float32)
    assert np.array_equal(Max().blend(members, np.ones(3)), members.max(axis=0))


def scipy_ranks(values):
    from scipy.stats import rankdata

    return (rankdata(values, axis=0) - 0.5) / len(values)


def test_ranks_are_those_among_all_cells_of_the_run():
    noise = np.random.default_rng(0)
    # far enough apart that no two are ties
    pool = np.geomspace(1e-6, 1, 400).astype(np.float32)
    members = np.stack([[noise.permutation(pool) for _ in range(3)] for _ in range(2)])
    members = members.transpose(0, 2, 1)  # (members, cells, classes)
    fields = np.split(members, [7, 7, 150], axis=1)
    ensemble = RankMean()
    ensemble.fit(iter(fields))
    weights = np.array([1.0, 2.0])
    found = np.concatenate([ensemble.blend(field, weights) for field in fields])
    ranks = np.stack([scipy_ranks(member) for member in members])
    expected = (ranks * weights[:, None, None]).sum(0) / 3
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_probabilities_share_their_rank():
    ensemble = RankMean()
    ensemble.fit([np.zeros((1, 3, 2), np.float32), np.ones((1, 1, 2), np.float32)])
    assert ensemble.blend(np.zeros((1, 1, 2), np.float32), np.ones(1)) == pytest.approx(3 / 8)
    assert ensemble.blend(np.ones((1, 1, 2), np.float32), np.ones(1)) == pytest.approx(7 / 8)


def test_ranks_do_not_heed_the_scale():
    members = np.random.default_rng(1).random((1, 50, 3), np.float32)
    both = np.concatenate([members, members**3])
    assert (
        np.corrcoef(RankMean().blend(both, np.ones(2)).ravel(), scipy_ranks(members[0]).ravel())[
            0, 1
        ]
        > 0.999
    )
