"""Fields whose truth is known -> what weights are fitted on."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from hpazoo.atlas_ids import antibodies, parse
from hpazoo.ensembles import Known
from hpazoo.ensembles._tuning import Evidence
from hpazoo.errors import HpazooError


def drawn(fields: Iterable[Known], most: int, seed: int) -> list[Known]:
    """Fields with at most so many cells in all, at least two fields, sorted by id.

    Those with the smallest digests of their ids, so that the order in which they come does not
    matter; no more than these are in memory at any time.
    """
    heap: list[tuple[int, str, Known]] = []
    cells = 0
    for one in fields:
        heapq.heappush(heap, (-_number(seed, one.field), one.field, one))
        cells += one.probabilities.shape[1]
        while cells > most and len(heap) > 2:
            cells -= heapq.heappop(heap)[2].probabilities.shape[1]
    return sorted((one for _, _, one in heap), key=lambda one: one.field)


def check_numbers(one: Known, members: int, classes: int) -> None:
    """HpazooError for a field whose probabilities or truth are not what they should be."""
    shape = one.probabilities.shape
    wanted = {"truth": shape[1:], "labels": shape[2:]}
    for name, expected in wanted.items():
        value = getattr(one, name)
        if value is not None and (value.shape != expected or value.dtype != bool):
            raise HpazooError(
                f"field '{one.field}': its {name} are {value.dtype} {value.shape}, expected bool "
                f"{expected}"
            )
    if (shape[0], shape[2]) != (members, classes):
        raise HpazooError(
            f"field '{one.field}': its probabilities are of shape {shape}, expected {members} "
            f"members and {classes} classes"
        )
    if not np.isfinite(one.probabilities).all():
        raise HpazooError(
            f"field '{one.field}': a member gives a probability that is no number; look at its "
            "weights, and predict it anew"
        )


def units_of(fields: Sequence[Known], seed: int) -> tuple[np.ndarray, bool]:
    """Number of what each field belongs to (fields,), and whether ids tell more than one such.

    Fields of one antibody, or where the id names none of one well, are near-duplicates. Where all
    are of one, each field counts for itself. Numbers rise with a digest of the name, so that the
    first of them are as good as drawn at random.
    """
    ids = [one.field for one in fields]
    names = [_unit(*pair) for pair in zip(ids, antibodies(ids), strict=True)]
    told = len(set(names)) > 1 or len(fields) < 2
    if not told:
        names = ids
    ranked = sorted(set(names), key=lambda name: _number(seed, name))
    place = {name: number for number, name in enumerate(ranked)}
    return np.array([place[name] for name in names], np.int64), told


def evidence_of_cells(fields: Sequence[Known], units: np.ndarray) -> Evidence:
    """A row per cell; every field has `truth`."""
    truth = np.concatenate([one.truth for one in fields if one.truth is not None])
    counts = [one.probabilities.shape[1] for one in fields]
    return Evidence(_said([one.probabilities for one in fields]), truth.T, np.repeat(units, counts))


def evidence_of_images(fields: Sequence[Known], units: np.ndarray) -> Evidence:
    """A row per field; its labels are `labels`, or else what is true of any of its cells."""
    said, truth = [], []
    for one in fields:
        empty = np.zeros((len(one.probabilities), 1, one.probabilities.shape[2]), np.float32)
        # An image in which no cell was found shows nothing: it ranks last.
        said.append(one.probabilities if one.probabilities.shape[1] else empty)
        if one.labels is not None:
            truth.append(one.labels)
        elif one.truth is not None:
            truth.append(np.asarray(one.truth.any(axis=0)))
    counts = np.array([one.shape[1] for one in said])
    return Evidence(_said(said), np.stack(truth, axis=1), units, np.cumsum(counts) - counts)


def canonical(evidence: Evidence) -> np.ndarray:
    """Order of the members by what they say, so that the order they come in does not matter."""
    digests = [hashlib.sha256(said.tobytes()).digest() for said in evidence.said]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__))


def _said(parts: list[np.ndarray]) -> np.ndarray:
    """(members, N, classes) each -> (members, classes, cells), rows of a class side by side."""
    whole = np.concatenate(parts, axis=1).astype(np.float32, copy=False)
    return np.ascontiguousarray(whole.transpose(0, 2, 1))


def _unit(field: str, antibody: str | None) -> str:
    place = parse(field)
    if place is None:
        return field
    return f"{place.plate}_{place.well}" if antibody is None else f"antibody {antibody}"


def _number(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode("utf-8", "replace")).digest())
