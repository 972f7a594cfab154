"""What weights have seen, by their cards."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hpazoo.checkpoints.cards import find_card
from hpazoo.checkpoints.lineage import lineage, trained_on

KAGGLE_2021 = "5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0"
KAGGLE_2018 = "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0"
EXTERNAL = "17809_623_C10_2"


def card(name: str) -> Any:
    found = find_card(name)
    assert found is not None
    return found


def test_parents_count() -> None:
    """The 6th place's weights began as those of 2018, which saw the external images too."""
    assert trained_on(card("hpa2021-6th-densenet121-768")) == (
        "hpa2021-train",
        "hpa-public-without-0-and-16",
        "hpa2018-train",
        "hpa2018-external",
    )
    found = lineage(card("hpa2021-6th-densenet121-768"))
    assert found.cards == ("hpa2021-6th-densenet121-768", "bestfitting-densenet121-768")
    own, parent = "card hpa2021-6th-densenet121-768", "card bestfitting-densenet121-768"
    assert found.seen([KAGGLE_2021, KAGGLE_2018, "623_C10_2", "mine"]) == {
        KAGGLE_2021: f"{own}, data set hpa2021-train",
        KAGGLE_2018: f"{parent}, data set hpa2018-train",
        "623_C10_2": f"{parent}, data set hpa2018-external",
    }
    assert found.untold == () and found.maybe_seen(["9999_A1_1"]) == {}


def test_what_nobody_knows() -> None:
    found = lineage(card("hpa2021-winner-inception"))
    assert found.seen([KAGGLE_2021, EXTERNAL]).keys() == {KAGGLE_2021}
    assert found.maybe_seen([KAGGLE_2021, EXTERNAL, "mine", KAGGLE_2018]) == {
        EXTERNAL: "card hpa2021-winner-inception, data set hpa-public, which may hold them"
    }
    assert found.untold == ("which images the data set hpa-public holds is not known",)


@pytest.mark.parametrize(
    "header, sets, untold",
    [
        ({"parent": "pudae-resnet34"}, {"hpa2018-train", "hpa2018-external"}, "images that it"),
        ({"trained_on": {"images": 21806, "sha256": "0"}}, set(), "21,806 images that it does not"),
        ({"trained_on": ["hpa2021-train"], "parent": "imagenet"}, {"hpa2021-train"}, ""),
        ({"trained_on": ["mine"], "parent": None}, {"mine"}, "the data set mine holds is not"),
        ({"trained_on": ["hpa2021-train"], "parent": "a.pth"}, {"hpa2021-train"}, "'a.pth'"),
        ({"trained_on": [1, {}], "parent": ["x"]}, set(), "trained from \"['x']\""),
        ({"trained_on": {"images": "many"}, "parent": 7}, set(), "was trained on images that"),
    ],
)
def test_cards_in_files(header: dict[str, Any], sets: set[str], untold: str) -> None:
    found = lineage(header)
    assert set(found.data_sets) == sets
    assert untold in "; ".join(found.untold) and bool(untold) == bool(found.untold)


def test_no_card() -> None:
    found = lineage(None)
    assert not found.seen([KAGGLE_2018]) and not found.maybe_seen([EXTERNAL])
    assert found.untold == ("the file has no card that says what it was trained on",)


def test_a_parent_that_is_gone_ends_the_line() -> None:
    orphan = dataclasses.replace(card("pudae-resnet34"), parent=None)
    assert lineage(orphan).cards == ("pudae-resnet34",)
