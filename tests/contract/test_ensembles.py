"""What every ensemble keeps to, run over all that are registered."""

import numpy as np
import pytest

from hpazoo.classes import ClassList
from hpazoo.ensembles import Known, Learner, ensembles
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

CLASSES = ClassList("seven", tuple("abcdefg"))


def taught(ensemble, order):
    """A learner that has learned from members in this order; any other ensemble as it is."""
    if isinstance(ensemble, Learner):
        draw = np.random.default_rng(1)
        known = []
        for number in range(12):
            truth = draw.random((6, 7)) < 0.4
            members = [
                np.clip(0.3 + 0.4 * truth + draw.normal(0, noise, truth.shape), 0, 1)
                for noise in (0.1, 0.2, 0.3, 0.4, 0.5)
            ]
            stack = np.array(members, np.float32)[order]
            known.append(Known(f"{number}_A1_1", stack, truth))
        ensemble.learn(known, CLASSES)
    return ensemble


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
        needs = getattr(ensemble, "needs", ())
        assert set(needs) <= {"truth"} and bool(needs) == isinstance(ensemble, Learner)

    def test_probabilities_stay_probabilities(self, ensemble, members):
        kept = members.copy()
        blend = taught(ensemble, range(5)).blend(members, np.array([1, 2, 0.5, 1, 1]))
        assert blend.shape == (12, 7) and blend.dtype == np.float32
        assert (blend >= 0).all() and (blend <= 1).all()
        assert np.array_equal(members, kept)

    def test_the_order_of_members_does_not_matter(self, ensemble, members):
        weights = np.array([1, 2, 0.3, 0.7, 1.1])
        expected = taught(ensemble, range(5)).blend(members, weights)
        for seed in range(10):
            order = np.random.default_rng(seed).permutation(5)
            found = taught(ensemble, order).blend(members[order], weights[order])
            assert np.array_equal(found, expected)

    def test_one_member_is_itself_or_its_order(self, ensemble, members):
        taught(ensemble, [0])
        if hasattr(ensemble, "fit"):
            found = ensemble.blend(members[:1], np.array([3.0]))
            assert np.array_equal(found.argsort(axis=0), members[0].argsort(axis=0))
            return
        assert ensemble.blend(members[:1], np.array([3.0])) == pytest.approx(members[0])

    def test_no_cells(self, ensemble, members):
        assert taught(ensemble, range(5)).blend(members[:, :0], np.ones(5)).shape == (0, 7)
