"""Decoded fields on disk, so that a second reading costs a fraction of the first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.fields import Field
from hpazoo.paths import replacing

_FORMAT = 1
"""Of the files in a cache; another number makes all of them unknown."""


class Source(Protocol):
    """The part of a reader that a cache stands in front of."""

    def stamp(self, field_id: str) -> str: ...

    def read(self, field_id: str) -> Field: ...


@dataclass
class FieldCache:
    """Fields as their reader gives them, `<first two digits>/<digest>.npy` and `.json`, 16 MB each
    at 2048 px.

    An entry is found by the digest of the reader's configuration, the field's id, and the stamp of
    its files: what changed is read anew. Pixels come as a read-only map of the file. Several
    processes and runs may share a folder; an entry that is damaged is made again.
    """

    folder: Path
    config: dict[str, Any]
    """The reader as in a spec, defaults included, and where its paths begin."""
    trouble: str = ""
    """Why a field could not be kept; the fields themselves are none the worse for it."""

    def read(self, reader: Source, field_id: str) -> Field:
        """The field; FieldError as the reader's. One that draws its cells is never kept."""
        entry = self._entry(reader, field_id)
        found = self._load(entry, field_id)
        if found is not None:
            return found
        field = reader.read(field_id)
        if field.masks is None and not field.truth and not self.trouble:
            self._store(entry, field)
        return field

    def _entry(self, reader: Source, field_id: str) -> Path:
        parts = [_FORMAT, self.config, field_id, reader.stamp(field_id)]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return self.folder / key[:2] / key

    def _load(self, entry: Path, field_id: str) -> Field | None:
        try:
            known = json.loads(entry.with_suffix(".json").read_text(encoding="utf-8"))
            pixels = np.load(entry.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
            if list(pixels.shape) != known["shape"] or str(pixels.dtype) != known["dtype"]:
                return None
            notes = tuple(known["notes"])
            return Field(field_id, pixels, known["pixel_size"], notes, known["sha256"])
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            return None

    def _store(self, entry: Path, field: Field) -> None:
        known = {
            "shape": list(field.pixels.shape),
            "dtype": str(field.pixels.dtype),
            "pixel_size": field.pixel_size,
            "notes": list(field.notes),
            "sha256": field.sha256,
        }
        try:
            with replacing(entry.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
                np.save(file, field.pixels, allow_pickle=False)
            with replacing(entry.with_suffix(".json")) as temporary:
                temporary.write_text(json.dumps(known), encoding="utf-8")
        except HpazooError as error:
            self.trouble = f"the cache keeps nothing more: {error}"
