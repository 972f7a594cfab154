"""Filing a user's own file as that of a card, or trusting a program of theirs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from hpazoo.checkpoints import open_file, sha256
from hpazoo.checkpoints.cache.locks import locked
from hpazoo.checkpoints.cache.records import record_path, trust
from hpazoo.checkpoints.cache.store import (
    BY_HAND,
    cache_folder,
    cannot_write,
    expected_digest,
    install,
    lock_path,
    place_of,
    problem_of,
)
from hpazoo.checkpoints.cache.transfer import looks_like_page, text_in
from hpazoo.checkpoints.cards import Card, CardFile
from hpazoo.errors import CheckpointError, UsageError

_CHUNK = 1 << 20


def add(card: Card, path: Path, fold: int | None = None) -> Path:
    """Copy a file into the cache as that of a card, and say where it is now.

    UsageError if it is not said of which fold it is, or if the card's own file comes with hpazoo;
    CheckpointError if it is not the file that the card means: another digest than the published
    one, or than that of an earlier file.
    """
    if card.is_shipped:
        raise UsageError(
            f"the file of card '{card.name}' comes with hpazoo, and no other takes its place; give "
            "the path of yours in the spec"
        )
    file = _meant(card, fold)
    place = place_of(card, file)
    _check(path)
    with locked(lock_path(card)):
        part = place.with_name(f".{place.name}.added.part")
        try:
            digest = _copy(path, part)
            expected = expected_digest(card, file)
            if expected and expected[0] != digest:
                raise CheckpointError(_other(card, file, path, digest, expected))
            if problem_of(card, file) is None:
                return place
            return install(card, file, part, digest, BY_HAND)
        finally:
            part.unlink(missing_ok=True)


def trust_program(name: str, path: Path) -> str:
    """Trust the program in a file from now on, by its digest, which is returned."""
    # torch takes a second to import, and only this needs it
    from hpazoo.checkpoints.reading.files import is_program_file

    _check(path)
    if not is_program_file(path):
        raise CheckpointError(
            f"{path} is no TorchScript program, so there is no code to trust; give the path of a "
            "file of weights in the spec as it is"
        )
    digest = sha256(path)
    trust(cache_folder(), digest, name)
    return digest


def _meant(card: Card, fold: int | None) -> CardFile:
    if fold is None:
        if len(card.files) == 1:
            return card.files[0]
        folds = ", ".join(str(file.fold) for file in card.files)
        raise UsageError(
            f"card '{card.name}' has a file for each of the folds {folds}; say which one this is "
            "with --fold"
        )
    for file in card.files:
        if file.fold == fold:
            return file
    folds = ", ".join(str(file.fold) for file in card.files if file.fold is not None)
    raise UsageError(
        f"card '{card.name}' has no fold {fold}; its folds: {folds}"
        if folds
        else f"card '{card.name}' has one file and no folds; leave --fold away"
    )


def _check(path: Path) -> None:
    with open_file(path) as file:
        start = file.read(512)
    if not start:
        raise CheckpointError(f"{path} is empty; give a file of weights")
    if looks_like_page(start):
        raise CheckpointError(
            f"{path} is a web page, not weights: the link led to a notice or a login; open it in a "
            "browser and fetch the file from there"
        )
    if text := text_in(start):
        raise CheckpointError(
            f"{path} is a text file that begins with {text!r}, not weights; give a file of weights"
        )


def _copy(path: Path, part: Path) -> str:
    """Copy and hash the same bytes, so that nothing can change in between."""
    made = hashlib.sha256()
    with open_file(path) as source:
        try:
            free, needed = shutil.disk_usage(part.parent).free, path.stat().st_size
            if free < needed:
                raise CheckpointError(
                    f"{path} has {needed / 1e6:,.0f} MB, but {part.parent} only "
                    f"{free / 1e6:,.0f} MB free; free some space, or give another folder with the "
                    "environment variable HPAZOO_CACHE"
                )
            with part.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    made.update(chunk)
                    target.write(chunk)
        except OSError as error:
            raise cannot_write(part.parent, error) from error
    return made.hexdigest()


def _other(card: Card, file: CardFile, path: Path, digest: str, expected: tuple[str, str]) -> str:
    text = (
        f"{path} is not the file that card '{card.name}' means: it has sha256 {digest}, but "
        f"{expected[0]} was {expected[1]}; "
    )
    if file.sha256:
        return text + "to use it all the same, give its path in the spec"
    place = place_of(card, file)
    return text + f"to take it instead, first remove {place} and {record_path(place).name} there"
