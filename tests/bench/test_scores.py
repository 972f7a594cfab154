"""The naive way to score gives the same numbers as hpazoo, on small fields."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import scores
from bench.material import voronoi
from hpazoo.classes import class_list
from hpazoo.metrics.hpa_map import HpaMap


@pytest.fixture(scope="module")
def cases() -> list[scores.Case]:
    labels = voronoi(9, 512)
    return [scores.case(labels, index) for index in range(4)]


def test_masks(cases: list[scores.Case]) -> None:
    for one in cases:
        found = scores.judged(one).iou
        assert found.shape == (9, 9)
        assert np.array_equal(found, scores.naive_judged(one).iou)


@pytest.mark.parametrize("least", [0.3, 0.6])
def test_average_precision(
    cases: list[scores.Case], least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "LEAST", least)
    blurred = [replace(one, predicted=np.where(one.predicted > 4, 5, 0)) for one in cases[:1]]
    fields = [scores.judged(replace(one, scores=one.scores[:1])) for one in blurred]
    fields += [scores.judged(one) for one in cases]
    wanted = scores.naive_precision(fields)
    assert 0 < np.nanmean(wanted) < 1
    found = HpaMap(class_list("hpa-2021"), Path(), iou=least).judge(fields).values()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
