"""Embeddings of images from a Parquet file, in the order of the images that are wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.atlas_ids import NearIds
from hpazoo.errors import HpazooError, counted, listed
from hpazoo.paths import natural_order, user_path
from hpazoo.registry import split_config
from hpazoo.spec.catalog import description
from hpazoo.spec.shapes import looks_like_path

EXPECTED = (
    "a Parquet file was expected with a column field, id or image, and the numbers in a column "
    "'embedding' of lists or in a column per dimension (as the output 'embeddings' writes it)"
)
_IDS = ("field", "id", "image")
_NUMBERED = re.compile(r"(.*?)[0-9]+", re.DOTALL)


def source_of_embeddings(config: str | Mapping[str, Any]) -> str | None:
    """What a splitter takes embeddings from: a model of the spec, a card, or a file; or nothing."""
    name, options = split_config(config)
    for key, entry in description("splitters", name).parameters.items():
        if entry["schema"].get("x-reference") == "embeddings":
            value = options.get(key, entry.get("default"))
            return None if value is None else str(value)
    return None


def file_of_embeddings(config: str | Mapping[str, Any], data: Path) -> Path | None:
    """The file, where it is one that a splitter takes embeddings from."""
    source = source_of_embeddings(config)
    return user_path(data, source) if source is not None and looks_like_path(source) else None


def read_embeddings(path: Path, ids: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Embeddings (N, d) float32 of these images, and notes on how they were come by.

    Several rows of one image, of its cells, are averaged. HpazooError where the file is none, an
    image has no row, or a number is missing or not finite.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        raise HpazooError(f"{path} is a folder; {EXPECTED}")
    if not path.exists():
        raise HpazooError(f"no file {path}; {EXPECTED}. Relative paths lie below the data folder")
    try:
        with pq.ParquetFile(path) as file:
            chosen = _columns(path, file.schema_arrow)
            table = file.read([name for name in chosen.all if name])
    except (pa.ArrowException, OSError) as error:
        raise HpazooError(
            f"{path} cannot be read as Parquet: {_first_line(error)}; {EXPECTED}"
        ) from error
    notes = list(chosen.notes)
    if not table.num_rows:
        raise HpazooError(f"{path}: there is no row in it; {EXPECTED}")
    names = _texts(path, table.column(chosen.id), chosen.id)
    values = _values(path, table, chosen)
    if chosen.stamp:
        stamps = sorted({str(text) for text in table.column(chosen.stamp).to_pylist() if text})
        notes += [f"{path} is stamped '{stamp}'" for stamp in stamps]
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        broken = list(dict.fromkeys(names[row] for row in bad))
        raise HpazooError(
            f"{path}: numbers that are missing or not finite in embeddings of "
            f"{counted(len(broken), 'image')}: {listed(broken)}; make them anew, or leave the "
            "images out of the labels"
        )
    cells = np.array(table.column(chosen.cell).to_pylist()) if chosen.cell else None
    return _of_images(path, ids, names, values, cells, notes)


class _Chosen:
    """Which columns hold what."""

    def __init__(self, identity: str, numbers: list[str], is_list: bool) -> None:
        self.id, self.numbers, self.is_list = identity, numbers, is_list
        self.cell = self.stamp = ""
        self.notes: list[str] = []

    @property
    def all(self) -> list[str]:
        return [self.id, self.cell, self.stamp, *self.numbers]


def _columns(path: Path, schema: Any) -> _Chosen:
    import pyarrow.types as kinds

    there = {field.name.casefold(): field for field in reversed(list(schema))}
    shown = ", ".join(schema.names[:20]) + (", ..." if len(schema.names) > 20 else "")
    if len(set(schema.names)) < len(schema.names):
        raise HpazooError(f"{path}: two columns of one name among {shown}")
    identity = next((there[name].name for name in _IDS if name in there), None)
    if identity is None:
        raise HpazooError(f"{path}: no column field, id or image among {shown}; {EXPECTED}")
    if "embedding" in there:
        kind = there["embedding"].type
        if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)):
            raise HpazooError(f"{path}: the column 'embedding' holds {kind}, not lists; {EXPECTED}")
        if not (kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type)):
            raise HpazooError(
                f"{path}: the column 'embedding' holds lists of {kind.value_type}, not of numbers"
            )
        chosen = _Chosen(identity, [there["embedding"].name], is_list=True)
    else:
        floats = [field.name for field in schema if kinds.is_floating(field.type)]
        families: dict[str, list[str]] = {}
        for name in floats:
            if match := _NUMBERED.fullmatch(name):
                families.setdefault(match[1], []).append(name)
        if not families:
            raise HpazooError(
                f"{path}: no column 'embedding', nor numbered columns of floats, among {shown}; "
                f"{EXPECTED}"
            )
        numbers = max(families.values(), key=len)
        chosen = _Chosen(identity, sorted(numbers, key=natural_order), is_list=False)
        if others := [name for name in floats if name not in numbers]:
            chosen.notes.append(
                f"{path}: {len(numbers)} columns from '{chosen.numbers[0]}' to "
                f"'{chosen.numbers[-1]}' are the embedding; left out: {listed(others)}"
            )
    if "cell" in there and kinds.is_integer(there["cell"].type):
        chosen.cell = there["cell"].name
    chosen.stamp = there["stamp"].name if "stamp" in there else ""
    return chosen


def _texts(path: Path, column: Any, name: str) -> list[str]:
    texts = column.to_pylist()
    if missing := [str(row) for row, text in enumerate(texts, 1) if text is None or text == ""]:
        raise HpazooError(f"{path}: no '{name}' in row {listed(missing)}")
    return list(map(str, texts))


def _values(path: Path, table: Any, chosen: _Chosen) -> np.ndarray:
    """(rows, d) float32; NaN where a number is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = table.num_rows
    if not chosen.is_list:
        values = np.empty((rows, len(chosen.numbers)), np.float32)
        for place, name in enumerate(chosen.numbers):
            values[:, place] = table.column(name).cast(pa.float32()).to_numpy()
        return values
    column = table.column(chosen.numbers[0])
    if column.null_count:
        empty = np.flatnonzero(column.is_null().to_numpy()) + 1
        raise HpazooError(f"{path}: no embedding in row {listed(list(map(str, empty)))}")
    lengths = pc.list_value_length(column).to_numpy()
    if lengths.min() != lengths.max() or not lengths.max():
        raise HpazooError(
            f"{path}: embeddings of {lengths.min()} to {lengths.max()} numbers; all must have as "
            "many, those of one network"
        )
    # `flatten` leaves out what a fixed-size list holds beneath a null, and respects slices
    flat = pc.list_flatten(column).cast(pa.float32())
    return np.asarray(flat.to_numpy(), np.float32).reshape(rows, -1)


