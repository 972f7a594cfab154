"""What every postprocessor keeps to, run over all that are registered."""

from dataclasses import replace

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.geometry import cells_of
from hpazoo.parameters import parameters_of
from hpazoo.postprocessors import Seen, postprocessors
from tests.contract.names import built_in

OPTIONS = {"blend-image": {"member": "other"}, "threshold": {"file": "table.csv"}}


@pytest.fixture(params=built_in(postprocessors))
def postprocessor(request, tmp_path):
    factory = postprocessors.get(request.param)
    required = {p.name for p in parameters_of(factory) if p.required}
    assert required <= OPTIONS.get(request.param, {}).keys()
    (tmp_path / "table.csv").write_text("class,threshold\nCytosol,0.2\n", encoding="utf-8")
    return factory(class_list("hpa-2021"), tmp_path, **OPTIONS.get(request.param, {}))


def seen(cells):
    masks = np.zeros((40, 40), np.int32)
    for cell in range(cells):
        row, column = divmod(cell, 3)
        masks[10 * row : 10 * row + 8, 10 * column : 10 * column + 8] = cell + 1
    found = cells_of(masks)
    found = replace(found, nuclei=np.arange(len(found)) * 5)
    said = np.random.default_rng(1).random((cells, 19), np.float32)
    return Seen(found, masks.shape, None, {"other": said})


class TestPostprocessor:
    def test_probabilities_stay_probabilities(self, postprocessor):
        probabilities = np.random.default_rng(0).random((9, 19), np.float32)
        kept = probabilities.copy()
        corrected = postprocessor.correct(probabilities, seen(9))
        assert corrected.shape == (9, 19) and corrected.dtype == np.float32
        assert (corrected >= 0).all() and (corrected <= 1).all()
        assert np.array_equal(probabilities, kept)
        assert not np.shares_memory(probabilities, corrected)

    def test_no_cells(self, postprocessor):
        assert postprocessor.correct(np.zeros((0, 19), np.float32), seen(0)).shape == (0, 19)
