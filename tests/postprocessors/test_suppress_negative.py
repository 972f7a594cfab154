import numpy as np
import pytest

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import UsageError
from hpazoo.postprocessors.suppress_negative import SuppressNegative
from tests.postprocessors.conftest import seen


def test_is_the_6th_places_formula(nowhere):
    probabilities = np.random.default_rng(0).random((30, 19), np.float32)
    expected = probabilities.copy()
    expected[:, :18] = expected[:, :18] * (1 - expected[:, 18])[:, None]
    corrected = SuppressNegative(class_list("hpa-2021"), nowhere).correct(probabilities, seen(30))
    assert np.array_equal(corrected, expected)


def test_the_negative_class_may_stand_anywhere_under_any_name(nowhere):
    classes = ClassList("mine", ("nothing", "nucleus"))
    corrected = SuppressNegative(classes, nowhere, negative="nothing").correct(
        np.array([[0.25, 0.8]], np.float32), seen(1)
    )
    assert corrected == pytest.approx(np.array([[0.25, 0.6]]))


def test_a_list_without_the_class_is_refused(nowhere):
    with pytest.raises(UsageError, match=r"'hpa-2018' has no class 'Negative'.* there are: Actin"):
        SuppressNegative(class_list("hpa-2018"), nowhere)
    with pytest.raises(UsageError, match="did you mean 'Negative'"):
        SuppressNegative(class_list("hpa-2021"), nowhere, negative="Negativ")
