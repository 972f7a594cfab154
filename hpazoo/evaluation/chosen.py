"""Which metrics score: those asked for, those of the spec, or all that the truth allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpazoo.errors import UsageError
from hpazoo.metrics import Judged, metrics
from hpazoo.parameters import parameters_of
from hpazoo.registry import split_config

Config = str | Mapping[str, Any]


def choose(
    judged: Sequence[Judged], wanted: Sequence[Config], strict: bool
) -> tuple[list[Config], list[str]]:
    """(metrics, notes): those `wanted`; where none of them is left, hpazoo's own.

    One that needs more than the truth tells is left out, with a note if it was wanted; where that
    is `strict`, UsageError.
    """
    notes = []
    left = []
    for config in {title(config): config for config in wanted}.values():
        if fields_for(config, judged):
            left.append(config)
        elif strict:
            raise UsageError(f"{_wants_cells(config)}; ask for another metric")
        else:
            notes.append(f"{_wants_cells(config)}: left out")
    if left:
        return left, notes
    own = [name for name, one in metrics.components().items() if one.provider == "hpazoo"]
    return [name for name in own if fields_for(name, judged)], notes


def fields_for(config: Config, judged: Sequence[Judged]) -> list[Judged]:
    """The fields of which everything is known that a metric needs."""
    needs = getattr(metrics.get(split_config(config)[0]), "needs", ())
    return [
        one
        for one in judged
        if ("cells" not in needs or one.cells_known)
        and ("labels" not in needs or one.image_labels is not None)
    ]


def title(config: Config) -> str:
    """`hpa-map`, or `hpa-map {iou: 0.5}` with what differs from its defaults."""
    name, options = split_config(config)
    usual = {one.name: one.default for one in parameters_of(metrics.get(name)) if not one.required}
    said = ", ".join(
        f"{key}: {_plain(value)}"
        for key, value in options.items()
        if key not in usual or usual[key] != value
    )
    return f"{name} {{{said}}}" if said else name


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _wants_cells(config: Config) -> str:
    return (
        f"{split_config(config)[0]} needs the truth of each cell, and the truth here is that of "
        "whole images"
    )
