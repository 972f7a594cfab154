"""Folds that a file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.parameters import EmbeddingsSource, FilePath
from hpazoo.paths import user_path
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.tables import checked_id, open_table, place_of_id, places_of

_EXPECTED = (
    "expected a table with the columns field (or ID), fold (0, 1, ..., or -1 for images that are "
    "always trained on) and, if you like, group, as the folds.csv of a run"
)
_SHOWN = 3
_MOST = 1000
"""Folds; a number above it is a mistake, not a fold."""


@splitters.register
class FromFile:
    """Take folds from a table, such as the folds.csv of another run.

    Every image must stand in it once; rows of other images are passed over, and counted. With a
    column `group`, no group may be in two folds; an empty one says that an image belongs to no
    other.

    Parameters
    ----------
    file
        CSV with the columns `field` (or `ID`), `fold` and perhaps `group`. Folds count from 0; -1
        is for images that are in none and always trained on.
    embeddings
        A model, card or Parquet file, for the leakage figure of the report alone.
    """

    folds: int | None = None

    def __init__(
        self, data: Path, *, file: FilePath, embeddings: EmbeddingsSource | None = None
    ) -> None:
        self.path, self.embeddings = user_path(data, file), embeddings

    def split(self, samples: Samples) -> Split:
        """The folds as they stand there; HpazooError says what does not fit, and on which line."""
        rows: dict[str, tuple[int, str]] = {}
        grouped = False
        for field_id, number, text in self._rows():
            grouped = grouped or text is not None
            rows[field_id] = number, text or ""
        missing = [name for name in samples.ids if name not in rows]
        if missing:
            shown = ", ".join(missing[:_SHOWN]) + ", ..." * (len(missing) > _SHOWN)
            raise HpazooError(
                f"{self.path}: {len(missing):,} of {len(samples):,} images are not in it "
                f"({shown}); give each a row (fold -1: always trained on), or make the folds anew "
                "with another splitter"
            )
        fold = np.array([rows[name][0] for name in samples.ids], np.int64)
        self._check_numbers(fold)
        notes = []
        if more := len(rows) - len(samples):
            notes.append(f"{self.path}: {more:,} of {len(rows):,} rows are of no image of these")
        if not grouped:
            return Split(fold, None, tuple(notes))
        numbers: dict[tuple[str, str], int] = {}
        group = np.array(
            [
                numbers.setdefault(("group", text) if (text := rows[name][1]) else ("", name), at)
                for at, name in enumerate(samples.ids)
            ],
            np.int64,
        )
        # numbered by its first image, so that this can be named where a group is in two folds
        apart = np.flatnonzero(fold != fold[group])
        if len(apart):
            one, other = int(group[apart[0]]), int(apart[0])
            raise HpazooError(
                f"{self.path}: group '{rows[samples.ids[other]][1]}' is in folds {fold[one]} "
                f"({samples.ids[one]}) and {fold[other]} ({samples.ids[other]}); a group stays in "
                "one fold: mend it, or remove the column group"
            )
        return Split(fold, np.unique(group, return_inverse=True)[1].astype(np.int64), tuple(notes))

    def _rows(self) -> Iterator[tuple[str, int, str | None]]:
        """Id, fold and group of each row; the group is None where there is no such column."""
        path, lines = self.path, dict[str, int]()
        with open_table(path, _EXPECTED) as table:
            if not table.line:
                raise HpazooError(f"{path}: the file is empty; {_EXPECTED}")
            place = place_of_id(path, table, _EXPECTED)
            columns = {name: places_of((name,), table.header) for name in ("fold", "group")}
            for name, found in columns.items():
                if len(found) > 1:
                    raise HpazooError(f"{path}, line {table.line}: {len(found)} columns '{name}'")
            if not columns["fold"]:
                raise HpazooError(
                    f"{path}, line {table.line}: no column fold among {table.columns}; {_EXPECTED}"
                )
            of_fold, of_group = columns["fold"][0], columns["group"]
            for line, cells in table.rows:
                where = f"{path}, line {line}"
                cells = [*cells, *[""] * (len(table.header) - len(cells))]
                if not cells[place]:
                    raise HpazooError(f"{where}: no id in this row; give it one or remove the row")
                field_id = checked_id(cells[place], where, _EXPECTED)
                if field_id in lines:
                    raise HpazooError(
                        f"{where}: '{field_id}' stands on line {lines[field_id]} already; keep one"
                    )
                lines[field_id] = line
                group = cells[of_group[0]] if of_group else None
                yield field_id, _number(cells[of_fold], where), group

    def _check_numbers(self, fold: np.ndarray) -> None:
        found = set(fold.tolist()) - {-1}
        if not found:
            raise HpazooError(f"{self.path}: no image is in a fold, all are -1; {_EXPECTED}")
        empty = [number for number in range(max(found)) if number not in found]
        if empty:
            raise HpazooError(
                f"{self.path}: none of the images is in fold {empty[0]}, but some are in fold "
                f"{max(found)}; number folds 0, 1, 2, ... without a gap"
            )
        if found == {0} and len(set(fold.tolist())) == 1:
            raise HpazooError(
                f"{self.path}: all images are in fold 0, none is left to train on; number folds 0, "
                "1, ..., or give those to train on fold -1"
            )


def _number(text: str, where: str) -> int:
    try:
        # 2.0 is how tables with an empty cell somewhere come out of pandas
        number = float(text)
    except ValueError:
        number = float("nan")
    if not (number.is_integer() and -1 <= number < _MOST):
        raise HpazooError(
            f"{where}: '{text}' is no fold; write 0, 1, 2, ..., or -1 for an image that is always "
            "trained on"
        )
    return int(number)
