"""Which of the judged fields the weights of a run were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.cards import find_card
from hpazoo.checkpoints.lineage import Lineage, lineage
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import HpazooError
from hpazoo.evaluation.lock import Lock
from hpazoo.evaluation.problems import counted

UNKNOWN = "a submission file does not say which weights made it: which fields they saw is not known"


def seen_by_weights(lock: Lock | None, fields: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """(lines to print, the same as plain data by model) of every model that predicts.

    A field is seen that lies in a data set that the weights, or those they started from, were
    trained on. Weights of which that is not known say so.
    """
    if lock is None:
        return [UNKNOWN], {}
    lines: list[str] = []
    data: dict[str, Any] = {}
    for model, (checkpoint, files) in lock.weights.items():
        if checkpoint is None or not files:
            continue  # random weights have seen nothing
        found = _lineage(lock, checkpoint, files)
        lines += _lines(model, found, fields)
        covered, maybe = found.seen(fields), found.maybe_seen(fields)
        data[model] = {
            "checkpoint": checkpoint,
            "cards": list(found.cards),
            "data_sets": list(found.data_sets),
            "seen": sorted(covered),
            "perhaps": sorted(maybe),
            "not_known": list(found.untold),
        }
    return lines, data


def _lineage(lock: Lock, checkpoint: str, files: Sequence[str]) -> Lineage:
    card = find_card(checkpoint)
    if card is not None:
        return lineage(card)
    for file in files:
        try:
            return lineage(read_card(lock.data / Path(file)))
        except HpazooError:
            continue  # the file is not on this machine any more
    return lineage(None)


def _lines(model: str, found: Lineage, fields: Sequence[str]) -> list[str]:
    lines = []
    sources = found.seen(fields)
    of = f"of {counted(len(fields), 'field')}"
    if sources:
        why = sorted(set(sources.values()))
        lines.append(
            f"seen by the starting weights: {len(sources)} {of} (model {model}, {'; '.join(why)})"
        )
    maybe = found.maybe_seen(fields)
    if maybe:
        why = sorted(set(maybe.values()))
        lines.append(
            f"perhaps seen by the starting weights: {len(maybe)} {of} (model {model}, "
            f"{'; '.join(why)})"
        )
    if not sources and not maybe and not found.untold:
        cards = f", card {found.cards[0]}" if found.cards else ""
        lines.append(f"seen by the starting weights: 0 {of} (model {model}{cards})")
    elif found.untold and not maybe:
        lines.append(f"model {model}: {'; '.join(found.untold)}")
    return lines
