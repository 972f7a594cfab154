"""Ids of fields: how files carry them, and what those of the Human Protein Atlas say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hpazoo.fields import CHANNELS

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".tif.gz", ".tiff.gz")
"""Of files of images."""

_CHANNEL = "|".join(CHANNELS)
_SUFFIX = "|".join(map(re.escape, SUFFIXES))
_AFTER_ID = re.compile(
    rf"((_({_CHANNEL}))+|_mask|_cell_mask|_segmentation)?({_SUFFIX}|\.npy)?\Z", re.IGNORECASE
)
_FIFTH_PART = re.compile(r"_cr[0-9a-f]+\Z", re.IGNORECASE)
DRAWN = "synthetic_"
"""Begins the plates of drawn fields, which are named as those of the atlas otherwise."""

# Plates are numbers, but for those of knock-downs, `si3`.
_ID = re.compile(
    r"((?P<antibody>[0-9]+)_)?(?P<plate>(synthetic_[0-9]+-|[a-z]*)[0-9]+)_"
    r"(?P<well>[a-z]{1,2}[0-9]+)_(?P<field>[0-9]+)"
    r"(_cr[0-9a-f]+)?",
    re.IGNORECASE,
)


class AtlasId(NamedTuple):
    """Where an image of the atlas was taken.

    `antibody` is None where the id does not say. Plates are in small letters and wells in large
    ones, so that equal places compare equal.
    """

    antibody: str | None
    plate: str
    well: str
    field: str


def parse(text: str) -> AtlasId | None:
    """Parts of an id `<antibody>_<plate>_<well>_<field>` (2018) or `<plate>_<well>_<field>` (2021).

    Either may end in a fifth part, `_cr<hash>`, which names no other place and is left out. None
    for all other ids, such as those of the competitions' images.
    """
    match = _ID.fullmatch(text)
    if match is None:
        return None
    return AtlasId(match["antibody"], match["plate"].lower(), match["well"].upper(), match["field"])


def keys(text: str) -> Iterator[str]:
    """Spellings under which an image may be known elsewhere, the most exact first.

    The whole id in small letters, then without a fifth part, then without the antibody. Images of
    one key are most probably one image, but nothing may be joined by keys unasked.
    """
    whole = text.casefold()
    yield whole
    four = _FIFTH_PART.sub("", whole)
    yield four
    found = parse(four)
    yield f"{found.plate}_{found.well}_{found.field}".lower() if found else four


def bare_id(text: str) -> str:
    """What is left of a path or a file's name without folder, channels and suffix."""
    name = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    return _AFTER_ID.sub("", name, count=1) or name


def antibodies(ids: Sequence[str]) -> list[str | None]:
    """The antibody of each image, None where nothing tells.

    An id that does not say takes the antibody of its well, where another id says that: a well of
    the atlas is stained with one antibody.
    """
    found = [parse(text) for text in ids]
    of_well: dict[tuple[str, str], set[str]] = {}
    for place in found:
        if place and place.antibody:
            of_well.setdefault((place.plate, place.well), set()).add(place.antibody)
    out: list[str | None] = []
    for place in found:
        known = of_well.get((place.plate, place.well), set()) if place else set()
        lone = next(iter(known)) if len(known) == 1 else None
        out.append(place.antibody or lone if place else None)
    return out


class NearIds:
    """Finds the id that was meant where one is not there.

    Only what is known to be mixed up counts: capitals, a channel or suffix behind the id, and the
    atlas's styles `<antibody>_<plate>_<well>_<field>` (2018), `<plate>_<well>_<field>` (2021) and
    either with a fifth part `_cr<hash>`. Likeness of letters does not: ids beside each other are
    alike, and are other fields.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._by_key: dict[str, str] = {}
        for name in sorted(ids):
            for key in keys(name):
                self._by_key.setdefault(key, name)

    def find(self, wanted: str) -> str | None:
        """The id that was meant, if one was."""
        for key in (*keys(wanted), *keys(bare_id(wanted))):
            if key in self._by_key:
                return self._by_key[key]
        return None

    def hint(self, wanted: str) -> str:
        """`; did you mean 'x'?` or nothing."""
        near = self.find(wanted)
        return "" if near is None else f"; did you mean '{near}'?"
