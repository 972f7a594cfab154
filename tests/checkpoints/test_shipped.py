"""Weights that come with hpazoo: verified as others are, and in nobody's way."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from hpazoo.checkpoints.cache import store
from hpazoo.checkpoints.cache.add import add
from hpazoo.checkpoints.cache.fetch import FetchError, fetch
from hpazoo.checkpoints.card_file import read_cards
from hpazoo.checkpoints.cards import Card, find_card
from hpazoo.checkpoints.lineage import lineages
from hpazoo.cli import main
from hpazoo.errors import CheckpointError, HpazooError, UsageError
from tests.checkpoints.serving import card_of
from tests.checkpoints.test_cards import GOOD, written

DATA = b"\x80weights" * 1000
NAME = "drawn-small-resnet"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped data; the cache is another one, and empty."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "w.safetensors").write_bytes(DATA)
    monkeypatch.setattr(store, "data_folder", lambda name: tmp_path / name)
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    return folder


def shipped() -> Card:
    digest = hashlib.sha256(DATA).hexdigest()
    return card_of({"name": "w.safetensors", "sha256": digest}, status="shipped")


def test_it_is_there_without_a_cache(registry: Path) -> None:
    card = shipped()
    assert store.local_files(card) == [registry / "w.safetensors"]
    assert store.is_there(card, card.files[0])
    assert [(one.path, one.source) for one in fetch(card)] == [(registry / "w.safetensors", "")]
    assert not (registry.parent / "cache").exists()


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_harm_is_found_and_the_cure_said(registry: Path, harm: str) -> None:
    file = registry / "w.safetensors"
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(DATA[:-1] + b"?")
    for use in (store.local_files, fetch):
        with pytest.raises((CheckpointError, FetchError)) as error:
            use(shipped())
        assert f"{file} {'is missing' if harm == 'missing' else 'was changed'}" in str(error.value)
        assert "install hpazoo again" in str(error.value)
        assert "checkpoints add" not in str(error.value)


def test_nothing_takes_its_place(registry: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    shutil.copyfile(registry / "w.safetensors", other)
    with pytest.raises(UsageError, match="comes with hpazoo"):
        add(shipped(), other)
    assert sorted(path.name for path in registry.iterdir()) == ["w.safetensors"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([{"name": "w.pth"}], "a shipped file has a 'sha256' and no sources"),
        (
            [{"name": "w.pth", "sha256": "0" * 64, "sources": ["https://example.org/w"]}],
            "a shipped file has a 'sha256' and no sources",
        ),
    ],
)
def test_cards_of_shipped_files(tmp_path: Path, files: object, message: str) -> None:
    entry = GOOD["cards"]["mine"] | {"status": "shipped", "files": files}
    with pytest.raises(HpazooError, match=message):
        read_cards(written(tmp_path, GOOD | {"cards": {"mine": entry}}))


def test_a_file_of_ones_own_ships_nothing(tmp_path: Path) -> None:
    sets, cards = read_cards(written(tmp_path, GOOD))
    file = {"name": "w.pth", "sha256": "0" * 64}
    entry = GOOD["cards"]["mine"] | {"status": "shipped", "files": [file]}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"cards": {"new": entry}}), encoding="utf-8")
    with pytest.raises(HpazooError, match="'shipped' is for files that come with hpazoo"):
        read_cards(path, sets, cards)


def test_what_it_has_seen_stands_in_its_file(tmp_path: Path) -> None:
    card = find_card(NAME)
    assert card is not None
    (found,) = lineages(NAME, store.local_files(card))
    assert found.cards == (NAME,) and found.untold == ()
    assert found.seen(
        ["synthetic_1-1_A1_1", "synthetic_1-16_C4_2", "synthetic_2-1_A1_1"]
    ).keys() == {
        "synthetic_1-1_A1_1",
        "synthetic_1-16_C4_2",
    }
    (gone,) = lineages(NAME, [tmp_path / "none.safetensors"])
    assert "cannot be read here" in gone.untold[0]


def test_the_command_lists_it_as_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["checkpoints", "list"])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(NAME))
    assert "came with hpazoo" in row and "0.5 MB" in row
    with pytest.raises(SystemExit):
        main(["checkpoints", "show", NAME])
    assert str(store.data_folder("registry")) in capsys.readouterr().out


def test_the_command_names_the_cure(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another file lies where the card's should: it cannot be fetched."""
    (registry / "drawn-small-resnet.safetensors").write_bytes(DATA)
    with pytest.raises(SystemExit) as left:
        main(["checkpoints", "verify", NAME])
    assert left.value.code == 1
    (line,) = (one for one in capsys.readouterr().out.splitlines() if one.startswith("wrong: "))
    assert "was changed or is damaged" in line and line.endswith("install hpazoo again")
