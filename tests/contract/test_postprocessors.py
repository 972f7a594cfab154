"""What every postprocessor keeps to, run over all that are registered."""

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.parameters import parameters_of
from hpazoo.postprocessors import postprocessors
from tests.contract.names import built_in


@pytest.fixture(params=built_in(postprocessors))
def postprocessor(request):
    factory = postprocessors.get(request.param)
    if any(parameter.required for parameter in parameters_of(factory)):
        pytest.skip("cannot be built without options")
    return factory(class_list("hpa-2021"))


class TestPostprocessor:
    def test_probabilities_stay_probabilities(self, postprocessor):
        probabilities = np.random.default_rng(0).random((9, 19), np.float32)
        kept = probabilities.copy()
        corrected = postprocessor.correct(probabilities)
        assert corrected.shape == (9, 19) and corrected.dtype == np.float32
        assert (corrected >= 0).all() and (corrected <= 1).all()
        assert np.array_equal(probabilities, kept)
        assert not np.shares_memory(probabilities, corrected)

    def test_no_cells(self, postprocessor):
        assert postprocessor.correct(np.zeros((0, 19), np.float32)).shape == (0, 19)
