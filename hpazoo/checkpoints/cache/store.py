"""The cache of checkpoints: `<cache>/<card>/<file>`, each verified before it is handed out.

A file with a published digest must have it. One without is recorded when it first comes, by
fetching or by hand, and checked against its record ever after. Reading takes no lock and writes
nothing, so a cache may be read-only. Files are hashed every time: at 1 GB a second that is not
worth a memory of what was checked, which could be wrong.

Files of a few cards come with hpazoo: they lie beside their cards, and are verified as others are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.cache.records import Record, read_record, record_path, trusted, write_record
from hpazoo.checkpoints.cards import Card, CardFile, card_names, find_card
from hpazoo.errors import CheckpointError, HpazooError
from hpazoo.paths import data_folder

BY_HAND = "added by hand"
REINSTALL = "this file comes with hpazoo: install hpazoo again"
_VARIABLE = "HPAZOO_CACHE"


def cache_folder() -> Path:
    """HPAZOO_CACHE, or `hpazoo` in the user's folder for caches; it need not exist."""
    if said := os.environ.get(_VARIABLE):
        return _expanded(said)
    if sys.platform == "win32":
        return _expanded(os.environ.get("LOCALAPPDATA") or "~/AppData/Local") / "hpazoo" / "Cache"
    if sys.platform == "darwin":
        return _expanded("~/Library/Caches") / "hpazoo"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return _expanded(xdg if xdg.startswith("/") else "~/.cache") / "hpazoo"


def place_of(card: Card, file: CardFile) -> Path:
    """Where a file of a card lies, or would."""
    if card.is_shipped:
        return data_folder("registry") / file.name
    return cache_folder() / card.name / file.name


def is_there(card: Card, file: CardFile) -> bool:
    """Whether a file is in the cache, or came with hpazoo, whatever it holds."""
    return place_of(card, file).is_file()


def expected_digest(card: Card, file: CardFile) -> tuple[str, str] | None:
    """(digest, who says so) of a file; None before the first use where none is published."""
    if file.sha256:
        return file.sha256, "published"
    record = read_record(place_of(card, file))
    return (record.sha256, "recorded on first use") if record else None


def problem_of(card: Card, file: CardFile) -> str | None:
    """What is wrong with a file of a card; None if it is there and what it should be."""
    path = place_of(card, file)
    try:
        if path.is_dir():
            return f"{path} is a folder"
        if not path.exists() and card.is_shipped:
            return f"{path} is missing"
        if not path.exists():
            return f"{fold_name(file)} is not in the cache {cache_folder()}"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    try:
        expected = expected_digest(card, file)
        found = sha256(path)
    except HpazooError as error:
        return str(error)
    if expected is None:
        return f"{path} has no record of what it was when it came ({record_path(path).name})"
    digest, who = expected
    if found == digest:
        return None
    return f"{path} was changed or is damaged: sha256 {found}, but {digest} was {who}"


def local_files(card: Card) -> list[Path]:
    """All files of a card in fold order, each verified just now.

    CheckpointError names every file that is missing or wrong, and what the user can do.
    """
    if not card.is_loadable:
        raise CheckpointError(f"card '{card.name}' cannot be loaded. {card.note}")
    problems = [(file, text) for file in card.files if (text := problem_of(card, file))]
    if problems:
        raise CheckpointError(_message(card, problems))
    return [place_of(card, file) for file in card.files]


def is_trusted(digest: str) -> bool:
    """Whether a program (TorchScript) with this sha256 may be run.

    Either a card pins it, of the project or of the user's own file of cards (HPAZOO_CARDS), or the
    user said so: `hpazoo checkpoints add NAME FILE --trust-code`.
    """
    for name in card_names():
        card = find_card(name)
        if card and card.format == "torchscript" and digest in {f.sha256 for f in card.files}:
            return True
    return digest in trusted(cache_folder())


def install(card: Card, file: CardFile, part: Path, digest: str, source: str) -> Path:
    """Give a verified neighbour `part` its name; the caller holds the lock of the card.

    The record goes first: a file without one is never taken for what it may not be.
    """
    place = place_of(card, file)
    if file.sha256 is None:
        write_record(place, Record(digest, part.stat().st_size, source))
    try:
        part.replace(place)
    except OSError as error:
        raise cannot_write(place, error) from error
    return place


def lock_path(card: Card) -> Path:
    return cache_folder() / card.name / ".lock"


def fold_name(file: CardFile) -> str:
    return file.name if file.fold is None else f"{file.name} (fold {file.fold})"


def cannot_write(path: Path, error: OSError) -> HpazooError:
    return HpazooError(
        f"{path} cannot be written: {error.strerror or error}; free some space, or give another "
        f"folder with the environment variable {_VARIABLE}"
    )


def _message(card: Card, problems: list[tuple[CardFile, str]]) -> str:
    lines = [f"card '{card.name}' cannot be used:", *(f"  {text}" for _, text in problems)]
    return "\n".join(lines + [f"  {text}" for text in _cures(card, problems)])


def _cures(card: Card, problems: list[tuple[CardFile, str]]) -> Iterator[str]:
    if card.is_shipped:
        yield REINSTALL
        return
    if any(file.sources for file, _ in problems):
        yield f"to fetch it: hpazoo checkpoints fetch {card.name}"
    if any(not file.sources for file, _ in problems):
        where = f" ({card.thread})" if card.thread else ""
        yield f"{card.note}{where}" if card.note else f"nobody offers it{where}"
    fold = " --fold K" if len(card.files) > 1 else ""
    text = f"if you have it: hpazoo checkpoints add {card.name} FILE{fold}"
    if card.role != "segmentation":  # a segmenter takes cards only
        text += (
            "; or give its path in the spec instead of the card, with all that the card says of "
            "the network"
        )
    yield text


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise HpazooError(
            f"there is no folder for checkpoints ('{text}': {error}); give one with the "
            f"environment variable {_VARIABLE}"
        ) from error
