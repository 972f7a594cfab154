"""Readers find the fields of view of a folder and read them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import Field
from hpazoo.registry import Registry

if TYPE_CHECKING:
    from hpazoo.classes import ClassList
    from hpazoo.labels import LabelTable

readers = Registry("readers")


class Reader(Protocol):
    """Built with the data folder (a `Path`) as its positional value."""

    gives: ClassVar[tuple[str, ...]]
    """`masks` when fields carry a label image, `truth` when each cell's locations are known,
    `labels` when the reader can say what images show as a whole."""

    def ids(self) -> list[str]:
        """Ids of all fields, sorted. HpazooError says what is missing and what to do."""
        ...

    def stamp(self, field_id: str) -> str:
        """Changes when the field's sources change; cheap: from names, sizes and times."""
        ...

    def read(self, field_id: str) -> Field:
        """The field; FieldError says why it cannot be read."""
        ...


class Labelled(Reader, Protocol):
    """A reader that gives `labels`."""

    def labels(self, classes: ClassList) -> LabelTable:
        """Labels of images in a list of classes; not every one need be among `ids`, nor each of
        those be labelled. HpazooError says what is wrong with them, and where.
        """
        ...


def field_ids(reader: Reader, name: str) -> list[str]:
    """Ids of all fields of a reader, as it lists them; `name` is what messages call it.

    HpazooError as the reader's, or where there are none, one is no text, or one stands there twice.
    """
    listed: Any = reader.ids()
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise HpazooError(
            f"reader '{name}' lists its fields as {reprlib.repr(listed)}; a list of ids is expected"
        )
    ids = list(listed)
    if not ids:
        raise HpazooError(
            f"reader '{name}' has no fields; check its options, and that its images are where it "
            "looks for them"
        )
    known: set[str] = set()
    for one in ids:
        if not isinstance(one, str):
            raise HpazooError(f"reader '{name}' calls a field {one!r}; an id is a text")
        if one in known:
            raise HpazooError(f"reader '{name}' lists the field '{one}' twice; ids must differ")
        known.add(one)
    return ids


def read_field(reader: Reader, field_id: str, name: str) -> Field:
    """The field that was asked for; `name` is what messages call the reader.

    FieldError as the reader's, or where it gives something else, or truth of a wrong kind.
    """
    field: Any = reader.read(field_id)
    if not isinstance(field, Field):
        raise FieldError(
            f"reader '{name}' gave {reprlib.repr(field)} when asked for '{field_id}'; a Field is "
            "expected"
        )
    if not isinstance(field.id, str) or field.id != field_id:
        raise FieldError(f"reader '{name}' gave field {field.id!r} when asked for '{field_id}'")
    if "truth" in getattr(reader, "gives", ()):
        _check_truth(field, name)
    return field


def _check_truth(field: Field, name: str) -> None:
    """FieldError where what is said of a field's cells is of a wrong kind."""
    truth: Any = field.truth
    if not isinstance(truth, Mapping):
        raise FieldError(
            f"{field.id}: reader '{name}' gives the truth {reprlib.repr(truth)}; a dict is "
            "expected, ids of cells -> names of their locations, empty where nobody can tell"
        )
    for cell, locations in truth.items():
        if isinstance(cell, bool) or not isinstance(cell, Integral):
            raise FieldError(
                f"{field.id}: reader '{name}' gives the truth of a cell {cell!r}; the id of a cell "
                "of its masks is expected, a whole number"
            )
        # a plain text is a sequence of texts too, its letters
        named = isinstance(locations, list | tuple | set | frozenset)
        if not named or not all(isinstance(one, str) for one in locations):
            raise FieldError(
                f"{field.id}: reader '{name}' says {reprlib.repr(locations)} of cell {cell}; a "
                "tuple of names of locations is expected, such as ('Cytosol',)"
            )


LABELLING = ("labels", "labels_in", "exclude", "label_noise", "label_errors")
"""Options that say what images show, and change nothing in them."""


def without_labels(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a reader without what is of no effect on its pixels."""
    return {
        key: without_labels(value) if isinstance(value, dict) and "type" in value else value
        for key, value in config.items()
        if key not in LABELLING
    }
