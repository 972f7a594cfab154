"""Readers find the fields of view of a folder and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from hpazoo.fields import Field

readers = Registry("readers")


class Reader(Protocol):
    """Built with the data folder (a `Path`) as its positional value."""

    gives: ClassVar[tuple[str, ...]]
    """`masks` when fields carry a label image, `truth` when each cell's locations are known."""

    def ids(self) -> list[str]:
        """Ids of all fields, sorted. HpazooError says what is missing and what to do."""
        ...

    def stamp(self, field_id: str) -> str:
        """Changes when the field's sources change; cheap: from names, sizes and times."""
        ...

    def read(self, field_id: str) -> Field:
        """The field; FieldError says why it cannot be read."""
        ...
