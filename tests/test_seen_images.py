"""Which images published weights have seen."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from hpazoo import seen_images
from hpazoo.checkpoints.cards import data_sets
from hpazoo.errors import HpazooError
from hpazoo.paths import data_folder
from hpazoo.seen_images import FILE, decode, image_hash, known, seen, unknown
from tests.make_seen_images import TABLES, encode, ids_in


def test_every_spelling_is_the_image() -> None:
    spellings = [
        "17809_623_C10_2",
        "17809_623_c10_2",
        "623_C10_2",
        "17809_623_C10_2_cr0123456789ab",
    ]
    assert seen([*spellings, "17809_623_C10_20", "623_C1_2"], ["hpa2018-external"]) == {*spellings}
    # a fifth part in the table, none in the question
    assert seen(["1717_A7_17", "36228_1717_A7_17"], known()) == {"1717_A7_17", "36228_1717_A7_17"}


def test_data_sets_are_told_apart() -> None:
    both, old = "5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0", "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0"
    assert seen([both, old], ["hpa2021-train"]) == {both}
    assert seen([both, old.upper()], ["hpa2018-train"]) == {both, old.upper()}
    assert seen([both, old], ["hpa2018-external", "hpa-public", "nonsense"]) == set()
    assert seen([], known()) == set() == seen([both], [])


def test_names_are_those_of_the_registry() -> None:
    assert set(known()) == set(TABLES) < set(data_sets())
    assert unknown(["mine", "hpa2018-train", "hpa-public", "mine"]) == ("mine", "hpa-public")


def test_the_file_is_that_of_the_tables(shared: Path) -> None:
    """All ids of all tables are found, and each table's own count and digest stand in the file."""
    tables = {}
    for name, (table, column) in TABLES.items():
        content = (shared / "data" / "labels" / table).read_bytes()
        ids = ids_in(content, column)
        tables[name] = (table, content, ids)
        assert seen(ids, [name]) == set(ids)
    data = (data_folder("registry") / FILE).read_bytes()
    fresh, shipped = encode(tables), decode(data)
    assert (decode(fresh).hashes == shipped.hashes).all()
    assert (decode(fresh).members == shipped.members).all()
    # compressed bytes are the library's own: all but their digest is compared
    without = [one.split(b"\n")[1].split(b'"sets"')[1] for one in (data, fresh)]
    assert without[0] == without[1]
    assert len(data) < 400_000


def test_strangers_are_not_seen() -> None:
    """One in ten million is: among these ids there is none, and there never will be."""
    draw = random.Random(0)
    strangers = [f"{draw.getrandbits(128):032x}" for _ in range(100_000)]
    began = time.process_time()
    assert seen(strangers, known()) == set()
    assert time.process_time() - began < 1


def test_hostile_ids() -> None:
    strange = ["", "\ud800", "_" * 10_000, "1_" * 5_000, "Ⅷ_A1_1", "\0"]
    assert seen(strange, known()) == set()


def small() -> bytes:
    return encode({"a": ("a.csv", b"x", ["one", "1_2_A1_3"]), "b": ("b.csv", b"y", ["two", "one"])})


def test_round_trip() -> None:
    found = decode(small())
    assert found.names == ("a", "b")
    bits = dict(zip(found.hashes.tolist(), found.members.tolist(), strict=True))
    assert bits == {image_hash("ONE"): 3, image_hash("2_a1_3"): 1, image_hash("two"): 2}


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-1], lambda data: data[1:], lambda data: data + b"\0"],
)
def test_damaged_file(damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(damage(small()))
    monkeypatch.setattr(seen_images, "data_folder", lambda name: tmp_path)
    seen_images._index.cache_clear()
    try:
        with pytest.raises(HpazooError, match=r"seen-images\.bin is damaged .*; reinstall hpazoo"):
            known()
        (tmp_path / FILE).unlink()
        with pytest.raises(HpazooError, match=r"cannot be read: .*; reinstall hpazoo"):
            known()
    finally:
        seen_images._index.cache_clear()
