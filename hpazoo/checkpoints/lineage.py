"""What weights have seen: the data sets of their card, and of all those they were trained from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpazoo import atlas_ids, seen_images
from hpazoo.checkpoints.cards import Card, find_card
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import HpazooError


@dataclass(frozen=True)
class Lineage:
    """What is known of the images that weights, and those they started from, were trained on."""

    cards: tuple[str, ...] = ()
    """The weights' own card and its parents, nearest first."""
    data_sets: Mapping[str, str] = field(default_factory=dict)
    """Data set -> the nearest card that was trained on it."""
    untold: tuple[str, ...] = ()
    """What is not known, each a clause that can stand in a message."""
    own: str = ""
    """Hashes of the images that the file itself names, `seen_images.packed`."""

    def seen(self, field_ids: Iterable[str]) -> dict[str, str]:
        """Those of the ids that were trained on -> `card X, data set Y`, the nearest such card."""
        left, found = set(field_ids), dict[str, str]()
        if self.own:
            found = dict.fromkeys(seen_images.among(left, self.own), "named in the file")
            left -= found.keys()
        for data_set, card in self.data_sets.items():
            covered = seen_images.seen(left, [data_set])
            found |= dict.fromkeys(covered, f"card {card}, data set {data_set}")
            left -= covered
        return found

    def maybe_seen(self, field_ids: Iterable[str]) -> dict[str, str]:
        """Atlas images among the ids that may have been trained on, as `seen` says it.

        They are those that lie in no data set whose images are known, where there is one whose
        images are not. Its images are known by ids of the atlas, so that others are not suspected.
        """
        doubtful = seen_images.unknown(self.data_sets)
        if not doubtful:
            return {}
        ids = set(field_ids)
        why = f"card {self.data_sets[doubtful[0]]}, data set {doubtful[0]}"
        places = {one: atlas_ids.parse(one) for one in ids}
        atlas = {
            one for one, at in places.items() if at and not at.plate.startswith(atlas_ids.DRAWN)
        }
        return dict.fromkeys(atlas - self.seen(atlas).keys(), f"{why}, which may hold them")


def lineage(card: Card | Mapping[str, Any] | None) -> Lineage:
    """Of a card, of the card in the header of a file of hpazoo's own format, or of None: no card.

    A header is what its writer made of it: whatever in it is no name of a card or of a data set is
    told as not known.
    """
    if card is None:
        return Lineage(untold=("the file has no card that says what it was trained on",))
    if isinstance(card, Card):
        return _upward([card], {}, [])
    untold, sets, own = [], {}, ""
    said, parent = card.get("trained_on"), card.get("parent")
    if isinstance(said, Mapping) and _are_hashes(said.get("hashes")):
        own = said["hashes"]
    elif isinstance(said, list) and said and all(isinstance(one, str) for one in said):
        sets = dict.fromkeys(said, "in the file")
    else:
        images = said.get("images") if isinstance(said, Mapping) else None
        what = f"{images:,} images" if type(images) is int else "images"
        untold.append(f"the file was trained on {what} that it does not name")
    start = find_card(parent) if isinstance(parent, str) else None
    if start is None and parent not in (None, "imagenet"):
        untold.append(f"it was trained from {str(parent)[:60]!r}, which is no card")
    return replace(_upward([start] if start else [], sets, untold), own=own)


def lineages(checkpoint: str | None, files: Iterable[Path]) -> list[Lineage]:
    """Of what a spec calls a model's weights: of the card of that name, else of each of the files.

    A file that cannot be read is told as not known. Those that come with hpazoo name their images.
    """
    card = find_card(checkpoint) if checkpoint else None
    if card is not None and not card.is_shipped:
        return [lineage(card)]
    found = []
    for file in files:
        try:
            found.append(lineage(read_card(file)))
            if card is not None:
                found[-1] = replace(found[-1], cards=(card.name, *found[-1].cards))
        except HpazooError:
            text = f"what {file.name} was trained on: it cannot be read here"
            found.append(Lineage(untold=(text,)))
    return found


def _are_hashes(text: Any) -> bool:
    try:
        seen_images.among((), text)
    except (ValueError, TypeError):
        return False
    return bool(text)


def trained_on(card: Card) -> tuple[str, ...]:
    """Data sets that a card, and the cards it was trained from, were trained on; nearest first."""
    return tuple(lineage(card).data_sets)


def _upward(cards: list[Card], sets: dict[str, str], untold: list[str]) -> Lineage:
    while cards and (parent := find_card(cards[-1].parent or "")) is not None:
        cards.append(parent)  # `read_cards` has refused circles
    for card in cards:
        for name in card.trained_on:
            sets.setdefault(name, card.name)
    untold += [
        f"which images the data set {name} holds is not known" for name in seen_images.unknown(sets)
    ]
    return Lineage(tuple(card.name for card in cards), sets, tuple(untold))
