"""What every ensemble keeps to, run over all that are registered."""

import numpy as np
import pytest

from hpazoo.ensembles import ensembles
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in


@pytest.fixture(params=built_in(ensembles))
def ensemble(request):
    factory = ensembles.get(request.param)
    if any(parameter.required for parameter in parameters_of(factory)):
        pytest.skip("cannot be built without options")
    return factory()


@pytest.fixture
def members():
    return np.random.default_rng(0).random((5, 12, 7), np.float32)


class TestEnsemble:
    def test_declares_itself(self, ensemble):
        assert isinstance(ensemble.uses_weights, bool)

    def test_probabilities_stay_probabilities(self, ensemble, members):
        kept = members.copy()
        blend = ensemble.blend(members, np.array([1, 2, 0.5, 1, 1]))
        assert blend.shape == (12, 7) and blend.dtype == np.float32
        assert (blend >= 0).all() and (blend <= 1).all()
        assert np.array_equal(members, kept)

    def test_the_order_of_members_does_not_matter(self, ensemble, members):
        weights = np.array([1, 2, 0.3, 0.7, 1.1])
        expected = ensemble.blend(members, weights)
        for seed in range(10):
            order = np.random.default_rng(seed).permutation(5)
            assert np.array_equal(ensemble.blend(members[order], weights[order]), expected)

    def test_one_member_is_itself_or_its_order(self, ensemble, members):
        if hasattr(ensemble, "fit"):
            found = ensemble.blend(members[:1], np.array([3.0]))
            assert np.array_equal(found.argsort(axis=0), members[0].argsort(axis=0))
            return
        assert ensemble.blend(members[:1], np.array([3.0])) == pytest.approx(members[0])

    def test_no_cells(self, ensemble, members):
        assert ensemble.blend(members[:, :0], np.ones(5)).shape == (0, 7)
