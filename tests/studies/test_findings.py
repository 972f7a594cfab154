"""What is said of a claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpazoo.errors import HpazooError
from hpazoo.evaluation.paired import Resampled
from hpazoo.spec.study import Comparison, Study
from hpazoo.studies.findings import findings
from hpazoo.studies.one_run import Scored
from hpazoo.studies.promise import Promise

ROUNDS = 400
NOISE = np.random.default_rng(0).normal(size=ROUNDS)


def score(value: float, spread: float = 0.0) -> Resampled:
    return Resampled(value, np.array([value]), value + spread * NOISE)


def scored(ids: str = "test", promise: Promise | None = None, **arms: Resampled) -> Scored:
    return Scored(
        Path(), frozenset({ids}), 144, {"cell-map": arms}, np.ones(1), {}, {}, promise=promise
    )


def compared(**more: Any) -> Comparison:
    usual: dict[str, Any] = {
        "claim": "one is better",
        "arm": ("one",),
        "against": ("other",),
        "variant": None,
        "against_variant": None,
        "optimism": False,
        "refuted": "",
    }
    return Comparison(**(usual | more))


def study(*comparisons: Comparison, choose_on: str | None = None) -> Study:
    return Study(3, None, ROUNDS, {}, {}, {}, choose_on, comparisons)


@pytest.mark.parametrize(
    ("ones", "spread", "verdict"),
    [
        ((0.55, 0.56, 0.57), 0.01, "confirmed"),
        ((0.45, 0.44, 0.43), 0.01, "refuted"),
        ((0.55, 0.56, 0.57), 0.2, "not confirmed"),  # its interval holds 0
        ((0.70, 0.70, 0.49), 0.01, "not confirmed"),  # a repeat says the contrary
        ((0.30, 0.30, 0.51), 0.01, "not confirmed"),
    ],
)
def test_verdicts(ones: tuple[float, ...], spread: float, verdict: str) -> None:
    runs = {"as-written": [scored(one=score(one, spread), other=score(0.5)) for one in ones]}
    (found,) = findings(study(compared()), runs)
    assert found.verdict == verdict
    assert found.each == pytest.approx([one - 0.5 for one in ones])
    assert found.difference.value == pytest.approx(np.mean(ones) - 0.5)
    assert (found.one, found.other) == pytest.approx((np.mean(ones), 0.5))


def test_the_best_is_chosen_on_other_images() -> None:
    """In each repeat anew, and never by the scores that are compared."""
    test = [scored(a=score(0.9), b=score(0.2), other=score(0.5)) for _ in range(2)]
    held = [
        scored("held", a=score(0.1), b=score(0.3)),
        scored("held", a=score(0.3), b=score(0.1)),
    ]
    one = compared(arm=("a", "b"))
    (found,) = findings(study(one, choose_on="held"), {"as-written": test, "held": held})
    assert found.sides == (("b", "a"), ("other",))
    assert found.each == pytest.approx([-0.3, 0.4])
    one_alone = [scored("held", a=score(0.1))] * 2
    unknown = [scored("held", a=score(float("nan")), b=score(0.1))] * 2
    for held, why in (
        (one_alone, "variant 'held' has no score of 'b'"),
        (unknown, "variant 'held' has no score of 'a'"),
    ):
        with pytest.raises(HpazooError, match=why):
            findings(study(one, choose_on="held"), {"as-written": test, "held": held})


def test_optimism_is_promise_minus_fresh() -> None:
    leaky, grouped = Promise(score(0.8, 0.01), score(0.5)), Promise(score(0.6), score(0.55))
    runs = {
        "as-written": [scored()] * 2,
        "leaky": [scored(promise=leaky)] * 2,
        "grouped": [scored(promise=grouped)] * 2,
    }
    one = compared(arm=(), against=(), variant="leaky", against_variant="grouped", optimism=True)
    (found,) = findings(study(one), runs)
    assert found.difference.value == pytest.approx(0.25)
    assert (found.one, found.other) == pytest.approx((0.3, 0.05))
    alone = compared(arm=(), against=(), variant="leaky", number=0.0, optimism=True)
    (found,) = findings(study(alone), runs)
    assert found.difference.value == pytest.approx(0.3)


def test_a_number_to_compare_with() -> None:
    runs = {"as-written": [scored(one=score(0.5, 0.01))]}
    (found,) = findings(study(compared(arm=("one",), against=(), number=0.4)), runs)
    assert (found.difference.value, found.verdict) == (pytest.approx(0.1), "confirmed")
    assert found.sides == (("one",), ("0.4",))
