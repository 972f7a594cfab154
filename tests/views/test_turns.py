import numpy as np
import pytest

from hpazoo.fields import View
from hpazoo.views._turns import D4, FLIPS
from hpazoo.views.d4 import D4Views
from hpazoo.views.flips import Flips


def test_the_turns_of_a_square_are_eight_different_ones():
    image = np.arange(9).reshape(3, 3)
    forms = {turn.of(image).tobytes() for turn in D4}
    rotations = {np.ascontiguousarray(np.rot90(image, k)).tobytes() for k in range(4)}
    mirrored = {np.ascontiguousarray(np.rot90(image.T, k)).tobytes() for k in range(4)}
    assert forms == rotations | mirrored and len(forms) == 8
    assert {turn.of(image).tobytes() for turn in FLIPS} == {
        np.ascontiguousarray(image[::a, ::b]).tobytes() for a in (1, -1) for b in (1, -1)
    }


@pytest.mark.parametrize(("kind", "count"), [(Flips, 4), (D4Views, 8)])
def test_an_oblong_view_is_laid_on_its_side_by_half_of_d4(kind, count):
    view = View(np.zeros((4, 3, 5), np.uint8), np.array([0]))
    shapes = [form.pixels.shape for form in kind().of(view)]
    assert len(shapes) == count
    assert shapes.count((4, 5, 3)) == count - 4
