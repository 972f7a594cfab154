"""`tuned`: what it learns from, what it refuses, and what it says."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable

import numpy as np
import pytest
import yaml

from hpazoo.classes import ClassList, class_list
from hpazoo.ensembles import Known, ensembles
from hpazoo.ensembles import tuned as module
from hpazoo.ensembles.mean import Mean
from hpazoo.ensembles.tuned import Tuned
from hpazoo.errors import HpazooError

CLASSES = ClassList("four", ("Nucleoli", "Cytosol", "Centrosome", "Vesicles"))
SEEN = ("model 'a' (card old, data set hpa2018-train)",)
TUNED = "the ensemble 'tuned'"


def fields(
    noises: tuple[float, ...] = (0.3, 0.9),
    count: int = 40,
    cells: int = 5,
    classes: ClassList = CLASSES,
    name: Callable[[int], str] = "{}_A1_1".format,
    seed: int = 0,
) -> list[Known]:
    """Fields of different wells, whose members see the truth through noise."""
    draw = np.random.default_rng(seed)
    known = []
    for number in range(count):
        truth = draw.random((cells, len(classes))) < 0.3
        said = [truth + draw.normal(0, noise, truth.shape) for noise in noises]
        members = 1 / (1 + np.exp(-2 * np.array(said)))
        known.append(Known(name(number), members.astype(np.float32), truth))
    return known


def with_labels(known: Known) -> Known:
    assert known.truth is not None
    return dataclasses.replace(known, truth=None, labels=np.asarray(known.truth.any(axis=0)))


def test_blends_as_mean_does_with_what_it_learned() -> None:
    tuned, known = Tuned(), fields()
    learned = tuned.learn(known, CLASSES)
    assert learned.weights == learned.fitted and learned.weights[0] > 0.6
    assert learned.gain is not None and learned.gain > 0 and learned.is_sure
    assert not learned.notes
    assert learned.fields == tuple(sorted(one.field for one in known))
    found = tuned.blend(known[0].probabilities, np.ones(2))
    expected = Mean().blend(known[0].probabilities, np.array(learned.weights))
    assert np.array_equal(found, expected)


def test_neither_the_order_of_fields_nor_of_members_matters(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_CELLS", 120)
    known = fields((0.4, 0.8, 1.5))
    first = Tuned().learn(known, CLASSES)
    assert len(first.fields) == 24 and "24 of 40 fields were drawn" in " ".join(first.notes)
    assert Tuned().learn(known[::-1], CLASSES) == first
    turned = [dataclasses.replace(one, probabilities=one.probabilities[::-1]) for one in known]
    second = Tuned().learn(iter(turned), CLASSES)
    assert second.weights == first.weights[::-1]
    assert (second.value, second.interval) == (first.value, first.interval)


def test_fields_that_were_seen_have_no_part() -> None:
    """Whatever is said of them, and whichever order they come in."""
    known = fields(count=30)
    liars = [
        dataclasses.replace(one, field=f"x{one.field}", truth=~one.truth, seen_by=SEEN)
        for one in fields(count=50, seed=1)
        if one.truth is not None
    ]
    alone, beside = Tuned().learn(known, CLASSES), Tuned().learn([*liars, *known], CLASSES)
    assert dataclasses.replace(beside, notes=()) == dataclasses.replace(alone, notes=())
    assert beside.notes == ("50 labelled fields do not count: a member was trained on them",)


def test_refused_where_nothing_was_left_out() -> None:
    both = (*SEEN, "model 'b' (card new, data set hpa2021-train)")
    known = [dataclasses.replace(one, seen_by=SEEN) for one in fields(count=3)]
    known[0] = dataclasses.replace(known[0], seen_by=both)
    with pytest.raises(HpazooError) as caught:
        Tuned().learn(known, CLASSES)
    assert str(caught.value) == (
        f"{TUNED}: nothing was left out: all 3 labelled fields were in the training data of a "
        "member (3 of model 'a' (card old, data set hpa2018-train); 1 of model 'b' (card new, data "
        "set hpa2021-train)), and weights fitted there would favour the member that remembers "
        "best; give the truth of fields that no member was trained on (truth: FILE), or take the "
        "ensemble 'mean', with weights of your own where you have them"
    )
    with pytest.raises(HpazooError, match="nothing was left out"):
        Tuned().check((one.field, one.seen_by) for one in known)


def test_refused_before_anything_is_predicted() -> None:
    """`check` needs ids alone."""
    tuned = Tuned()
    tuned.check([("a", SEEN), ("b", ()), ("c", ())])
    with pytest.raises(HpazooError, match="known for none of the fields; give the truth"):
        tuned.check([])
    with pytest.raises(HpazooError, match="one labelled field was left out, and two are the"):
        tuned.check([("a", SEEN), ("b", ())])


def test_refused_without_truth() -> None:
    blank = [dataclasses.replace(one, truth=None) for one in fields(count=3)]
    for known in ([], blank):
        with pytest.raises(HpazooError, match="known for none of the fields"):
            Tuned().learn(known, CLASSES)


def test_refused_where_truth_shows_nothing() -> None:
    blank = [
        dataclasses.replace(one, truth=np.zeros((5, 4), bool), labels=np.zeros(4, bool))
        for one in fields(count=3)
    ]
    with pytest.raises(HpazooError, match=r"none of the 3 .* classes of four; give"):
        Tuned().learn(blank, CLASSES)


def test_classes_that_no_field_shows_are_named() -> None:
    wide = ClassList("five", (*CLASSES.names, "Mitotic spindle"))
    known = []
    for one in fields(classes=wide):
        assert one.truth is not None
        known.append(dataclasses.replace(one, truth=one.truth & (np.arange(5) < 4)))
    learned = Tuned().learn(known, wide)
    assert learned.notes == ("not fitted for, as no field left out shows them: Mitotic spindle",)
    assert "over 4 classes" in learned.objective


def test_objective_follows_what_is_known() -> None:
    cells = fields()
    mixed = [with_labels(one) if n % 2 else one for n, one in enumerate(cells)]
    mostly = [with_labels(one) if n % 3 else one for n, one in enumerate(cells)]
    assert "200 cells of 40 fields" in Tuned().learn(cells, CLASSES).objective
    half = Tuned().learn(mixed, CLASSES)
    assert "100 cells of 20 fields" in half.objective
    assert "20 fields do not count: the truth of their cells is not known" in half.notes
    for objective, known in (("auto", mostly), ("images", cells), ("images", mixed)):
        learned = Tuned(objective=objective).learn(known, CLASSES)
        assert "40 images of 40 fields" in learned.objective
    only = [with_labels(one) for one in cells]
    same = Tuned().learn(only, CLASSES)
    assert same == Tuned(objective="images").learn(cells, CLASSES)
    with pytest.raises(HpazooError, match=r"known for 0 of the 40 fields .*'objective: images'"):
        Tuned(objective="cells").learn(only, CLASSES)


def test_a_field_without_cells() -> None:
    known = fields()
    empty = Known("no cells", np.zeros((2, 0, 4), np.float32), np.zeros((0, 4), bool))
    shows = Known("none", np.zeros((2, 0, 4), np.float32), labels=np.ones(4, bool))
    assert "200 cells of 40 fields" in Tuned().learn([*known, empty], CLASSES).objective
    images = Tuned(objective="images").learn([*known, empty, shows], CLASSES)
    assert "42 images" in images.objective
    with pytest.raises(HpazooError, match="known for 1 of the 2 fields"):
        Tuned(objective="cells").learn([known[0], empty], CLASSES)


def test_what_is_not_sure_is_said_and_taken_as_asked() -> None:
    for seed in range(20):
        known = fields((1.0, 1.0, 1.0), seed=seed)
        better, sure, always = (
            Tuned(adopt=adopt).learn(known, CLASSES) for adopt in ("better", "sure", "always")
        )
        assert better.fitted == sure.fitted == always.fitted == always.weights
        assert not better.is_sure
        unsure = "the gain over equal weights is not sure: its interval includes 0"
        assert all(unsure in one.notes for one in (better, sure, always))
        assert sure.weights == (1 / 3,) * 3
        assert "all members count the same, as 'adopt: sure' asks" in sure.notes
        assert better.gain is not None
        assert better.weights == (better.fitted if better.gain > 0 else (1 / 3,) * 3)
        if better.gain <= 0:
            return
    pytest.fail("of twenty draws of equal members none was measured to gain nothing")


@pytest.mark.parametrize(
    "name, groups, note",
    [
        ("100_{}_A1_1".format, 40, "one antibody or well"),
        ("7_B2_{}".format, 40, "one antibody or well"),
        (lambda n: f"{n % 4}_{n}_A1_1", 4, "4 independent groups of fields are few"),
        (lambda n: f"{n // 2}_C3_{n}", 20, ""),
        (lambda n: f"{n // 2}_C3_{n}" if n % 2 else f"{n // 4}_{n // 2}_C3_{n}", 10, "are few"),
        ("image {}".format, 40, ""),
    ],
)
def test_near_duplicates_stay_together(name, groups: int, note: str) -> None:
    learned = Tuned(rounds=100).learn(fields(name=name), CLASSES)
    assert f"in {groups} groups by antibody or well" in learned.objective
    assert note in " ".join(learned.notes) and bool(note) == bool(learned.notes)


def test_one_member_has_nothing_to_tune() -> None:
    tuned, known = Tuned(), fields((0.5,), count=2)
    learned = tuned.learn(known, CLASSES)
    assert learned.weights == (1.0,) and learned.gain is None and not learned.is_sure
    assert learned.lines(["a"]) == [
        "weights: a 1.000",
        "one member is blended: there is nothing to tune",
    ]
    json.dumps(learned.as_json(["a"]), allow_nan=False)
    blend = tuned.blend(known[0].probabilities, np.ones(1))
    assert np.array_equal(blend, known[0].probabilities[0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"probabilities": np.full((2, 5, 4), np.nan, np.float32)}, "probability that is no numb"),
        ({"probabilities": np.zeros((3, 5, 4), np.float32)}, "expected 2 members and 4 classes"),
        ({"truth": np.zeros((4, 4), bool)}, r"its truth are bool \(4, 4\), expected bool \(5, 4\)"),
        ({"truth": np.zeros((5, 4), int)}, r"its truth are int64"),
        ({"labels": np.zeros(3, bool)}, r"its labels are bool \(3,\), expected bool \(4,\)"),
    ],
)
def test_what_does_not_fit_is_named(change, message: str) -> None:
    known = fields(count=3)
    known[1] = dataclasses.replace(known[1], **change)
    with pytest.raises(HpazooError, match=f"field '1_A1_1': .*{message}"):
        Tuned().learn(known, CLASSES)


def test_blends_nothing_before_it_has_learned() -> None:
    tuned, known = Tuned(), fields()
    with pytest.raises(HpazooError, match="learned no weights yet"):
        tuned.blend(known[0].probabilities, np.ones(2))
    tuned.learn(known, CLASSES)
    with pytest.raises(HpazooError, match="weights of 2 members, and is to blend 1"):
        tuned.blend(known[0].probabilities[:1], np.ones(1))


def test_log_and_lock() -> None:
    learned = Tuned().learn(fields(), CLASSES)
    first, second = learned.lines(["old", "new"])
    assert first == "weights: old {:.3f}, new {:.3f}".format(*learned.weights)
    assert second.startswith(f"gain over equal weights: {learned.gain:+.4f} (0.")
    assert "95 % interval +0.0" in second and "200 cells of 40 fields" in second
    kept = learned.as_json(["old", "new"])
    assert yaml.safe_load(yaml.safe_dump(kept)) == json.loads(json.dumps(kept)) == kept
    assert kept["weights"] == {"old": learned.weights[0], "new": learned.weights[1]}
    assert kept["fields"]["images"] == 40 and kept["interval"][0] > 0


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    known = fields(count=30)
    assert Tuned(seed=3).learn(known, CLASSES) == Tuned(seed=3).learn(known, CLASSES)
    assert Tuned(seed=3).learn(known, CLASSES) != Tuned(seed=4).learn(known, CLASSES)


def test_it_is_a_component() -> None:
    built = ensembles.build({"type": "tuned", "truth": "cells.csv", "adopt": "sure"})
    assert built.truth == "cells.csv" and not built.uses_weights


@pytest.mark.slow
def test_three_hundred_fields_take_seconds() -> None:
    known = fields((0.5, 0.8, 1.0, 2.0), count=300, cells=30, classes=class_list("hpa-2021"))
    began = time.process_time()
    Tuned().learn(known, class_list("hpa-2021"))
    assert time.process_time() - began < 20
