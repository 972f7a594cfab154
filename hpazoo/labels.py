"""Tables of labels: which locations each image shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpazoo.atlas_ids import keys
from hpazoo.classes import (
    ClassList,
    class_list,
    class_list_names,
    has_map,
    lost_in_map,
    map_probabilities,
)
from hpazoo.errors import HpazooError, UsageError, counted, listed
from hpazoo.label_rows import Rows, read_rows

if TYPE_CHECKING:
    import numpy as np

_MANY = 1000  # images, among which classes that are missing altogether are worth a word


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labelled images: `ids` (N,), all different, and `labels` (N, classes) bool.

    `columns` are the other columns of the file, by name, N texts each. `notes` say what was left
    out or decided; `source` is what messages call the table.
    """

    classes: ClassList
    ids: tuple[str, ...]
    labels: np.ndarray
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Iterable[int], *notes: str) -> LabelTable:
        """These rows, in this order, with more notes."""
        rows = list(rows)
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            labels=self.labels[rows],
            columns={
                name: tuple(texts[row] for row in rows) for name, texts in self.columns.items()
            },
            notes=(*self.notes, *notes),
        )

    def named(self, row: int) -> str:
        """Labels of an image, by name, joined by `|`."""
        return "|".join(
            name for name, shown in zip(self.classes.names, self.labels[row], strict=True) if shown
        )


def read_labels(
    path: Path,
    classes: ClassList,
    *,
    written_in: ClassList | None = None,
    exclude: Sequence[str] = (),
) -> LabelTable:
    """Read a table of labels: CSV, TSV or semicolons, UTF-8 or UTF-16, with a header.

    A column `ID` (or `field`) names the image. Its labels stand in a column `Label`, `Labels`,
    `Target` or `locations`, as numbers or names, joined by `|` (numbers also by blanks); or there
    is a column per class that holds 0 or 1. A row that stands there twice counts once.

    Parameters
    ----------
    path
        The file.
    classes
        What the labels are wanted in.
    written_in
        What they are written in, where that is another list: they are mapped, and an image whose
        labels all have no counterpart is left out. Both are counted in the notes.
    exclude
        Names of `classes`; images with any of them are left out, and counted.

    Raises
    ------
    HpazooError
        With the lines: images without labels, labels that the list does not have, one image with
        two sets of labels. Where another list would fit, it says which.
    """
    written = written_in or classes
    if not has_map(written.name, classes.name):
        raise UsageError(
            f"{path}: labels in {written.name} cannot be read for {classes.name}, since no map of "
            "classes leads there"
        )
    excluded = [classes.index(name) for name in exclude]
    rows = read_rows(path, written, classes)
    found = LabelTable(
        written,
        tuple(rows.ids),
        _matrix(rows.labels, len(written)),
        {name: tuple(texts) for name, texts in rows.columns.items()},
        source=str(path),
    )
    found = replace(found, notes=tuple(_doubts(found, rows)))
    return exclude_classes(map_labels(found, classes), excluded)


def map_labels(table: LabelTable, classes: ClassList) -> LabelTable:
    """The table in another list of classes; images whose labels all vanish are left out."""
    import numpy as np

    if table.classes == classes:
        return table
    mapped = map_probabilities(table.labels, table.classes, classes)
    lost = [table.classes.index(name) for name in lost_in_map(table.classes, classes)[0]]
    some = table.labels[:, lost].any(axis=1)
    left = mapped.any(axis=1)
    names = ", ".join(table.classes.names[index] for index in lost)
    notes = [f"labels written in {table.classes.name} were mapped to {classes.name}"]
    if some.any():
        nowhere = f"labels without counterpart ({names})"
        notes.append(
            f"{counted(int((some & ~left).sum()), 'image')} left out, having only {nowhere}; "
            f"{int((some & left).sum())} more lost some of their labels so"
        )
    found = replace(table, classes=classes, labels=mapped)
    if not left.any():
        raise HpazooError(f"{table.source}: no image has a label that {classes.name} knows")
    return found.take(np.flatnonzero(left).tolist(), *notes)


