"""Groups by what ids or columns of the label tables say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hpazoo.atlas_ids import antibodies, parse
from hpazoo.errors import HpazooError, did_you_mean
from hpazoo.splitters import Samples

By = Literal["antibody", "plate", "well"]
Others = Literal["refuse", "alone"]
_SHOWN = 3


def groups_by(
    samples: Samples, by: By | None, column: str | None, others: Others
) -> tuple[np.ndarray, list[str]]:
    """Group (N,) int64 of each image by id or by column, and notes; each its own by neither.

    HpazooError where the column is not there, and where images say no group and `others` is
    `refuse`.
    """
    if by is not None:
        named, notes = _by_id(samples.ids, by)
        what = f"ids that say no {by}"
        cure = (
            "Atlas ids are <antibody>_<plate>_<well>_<field>, the first part may miss. Group by "
            f"something that all have ({_ways(samples, by)})"
        )
        if any(named):
            cure += ", or write 'others: alone' to let each of them be a group of its own"
    elif column is not None:
        named, notes = _by_column(samples, column), []
        what = f"images whose column '{column}' is empty"
        cure = "Fill it in, or write 'others: alone' to let each of them be a group of its own"
    else:
        return np.arange(len(samples)), []
    without = [row for row, name in enumerate(named) if name is None]
    if without:
        shown = ", ".join(samples.ids[row] for row in without[:_SHOWN])
        shown += ", ..." * (len(without) > _SHOWN)
        count = f"{len(without):,} of {len(samples):,} images"
        if len(without) == len(samples) or others == "refuse":
            raise HpazooError(f"{what}: {count} ({shown}). {cure}")
        notes.append(
            f"{what}: {count} ({shown}), each of them by its well where its id names one, else by "
            "itself; its near-duplicates may be in other folds"
            if by is not None
            else f"{what}: {count}, each by itself; near-duplicates may be in other folds"
        )
    numbers: dict[object, int] = {}
    group = [
        numbers.setdefault(_alone(samples.ids[row], by) if name is None else name, len(numbers))
        for row, name in enumerate(named)
    ]
    return np.array(group, np.int64), notes


def _alone(field_id: str, by: By | None) -> tuple[str, ...]:
    place = parse(field_id) if by is not None else None
    return ("image", field_id) if place is None else ("well", place.plate, place.well)


def _by_id(ids: Sequence[str], by: By) -> tuple[list[tuple[str, ...] | None], list[str]]:
    """A plate is used for many antibodies, a well of it for one (all 37,074 wells of the 2018
    external table): plate and well name a well in either style of id, and its antibody where
    another field of the same well says it.
    """
    places = [parse(text) for text in ids]
    if by == "plate":
        return [None if p is None else (p.plate,) for p in places], []
    if by == "well":
        return [None if p is None else (p.plate, p.well) for p in places], []
    known = antibodies(ids)
    inferred = sum(
        name is not None and (place is None or place.antibody is None)
        for name, place in zip(known, places, strict=True)
    )
    notes = []
    if inferred:
        notes.append(
            f"{inferred:,} ids without antibody take that of other fields of their plate and well"
        )
    return [None if name is None else (name,) for name in known], notes


def _by_column(samples: Samples, column: str) -> list[tuple[str, ...] | None]:
    if column not in samples.columns:
        known = did_you_mean(column, samples.columns) if samples.columns else ""
        raise HpazooError(
            f"the label tables have no column '{column}'{known or '; they have no further columns'}"
        )
    return [(text,) if text.strip() else None for text in samples.columns[column]]


def _ways(samples: Samples, by: str) -> str:
    """What else these images could be grouped by."""
    parsed = all(parse(name) is not None for name in samples.ids)
    ways = [f"'by: {other}'" for other in ("well", "plate") if parsed and other != by]
    columns = [f"'column: {name}'" for name in list(samples.columns)[:3]]
    return ", ".join([*ways, *columns, "'cosine-groups' by their embeddings"])
