"""Which fields are drawn together."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, listed
from hpazoo.evaluation.paired import group_weights
from hpazoo.labels import LabelTable
from hpazoo.readers import Labelled, Reader
from hpazoo.spec.study import Study


def labels_of(reader: Reader, classes: ClassList) -> LabelTable | None:
    """What a reader says its images show as a whole; None where it does not."""
    return cast(Labelled, reader).labels(classes) if "labels" in reader.gives else None


def weights_of(names: Sequence[str], table: LabelTable | None, study: Study) -> np.ndarray:
    """How often each field (F,) is drawn, (rounds, F) int64.

    Those of the same fields are the same in all variants, so that differences are paired, and other
    ones in other repeats. One group alone tells nothing of others: then there are no rounds.
    HpazooError where a field says no group.
    """
    groups = groups_of(names, table, study)
    rounds = study.rounds if len(set(groups)) > 1 else 0
    return group_weights(groups, rounds, zlib.crc32("\n".join(names).encode()))


def groups_of(names: Sequence[str], table: LabelTable | None, study: Study) -> Sequence[str]:
    """What each field is drawn with: itself, unless the study says a column."""
    return names if study.group is None else _groups(names, table, study.group)


def _groups(names: Sequence[str], table: LabelTable | None, column: str) -> list[str]:
    columns = table.columns if table else {}
    if table is None or column not in columns:
        raise HpazooError(
            f"'study.group' is '{column}', which is no column of the labels of these images; their "
            f"columns: {', '.join(columns) or 'none'}"
        )
    of = dict(zip(table.ids, columns[column], strict=True))
    without = [name for name in names if not of.get(name)]
    if without:
        raise HpazooError(
            f"'study.group' is '{column}', and {len(without)} of {len(names)} fields have no such "
            f"label: {listed(without)}"
        )
    return [of[name] for name in names]
