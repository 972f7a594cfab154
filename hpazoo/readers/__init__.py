"""Readers find the fields of view of a folder and read them."""

from __future__ import annotations

from typing import ClassVar, Protocol

from hpazoo.fields import Field
from hpazoo.registry import Registry

readers = Registry("readers")


class Reader(Protocol):
    """Built with the data folder (a `Path`) as its positional value."""

    gives: ClassVar[tuple[str, ...]]
    """`masks` when its fields carry a label image, `truth` when the locations in each cell are known."""

    def ids(self) -> list[str]:
        """Ids of all fields, sorted. HpazooError says what is missing and what to do."""
        ...

    def stamp(self, field_id: str) -> str:
        """Changes when the field's sources change; cheap (names, sizes, times: nothing is decoded)."""
        ...

    def read(self, field_id: str) -> Field:
        """The field; FieldError says why it cannot be read."""
        ...
