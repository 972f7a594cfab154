"""Names of channel files, and which of the ids in them was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpazoo.atlas_ids import SUFFIXES, bare_id, keys
from hpazoo.fields import CHANNELS

_CHANNEL = "|".join(CHANNELS)
_SUFFIX = "|".join(map(re.escape, SUFFIXES))
_FILE = re.compile(
    rf"(?P<id>.+)_(?P<channel>{_CHANNEL})({_SUFFIX})",
    re.IGNORECASE | re.DOTALL,
)
# `800_A6_1_blue_red_green.jpg` is a composite of the atlas, not the green of `800_A6_1_blue_red`.
_COMPOSITE = re.compile(rf".+_({_CHANNEL})", re.IGNORECASE | re.DOTALL)


def channel_of(name: str) -> tuple[str, str] | None:
    """Id and channel of a channel file's name; None for all other files and for composites."""
    match = _FILE.fullmatch(name)
    if match is None or _COMPOSITE.fullmatch(match["id"]):
        return None
    return match["id"], match["channel"].lower()


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
