"""Cards: what is known of a published set of weights (`registry/checkpoints.yaml`)."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpazoo.checkpoints.card_file import read_cards
from hpazoo.errors import HpazooError
from hpazoo.paths import data_folder

OWN_CARDS = "HPAZOO_CARDS"
"""Names a file of cards of one's own, as `registry/checkpoints.yaml`: a laboratory's networks, or
other sources for known ones."""


@dataclass(frozen=True)
class CardFile:
    """One file of a card, a fold or all there is."""

    name: str
    fold: int | None
    sha256: str | None
    """Published digest, 64 hexadecimal digits; None: the digest of the first use counts."""
    bytes: int | None
    sources: tuple[str, ...]
    """Addresses in the order in which they are tried; none: nobody offers the file."""


@dataclass(frozen=True)
class Card:
    """One set of weights and all that travels with it.

    `builds` holds `backbone` and `head` as in a spec, `input` size and normalisation; both are
    empty for outlines and for what hpazoo cannot load. A card of the role `backbone` has no head:
    a training can start from it, no model can be made of it alone. `classes` is a list of
    `registry/classes.yaml` (None: no classes). `status`: `released` (its files can be had),
    `shipped` (they come with hpazoo), `unavailable` (known, but nobody offers all of it),
    `not-loadable` (hpazoo has no reader for its format); `note` says more.
    """

    name: str
    title: str
    role: Literal["classifier", "embeddings", "segmentation", "backbone"]
    builds: dict[str, Any]
    input: dict[str, Any]
    classes: str | None
    files: tuple[CardFile, ...]
    format: str | None
    licence: str
    citation: str | None
    parent: str | None
    """The card that the training started from."""
    trained_on: tuple[str, ...]
    """Of `data_sets`; what a parent saw besides is said there."""
    status: Literal["released", "shipped", "unavailable", "not-loadable"]
    note: str
    thread: str | None

    @property
    def is_loadable(self) -> bool:
        return self.status != "not-loadable"

    @property
    def is_shipped(self) -> bool:
        return self.status == "shipped"


def card_names() -> list[str]:
    return list(_cards())


def find_card(name: str) -> Card | None:
    return _cards().get(name)


def data_sets() -> dict[str, str]:
    """What `trained_on` speaks of: id -> description."""
    return dict(_read(_own_file())[0])


def _cards() -> dict[str, Card]:
    return _read(_own_file())[1]


def _own_file() -> Path | None:
    own = os.environ.get(OWN_CARDS)
    return Path(own).expanduser() if own else None


@functools.cache
def _read(own: Path | None) -> tuple[dict[str, str], dict[str, Card]]:
    """Data sets and cards of the project and of a file of one's own, which wins."""
    sets, entries = read_cards(data_folder("registry") / "checkpoints.yaml")
    if own is not None:
        try:
            more_sets, more = read_cards(own, sets, entries)
        except HpazooError as error:
            raise HpazooError(f"the cards that {OWN_CARDS} names: {error}") from error
        sets, entries = sets | more_sets, entries | more
    return sets, {name: make_card(name, entry) for name, entry in entries.items()}


def make_card(name: str, entry: dict[str, Any]) -> Card:
    """A card from an entry that `read_cards` found in order."""
    return Card(
        name=name,
        title=entry["title"],
        role=entry["role"],
        builds=entry.get("builds") or {},
        input=entry.get("input") or {},
        classes=entry.get("classes"),
        files=tuple(
            CardFile(
                name=file["name"],
                fold=file.get("fold"),
                sha256=file.get("sha256"),
                bytes=file.get("bytes"),
                sources=tuple(file.get("sources") or ()),
            )
            for file in entry["files"]
        ),
        format=entry.get("format"),
        licence=entry["licence"],
        citation=entry.get("citation"),
        parent=entry.get("parent"),
        trained_on=tuple(entry["trained_on"]),
        status=entry["status"],
        note=entry.get("note", ""),
        thread=entry.get("thread"),
    )