def exclude_classes(table: LabelTable, excluded: Sequence[int]) -> LabelTable:
    """Without the images that have any of these classes."""
    import numpy as np

    if not excluded:
        return table
    hit = table.labels[:, list(excluded)].any(axis=1)
    names = " or ".join(table.classes.names[index] for index in excluded)
    if hit.all():
        raise HpazooError(f"{table.source}: every image has {names}; without those none is left")
    note = f"{counted(int(hit.sum()), 'image')} with {names} left out of {len(table)}"
    return table.take(np.flatnonzero(~hit).tolist(), note)


def union(tables: Sequence[LabelTable]) -> LabelTable:
    """One table of several; an image that is in two with equal labels counts once.

    Images that are most probably one image under two ids (see `atlas_ids.keys`) all stay, and a
    note says how many there are. HpazooError where two tables say different things of one id, or
    are of different lists of classes.
    """
    import numpy as np

    first = tables[0]
    if any(table.classes != first.classes for table in tables):
        raise UsageError("tables of labels can be joined only in one list of classes")
    seen: dict[str, tuple[LabelTable, int]] = {}
    again = 0
    differing: list[str] = []
    taken: list[list[int]] = []
    for table in tables:
        taken.append([])
        for row, name in enumerate(table.ids):
            other, at = seen.setdefault(name, (table, row))
            if other is table and at == row:
                taken[-1].append(row)
                continue
            again += 1
            if not np.array_equal(other.labels[at], table.labels[row]):
                differing.append(f"{name} ({other.named(at)} and {table.named(row)})")
    sources = ", ".join(table.source for table in tables)
    if differing:
        raise HpazooError(
            f"{sources}: {counted(len(differing), 'image')} with one id and different labels: "
            f"{listed(differing)}; leave one table out, or mend it"
        )
    parts = [table.take(rows) for table, rows in zip(tables, taken, strict=True)]
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    notes = [
        note if len(tables) == 1 else f"{table.source}: {note}"
        for table in tables
        for note in table.notes
    ]
    if again:
        notes.append(
            f"{counted(again, 'image')} in more than one table, with equal labels: counted once"
        )
    joined = LabelTable(
        first.classes,
        tuple(name for part in parts for name in part.ids),
        np.concatenate([part.labels for part in parts]),
        {
            name: tuple(
                text for part in parts for text in part.columns.get(name, ("",) * len(part))
            )
            for name in names
        },
        source=sources,
    )
    return replace(joined, notes=(*notes, *_near_same(joined)))


def _near_same(table: LabelTable) -> list[str]:
    """A note on images that are there under two ids."""
    first: dict[str, int] = {}
    pairs = []
    for row, name in enumerate(table.ids):
        key = list(keys(name))[-1]
        if (other := first.setdefault(key, row)) != row:
            pairs.append((other, row))
    if not pairs:
        return []
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    unequal = int((table.labels[ones] != table.labels[others]).any(axis=1).sum())
    example = f"{table.ids[ones[0]]} and {table.ids[others[0]]}"
    return [
        f"{counted(len(pairs), 'image')} most probably there twice, under two ids ({example}), "
        f"{unequal} of them with different labels: both were kept, and may come into two folds"
    ]


def _doubts(table: LabelTable, rows: Rows) -> Iterator[str]:
    """What was read without an error, and yet may be wrong."""
    import numpy as np

    if rows.again:
        yield f"{rows.again} rows repeat an image with equal labels: counted once"
    top = int(np.flatnonzero(table.labels.any(axis=0))[-1])
    shorter = [name for name in class_list_names() if len(class_list(name)) == top + 1]
    if rows.numbered and len(table) >= _MANY and shorter and top + 1 < len(table.classes):
        yield (
            f"no number above {top} in {len(table)} images, as if the table were written in "
            f"{shorter[0]}, not in {table.classes.name}"
        )


def _matrix(rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    import numpy as np

    labels = np.zeros((len(rows), width), bool)
    counts = [len(row) for row in rows]
    columns = np.fromiter((index for row in rows for index in row), np.intp, sum(counts))
    labels[np.repeat(np.arange(len(rows)), counts), columns] = True
    return labels
