"""The published cards, and what is said of a file of cards that is wrong."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpazoo.checkpoints.card_file import is_https, read_cards
from hpazoo.checkpoints.cards import OWN_CARDS, card_names, data_sets, find_card
from hpazoo.errors import HpazooError
from hpazoo.formats import formats
from hpazoo.spec.catalog import components, description

PROGRAMS = ("torchscript", "onnx")
"""Formats of files that hold no state dict, so that no component of `formats` is for them."""


@pytest.mark.parametrize("name", card_names())
def test_published_cards(name: str) -> None:
    """`read_cards` checks shapes; here is what needs the registry of components."""
    card = find_card(name)
    assert card is not None and card.name == name
    assert card.format in (None, *PROGRAMS, *formats.components())
    assert set(card.trained_on) <= set(data_sets()) and card.trained_on
    assert card.note and card.licence
    assert card.is_shipped or (card.citation and "doi:" in card.citation)
    assert all(is_https(source) for file in card.files for source in file.sources)
    if card.status == "unavailable":
        assert "hpazoo" not in card.note
    for kind, key in (("backbones", "backbone"), ("heads", "head")):
        if key not in card.builds:
            continue
        config = card.builds[key]
        options = {"type": config} if isinstance(config, str) else dict(config)
        found = options.pop("type")
        assert found in components(kind)
        known = description(kind, found)
        assert set(known.required) <= set(options) <= set(known.parameters)


def test_names_that_specs_and_segmenters_rely_on() -> None:
    assert set(card_names()) >= {
        "bestfitting-densenet121-768",
        "bestfitting-densenet121-1536",
        "bestfitting-densenet-onnx",
        "bestfitting-inception",
        "bestfitting-resnet18",
        "bestfitting-resnet34",
        "bestfitting-resnet50-metric",
        "pudae-inception-1024",
        "pudae-resnet34",
        "pudae-se-resnext50",
        "hpa2021-winner-inception",
        "hpa2021-winner-inception-onnx",
        "hpa2021-6th-densenet121-768",
        "hpa2021-6th-densenet121-1536",
        "hpa2021-6th-inception-1024",
        "hpa-segmentation-cells",
        "hpa-segmentation-nuclei",
    }
    assert find_card("nobody") is None


def test_lineage_of_the_6th_place() -> None:
    for name, parent in (
        ("densenet121-768", "bestfitting-densenet121-768"),
        ("densenet121-1536", "bestfitting-densenet121-1536"),
        ("inception-1024", "pudae-inception-1024"),
    ):
        card = find_card(f"hpa2021-6th-{name}")
        started = find_card(parent)
        assert card and started and card.parent == parent
        assert card.builds == started.builds and card.input == started.input
        assert card.status == "unavailable" and not card.files[0].sources
    folds = find_card("hpa2021-6th-densenet121-768")
    assert folds and [file.fold for file in folds.files] == [0, 1, 2, 3, 4]


def test_variants_that_weights_do_not_tell_are_said() -> None:
    large = find_card("bestfitting-densenet121-1536")
    small = find_card("bestfitting-resnet34")
    assert large and large.builds["backbone"] == {"type": "densenet121", "large": True}
    assert small and small.builds["backbone"] == {"type": "resnet34", "stem": "bestfitting"}


def test_cards_need_no_network_library() -> None:
    code = (
        "import sys; from hpazoo.checkpoints.cards import card_names; card_names();"
        "from hpazoo.checkpoints.cache import add, fetch, store;"
        "assert not {'torch', 'numpy', 'requests', 'urllib3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


GOOD: dict[str, Any] = {
    "datasets": {"seen": "Images"},
    "cards": {
        "mine": {
            "title": "Mine",
            "role": "classifier",
            "builds": {"backbone": "densenet121", "head": "avg-max"},
            "input": {"size": 64, "normalize": "none"},
            "classes": "hpa-2018",
            "files": [
                {"name": "0.pth", "fold": 0, "sources": ["https://example.org/0"]},
                {"name": "1.pth", "fold": 1, "sources": ["https://example.org/1"]},
            ],
            "format": "bestfitting",
            "licence": "MIT",
            "trained_on": ["seen"],
            "status": "released",
        }
    },
}


def written(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "checkpoints.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    sets, cards = read_cards(written(tmp_path, GOOD))
    assert sets == GOOD["datasets"] and cards == GOOD["cards"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"licence": None}, "'licence' is missing"),
        ({"licence": 3}, "'licence' is 3, expected str"),
        ({"note": True}, "'note' is True, expected str"),
        ({"citation": yaml.safe_load("2019-01-10")}, "expected str or null"),
        ({"files": []}, "'files' is missing"),
        ({"role": "other"}, "role 'other' is none of classifier, embeddings, segmentation"),
        ({"status": "lost"}, "status 'lost' is none of released, shipped, unavailable"),
        ({"status": "unavailable"}, "status is unavailable, but 2 of 2 files have sources"),
        ({"trained_on": ["unseen"]}, "trained_on 'unseen' is none of seen"),
        ({"classes": None}, "a classifier has 'classes', other roles have none"),
        ({"classes": "hpa"}, "classes 'hpa' is none of hpa-2018, hpa-2021"),
        ({"role": "embeddings"}, "a classifier has 'classes', other roles have none"),
        ({"format": None}, "'format' is missing"),
        ({"format": "torchscript"}, "0.pth': TorchScript runs code, so it needs a 'sha256'"),
        ({"builds": {"backbone": "densenet121"}}, "'builds' needs backbone and head"),
        ({"builds": None}, "'builds' needs backbone and head"),
        ({"input": {"size": 64}}, "'input' needs size and normalize"),
        ({"input": {"size": "64", "normalize": "none"}}, "size '64' is no whole number"),
        ({"input": {"size": 64, "normalize": "x"}}, "normalize 'x' is none of hpa-2018"),
        ({"status": "not-loadable"}, "'builds' and 'input' are for networks that a spec can name"),
        ({"thread": "http://example.org"}, "thread 'http://example.org' is no https address"),
        ({"parent": "mein"}, "unknown parent 'mein'; did you mean 'mine'"),
        ({"parent": "mine"}, "parent 'mine' descends from itself"),
        ({"files": ["0.pth"]}, "a file is a mapping"),
        ({"files": [{"name": "a", "url": "x"}]}, "unknown key 'url'"),
        ({"files": [{"name": "../a", "sources": ["https://e.org/a"]}]}, "file '../a': a name is"),
        ({"files": [{"name": "a", "sha256": "0ABC"}]}, "64 hexadecimal digits, not '0ABC'"),
        ({"files": [{"name": "a", "bytes": 0}]}, "bytes is above 0, not 0"),
        ({"files": [{"name": "a", "sources": ["ftp://e.org/a"]}]}, "'ftp://e.org/a' is no https"),
        ({"files": [{"name": "a", "sources": ["https://e.org"] * 2}]}, "a source stands twice"),
        ({"files": [{"name": "a"}, {"name": "b"}]}, "each of several files has a 'fold', in order"),
        (
            {"files": [{"name": "a", "fold": 1}, {"name": "b", "fold": 0}]},
            "each of several files has a 'fold', in order",
        ),
        (
            {"files": [{"name": "a", "fold": 0}, {"name": "A", "fold": 1}]},
            "two files have one name",
        ),
    ],
)
def test_a_card_that_is_wrong(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = copy.deepcopy(GOOD)
    data["cards"]["mine"] |= change
    with pytest.raises(HpazooError) as caught:
        read_cards(written(tmp_path, data))
    assert "card 'mine': " in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping with the keys 'datasets' and 'cards'"),
        ("datasets: {}\n", "expected a mapping with the keys"),
        ("datasets: {}\ncards: []\n", "are mappings, by name"),
        ("datasets: {}\ncards: {a: {}, a: {}}\n", "'a' stands twice"),
        ("datasets: {}\ncards: {Big_Name: {}}\n", "card 'Big_Name': a name is of small letters"),
        ("datasets: {}\ncards: {a: 3}\n", "card 'a': expected a mapping"),
        ("datasets: {\n", "cannot be read"),
        ("datasets: !!python/object/apply:os.getcwd []\ncards: {}\n", "cannot be read"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(HpazooError, match=r"checkpoints\.yaml") as caught:
        read_cards(written(tmp_path, text))
    assert message in str(caught.value)


def test_all_problems_at_once(tmp_path: Path) -> None:
    data = copy.deepcopy(GOOD)
    data["cards"]["other"] = {**data["cards"]["mine"], "role": "x", "parent": "nobody"}
    data["cards"]["mine"]["status"] = "x"
    with pytest.raises(HpazooError) as caught:
        read_cards(written(tmp_path, data))
    text = str(caught.value)
    assert "card 'mine': status" in text
    assert "card 'other': role" in text and "card 'other': unknown parent" in text


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://example.org/a?b=c", True),
        ("https://me@example.org/a", False),
        ("https:///a", False),
        ("https://exa mple.org", False),
        ("https://[::1", False),
        ("HTTP://example.org", False),
        (3, False),
    ],
)
def test_addresses(text: object, good: bool) -> None:
    assert is_https(text) is good


def test_a_file_of_ones_own_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWN_CARDS, str(tmp_path / "none.yaml"))
    with pytest.raises(HpazooError, match=r"HPAZOO_CARDS names: .*none\.yaml cannot be read: No "):
        find_card("hpa2021-winner-inception")
