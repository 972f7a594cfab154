"""A number per class, from a file of two columns."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, did_you_mean


def read_class_table(path: Path, column: str, classes: ClassList) -> np.ndarray:
    """Values (classes,) of a CSV with the columns `class` and `column`; NaN for classes not in it.

    HpazooError where the file cannot be read, has other columns, names a class that is none or
    twice, or holds a value that is not above 0 and below 1.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise HpazooError(f"{path} cannot be read as a table: {reason}") from error
    if not {"class", column} <= set(columns):
        found = ", ".join(map(str, columns)) or "none"
        raise HpazooError(
            f"{path}: expected a CSV with the columns 'class' and '{column}', found {found}"
        )
    values = np.full(len(classes), np.nan)
    for number, row in enumerate(rows, start=2):
        name, text = (row["class"] or "").strip(), (row[column] or "").strip()
        if name not in classes.names:
            raise HpazooError(
                f"{path}:{number}: '{name}' is no class of {classes.name}"
                f"{did_you_mean(name, classes.names)}"
            )
        index = classes.index(name)
        if not math.isnan(values[index]):
            raise HpazooError(f"{path}:{number}: class '{name}' stands here twice; remove one")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < 1:
            raise HpazooError(
                f"{path}:{number}: the {column} of '{name}' must be a number above 0 and below 1, "
                f"not '{text}'"
            )
        values[index] = value
    return values
