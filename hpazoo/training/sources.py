"""Labelled images of several readers, joined by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.atlas_ids import NearIds
from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, UsageError, counted, listed
from hpazoo.labels import LabelTable, union
from hpazoo.readers import Labelled, field_ids, readers
from hpazoo.registry import split_config
from hpazoo.splitters import Samples


@dataclass(frozen=True, eq=False)
class Sources:
    """What is learned from: images that have labels, sorted by id.

    `table` holds ids (N,), labels (N, classes) and other columns; `readers[reader_of[i]]` reads
    image i, `reader_of` (N,) int64. `notes` say what did not join, and what the tables noted.
    """

    table: LabelTable
    readers: tuple[Labelled, ...]
    reader_of: np.ndarray
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.table)

    def samples(self, embeddings: np.ndarray | None = None) -> Samples:
        """What a splitter sees of them; `embeddings` (N, d) float32 in their order."""
        return samples_of(self.table, embeddings)


def samples_of(table: LabelTable, embeddings: np.ndarray | None = None) -> Samples:
    """What a splitter sees of a table of labels."""
    return Samples(table.ids, table.labels, table.classes, table.columns, embeddings)


def sorted_by_id(table: LabelTable) -> LabelTable:
    """The same images whatever the order of the rows was: folds must not depend on it."""
    return table.take(sorted(range(len(table)), key=table.ids.__getitem__))


def gather(configs: Sequence[str | Mapping[str, Any]], classes: ClassList, data: Path) -> Sources:
    """Read the tables of labels and find their images.

    Parameters
    ----------
    configs
        Readers as a spec's `training.images` lists them; all must give labels.
    classes
        The spec's.
    data
        Folder that relative paths lie below.

    Raises
    ------
    HpazooError
        Where a table is wrong, no label has an image, two tables contradict each other, or ids of
        a reader's images do not differ.
    """
    built: list[Labelled] = []
    tables: list[LabelTable] = []
    notes: list[str] = []
    for config in configs:
        name = split_config(config)[0]
        reader = readers.build(config, data)
        if "labels" not in reader.gives:
            raise UsageError(f"reader '{name}' gives no labels to learn from")
        table = reader.labels(classes)
        joined, missing = _join(table, field_ids(reader, name), name)
        built.append(reader)
        tables.append(joined)
        notes += [f"{table.source}: {note}" for note in (*table.notes, *missing)]
    table = sorted_by_id(union([replace(table, notes=()) for table in tables]))
    first: dict[str, int] = {}
    for number, part in enumerate(tables):
        for image in part.ids:
            first.setdefault(image, number)
    reader_of = np.array([first[image] for image in table.ids], np.int64)
    return Sources(table, tuple(built), reader_of, (*notes, *table.notes))


def _join(table: LabelTable, images: Sequence[str], reader: str) -> tuple[LabelTable, list[str]]:
    """Rows of the table that have images, and notes on what has not found its other half."""
    there = set(images)
    rows = [row for row, name in enumerate(table.ids) if name in there]
    alone = [name for name in table.ids if name not in there]
    labelled = set(table.ids)
    unlabelled = [name for name in images if name not in labelled]
    if not rows:
        near = _near(alone[:1000], images)
        raise HpazooError(
            f"{table.source}: none of its {len(table)} ids has an image with reader '{reader}', "
            f"which finds {len(images)}; the table begins with {', '.join(table.ids[:3])}, the "
            f"images with {', '.join(images[:3])}{near or '; are they of one data set?'}"
        )
    notes = []
    if alone:
        few = f"{len(alone)} of {len(table)} labelled images have no files: {listed(alone)}"
        notes.append(few + _near(alone, unlabelled))
    if unlabelled:
        notes.append(f"{counted(len(unlabelled), 'image')} without labels: {listed(unlabelled)}")
    return table.take(rows), notes


def _near(alone: Sequence[str], images: Sequence[str]) -> str:
    """What ids and images without their other half have in common, where that is known."""
    index = NearIds(images)
    pairs = [(name, near) for name in alone if (near := index.find(name)) is not None]
    if not pairs:
        return ""
    name, near = pairs[0]
    return (
        f"; {len(pairs)} of them are there under another name ({near} for {name}): make ids and "
        "names of files equal"
    )
