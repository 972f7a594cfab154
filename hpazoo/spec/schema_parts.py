"""What all parts of the spec's schema are put together from."""

from __future__ import annotations

from hpazoo.parameters import Json

END = r"(?!\n)$"
"""End of a pattern; `$` alone would let a last line break pass."""

NAME = rf"^[A-Za-z0-9][A-Za-z0-9._+-]*{END}"


def object_schema(owner: str, properties: Json, required: list[str], doc: str = "") -> Json:
    """A mapping with these keys and no others; `owner` is what messages call it."""
    out: Json = {"x-owner": owner, "type": "object", "properties": properties}
    if doc:
        out["description"] = doc
    return out | {"required": required, "additionalProperties": False}
