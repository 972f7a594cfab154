"""What ids of the Human Protein Atlas say: antibody, plate, well and field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FIFTH_PART = re.compile(r"_cr[0-9a-f]+\Z", re.IGNORECASE)
# Plates of knock-downs are called `si3`; all others are numbers.
_ID = re.compile(
    r"(?:(?P<antibody>[0-9]+)_)?(?P<plate>[a-z]*[0-9]+)_(?P<well>[a-z]{1,2}[0-9]+)_(?P<field>[0-9]+)"
    r"(?:_cr[0-9a-f]+)?",
    re.IGNORECASE,
)


class AtlasId(NamedTuple):
    """Where a field comes from: `antibody` (None where the id does not say), `plate`, `well` and
    `field`, in small letters but for the well, so that equal places compare equal.
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
    return AtlasId(
        match["antibody"], match["plate"].lower(), match["well"].upper(), match["field"]
    )


def keys(text: str) -> Iterator[str]:
    """Spellings under which an id may be known elsewhere, the most exact first.

    The whole id in small letters, then without a fifth part, then without the antibody. Ids that
    share a key may be one image; they need not be, so nothing may be joined by keys unasked.
    """
    whole = text.casefold()
    yield whole
    four = _FIFTH_PART.sub("", whole)
    yield four
    found = parse(four)
    yield four if found is None else f"{found.plate}_{found.well}_{found.field}".lower()
