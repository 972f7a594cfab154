"""Names of channel files."""

from __future__ import annotations

import re

from hpazoo.atlas_ids import SUFFIXES
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
