"""Which of the judged fields the weights of a run were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.lineage import Lineage, lineage, lineages
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import counted
from hpazoo.evaluation.lock import Lock

UNKNOWN = "a submission file does not say which weights made it: which fields they saw is not known"


def seen_by_parents(
    model: str, files: Sequence[Path], images: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """The same for images that a model's folds left out: what counts is what they began from."""
    cards = [read_card(file) or {} for file in files]
    parents = sorted({str(card["parent"]) for card in cards if card.get("parent")})
    if not parents:
        return [], {}
    found = Seen([lineage({"parent": one, "trained_on": []}) for one in parents], images)
    found.untold = [text for text in found.untold if "does not name" not in text]
    return found.lines(model), {model: {"cards": found.cards, "seen": sorted(found.surely)}}


def seen_by_weights(lock: Lock | None, fields: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """(lines to print, the same as plain data by model) of every model that predicts.

    A field is seen that lies in a data set that the weights, or those they started from, were
    trained on; of a model of several folds, any of them. Weights of which that is not known say so.
    """
    if lock is None:
        return [UNKNOWN], {}
    lines: list[str] = []
    data: dict[str, Any] = {}
    for model, found in seen_of(lock, fields).items():
        lines += found.lines(model)
        data[model] = {
            "checkpoint": lock.weights[model][0],
            "cards": found.cards,
            "data_sets": found.data_sets,
            "seen": sorted(found.surely),
            "perhaps": sorted(found.perhaps),
            "not_known": found.untold,
        }
    return lines, data


def seen_of(lock: Lock, fields: Sequence[str]) -> dict[str, Seen]:
    """By model that predicts; random weights have seen nothing."""
    return {
        model: Seen(lineages(checkpoint, [lock.data / file for file in files]), fields)
        for model, (checkpoint, files) in lock.weights.items()
        if files
    }


class Seen:
    """What all files of one model have seen together: fields by id, with the reason."""

    def __init__(self, lineages: Sequence[Lineage], fields: Sequence[str]) -> None:
        self.fields = len(fields)
        self.surely: dict[str, str] = {}
        self.perhaps: dict[str, str] = {}
        for one in lineages:
            self.surely |= one.seen(fields)
            self.perhaps |= one.maybe_seen(fields)
        self.perhaps = {name: why for name, why in self.perhaps.items() if name not in self.surely}
        self.cards = list(dict.fromkeys(card for one in lineages for card in one.cards))
        self.data_sets = list(dict.fromkeys(name for one in lineages for name in one.data_sets))
        self.untold = list(dict.fromkeys(text for one in lineages for text in one.untold))

    def lines(self, model: str) -> list[str]:
        """Numbers first, then what is not known."""
        return [*self.counts(model), *self.unknown(model)]

    def counts(self, model: str) -> list[str]:
        found = []
        for how, ids in (("seen", self.surely), ("perhaps seen", self.perhaps)):
            if ids or (how == "seen" and not self.perhaps and not self.untold):
                why = sorted(set(ids.values())) or [f"card {card}" for card in self.cards[:1]]
                found.append(
                    f"{how} by the starting weights: {len(ids)} of "
                    f"{counted(self.fields, 'field')} ({', '.join([f'model {model}', *why])})"
                )
        return found

    def unknown(self, model: str) -> list[str]:
        return [f"not known of model {model}: {'; '.join(self.untold)}"] if self.untold else []
