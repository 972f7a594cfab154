"""Cards: what is known of a published set of weights (`registry/checkpoints.yaml`)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from hpazoo.paths import data_folder


@dataclass(frozen=True)
class Card:
    """One set of weights and all that travels with it.

    `builds` holds `backbone` and `head` as in a spec, `input` size and normalisation, `classes` a
    list of `registry/classes.yaml` (None: embeddings only). `status`: `released` (its files can be
    had), `unavailable` (known, but nobody offers it; `note` says what is known).
    """

    name: str
    title: str
    builds: dict[str, Any]
    input: dict[str, Any]
    classes: str | None
    status: Literal["released", "unavailable"]
    parent: str | None
    trained_on: tuple[str, ...]
    note: str


@functools.cache
def _cards() -> dict[str, Card]:
    text = (data_folder("registry") / "checkpoints.yaml").read_text(encoding="utf-8")
    return {
        name: Card(
            name=name,
            title=entry["title"],
            builds=entry["builds"],
            input=entry["input"],
            classes=entry.get("classes"),
            status=entry["status"],
            parent=entry.get("parent"),
            trained_on=tuple(entry.get("trained_on", ())),
            note=entry.get("note", ""),
        )
        for name, entry in yaml.safe_load(text).items()
    }


def card_names() -> list[str]:
    return list(_cards())


def find_card(name: str) -> Card | None:
    return _cards().get(name)
