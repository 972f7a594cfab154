"""Readers find the fields of view of a folder and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from hpazoo.classes import ClassList
    from hpazoo.fields import Field
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


LABELLING = ("labels", "labels_in", "exclude", "label_noise", "label_errors")
"""Options that say what images show, and change nothing in them."""


def without_labels(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a reader without what is of no effect on its pixels."""
    return {
        key: without_labels(value) if isinstance(value, dict) and "type" in value else value
        for key, value in config.items()
        if key not in LABELLING
    }
