"""The map from the classes of 2018 to those of 2021, by the numbers that both competitions used."""

import numpy as np

from hpazoo.classes import class_list, has_map, lost_in_map, map_probabilities

SOURCES = {
    **{k: (k,) for k in range(8)},
    **{8: (11,), 9: (12, 13), 10: (14,), 11: (17,), 12: (18, 19), 13: (21, 22), 14: (23,)},
    **{15: (24,), 16: (25,), 17: (8, 9, 10, 20, 26), 18: ()},
}
OLD, NEW = class_list("hpa-2018"), class_list("hpa-2021")


def test_each_class_is_the_largest_of_its_sources() -> None:
    found = np.random.default_rng(0).random((50, 28), np.float32)
    mapped = map_probabilities(found, OLD, NEW)
    assert mapped.shape == (50, 19) and mapped.dtype == np.float32
    for target, sources in SOURCES.items():
        expected = np.max([found[:, k] for k in sources], axis=0) if sources else np.zeros(50)
        assert np.array_equal(mapped[:, target], expected)


def test_losses_are_stated() -> None:
    assert lost_in_map(OLD, NEW) == (
        ["Microtubule ends", "Cytokinetic bridge", "Rods & rings"],
        ["Negative"],
    )
    assert has_map("hpa-2018", "hpa-2021") and not has_map("hpa-2021", "hpa-2018")