def _of_images(
    path: Path,
    ids: Sequence[str],
    names: Sequence[str],
    values: np.ndarray,
    cells: np.ndarray | None,
    notes: list[str],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Embeddings in the order of `ids`, the mean where an image has several rows."""
    number: dict[str, int] = {}
    of = np.array([number.setdefault(name, len(number)) for name in names], np.intp)
    missing = [name for name in ids if name not in number]
    if missing:
        near = NearIds(number).hint(missing[0])
        raise HpazooError(
            f"{path}: no embedding of {len(missing)} of {counted(len(ids), 'image')}: "
            f"{listed(missing)}{near}; the file begins with {', '.join(list(number)[:3])}"
        )
    counts = np.bincount(of)
    several = int((counts > 1).sum())
    if several and cells is not None:
        whole = np.bincount(of, cells == 0) > 0
        if (mixed := np.flatnonzero(whole & (counts > 1))).size:
            raise HpazooError(
                f"{path}: {list(number)[mixed[0]]} has a row of the whole image (cell 0) beside "
                "others; keep rows of one kind"
            )
    if several and cells is None:
        again = listed([name for name, count in zip(number, counts, strict=True) if count > 1])
        raise HpazooError(
            f"{path}: {counted(several, 'image')} with more than one row, and no column 'cell' "
            f"that tells them apart: {again}; keep one row of each"
        )
    if several:
        notes.append(
            f"{path}: embeddings of {len(names)} cells were averaged over {len(number)} images"
        )
        total = np.zeros((len(number), values.shape[1]), np.float64)
        np.add.at(total, of, values)
        values = (total / counts[:, None]).astype(np.float32)
    else:
        values = values[np.argsort(of)]
    if len(number) > len(ids):
        spare = counted(len(number) - len(ids), "image")
        notes.append(f"{path}: embeddings of {spare} not asked for were not used")
    return np.ascontiguousarray(values[[number[name] for name in ids]]), tuple(notes)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
