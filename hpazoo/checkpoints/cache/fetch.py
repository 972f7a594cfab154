"""Fetching the files of a card: from its sources in order, verified before they get their names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hpazoo.checkpoints import open_file, sha256
from hpazoo.checkpoints.cache.connection import SourceError
from hpazoo.checkpoints.cache.locks import locked
from hpazoo.checkpoints.cache.store import (
    REINSTALL,
    expected_digest,
    fold_name,
    install,
    lock_path,
    place_of,
    problem_of,
)
from hpazoo.checkpoints.cache.transfer import (
    Part,
    Patience,
    Silent,
    Watch,
    host_of,
    text_in,
    transfer,
)
from hpazoo.checkpoints.cards import Card, CardFile
from hpazoo.errors import HpazooError, UsageError


class FetchError(HpazooError):
    """Files of a card could not be fetched; those that could are kept."""


@dataclass(frozen=True)
class Fetched:
    """A file of a card that is in the cache now."""

    path: Path
    source: str
    """Where it came from; empty if it was there before."""
    recorded: str = ""
    """Its sha256 where nobody had said one before, so that nothing could be verified."""


def fetch(
    card: Card,
    folds: Collection[int] = (),
    *,
    watch: Watch | None = None,
    patience: Patience | None = None,
) -> list[Fetched]:
    """Bring the files of a card into the cache, or those of some folds.

    What is there and in order is left alone, without asking any server. FetchError names each file
    that could not be had, and for every source why; the others are kept.
    """
    watch, patience = watch or Silent(), patience or Patience()
    found: list[Fetched] = []
    failed: list[str] = []
    lost: list[str] = []
    for file in _wanted(card, folds):
        # without the lock, so that a read-only cache will do
        problem = problem_of(card, file)
        try:
            if problem is None:
                found.append(Fetched(place_of(card, file), ""))
            elif not file.sources:
                lost.append(f"  {problem}")
            else:
                found.append(_fetch_file(card, file, watch, patience))
        except FetchError as error:
            failed.append(str(error))
    if lost:
        failed.append(_not_offered(card, lost))
    if failed:
        raise FetchError("\n".join(failed))
    return found


def _wanted(card: Card, folds: Collection[int]) -> list[CardFile]:
    known = [file.fold for file in card.files if file.fold is not None]
    for fold in folds:
        if fold not in known:
            has = f"its folds: {', '.join(map(str, known))}" if known else "it has one file"
            raise UsageError(f"card '{card.name}' has no fold {fold}; {has}")
    return [file for file in card.files if not folds or file.fold in folds]


def _fetch_file(card: Card, file: CardFile, watch: Watch, patience: Patience) -> Fetched:
    def waiting() -> None:
        watch.say(f"waiting for another hpazoo that works on card '{card.name}'")

    with locked(lock_path(card), waiting):
        _sweep(card)
        if problem_of(card, file) is None:
            return Fetched(place_of(card, file), "")
        return _from_sources(card, file, watch, patience)


def _from_sources(card: Card, file: CardFile, watch: Watch, patience: Patience) -> Fetched:
    part = Part(_part_path(place_of(card, file)))
    reasons = []
    known = expected_digest(card, file) is not None
    for url in file.sources:
        try:
            digest = _from_source(card, file, url, part, watch, patience)
        except SourceError as error:
            reasons.append(f"  {url}\n    {error}")
            if url != file.sources[-1]:
                watch.say(f"{host_of(url)}: {error}; trying the next source")
            continue
        except HpazooError as error:
            raise FetchError(
                f"{fold_name(file)} of card '{card.name}' could not be fetched: {error}"
            ) from error
        place = install(card, file, part.path, digest, url)
        part.remove()
        return Fetched(place, url, "" if known else digest)
    fold = "" if file.fold is None else f" --fold {file.fold}"
    raise FetchError(
        f"{fold_name(file)} of card '{card.name}' could not be fetched:\n"
        + "\n".join(reasons)
        + f"\nif you can get it in another way: hpazoo checkpoints add {card.name} FILE{fold}"
    )


def _from_source(
    card: Card, file: CardFile, url: str, part: Part, watch: Watch, patience: Patience
) -> str:
    """Digest of the part, complete and verified; SourceError if the source has another file."""
    expected = expected_digest(card, file)
    while True:
        watch.say(f"fetching {fold_name(file)} from {host_of(url)}")
        resumed = transfer(
            url,
            part,
            name=file.name,
            size=file.bytes,
            has_digest=expected is not None,
            watch=watch,
            patience=patience,
        )
        digest = sha256(part.path)
        with open_file(part.path) as made:
            text = text_in(made.read(512))
        if text and expected is None:
            part.remove()
            raise SourceError(f"sends a text file that begins with {text!r}, not weights")
        if expected is None or digest == expected[0]:
            return digest
        part.remove()
        if not resumed:
            raise SourceError(
                f"sends a file with sha256 {digest}, but {expected[0]} was {expected[1]}"
            )
        watch.say(f"{file.name}: what was left of an earlier try did not fit; beginning anew")


def _not_offered(card: Card, lost: Collection[str]) -> str:
    if card.is_shipped:
        return "\n".join([f"files of card '{card.name}' are wrong:", *lost, REINSTALL])
    where = f" ({card.thread})" if card.thread else ""
    fold = " --fold K" if len(card.files) > 1 else ""
    return "\n".join(
        [
            f"nobody offers these files of card '{card.name}':",
            *lost,
            f"{card.note}{where}",
            f"if you have one: hpazoo checkpoints add {card.name} FILE{fold}",
        ]
    )


def _part_path(place: Path) -> Path:
    return place.with_name(f".{place.name}.part")


def _sweep(card: Card) -> None:
    """Remove what killed processes left, but for parts that can be gone on with."""
    parts = [Part(_part_path(place_of(card, file))) for file in card.files]
    kept = {path for part in parts for path in (part.path, part.note)}
    for path in lock_path(card).parent.glob(".*.part*"):
        if path not in kept:
            path.unlink(missing_ok=True)
