"""Specs of earlier releases in today's names (`registry/renamed.yaml`).

The version `hpazoo: 1` says which language a spec is written in. When there is a version 2, the
step from 1 to 2 belongs here too: data in, data out, with the places kept.
"""

from __future__ import annotations

import functools
from typing import Any

import yaml

from hpazoo.paths import data_folder
from hpazoo.registry import KINDS
from hpazoo.spec.problems import Problem
from hpazoo.spec.shapes import used_components
from hpazoo.spec.strict_yaml import Document


@functools.cache
def renamed() -> dict[str, dict[str, str]]:
    """Kind -> old name -> new name."""
    text = (data_folder("registry") / "renamed.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text) or {})


def convert(document: Document) -> list[Problem]:
    """Change old names in a document to today's; says where, as warnings."""
    warnings = []
    for kind, path, config in list(used_components(document.data)):
        name = config.get("type") if isinstance(config, dict) else config
        new = renamed().get(kind, {}).get(name) if isinstance(name, str) else None
        if new is None:
            continue
        where = (*path, "type") if isinstance(config, dict) else path
        text = f"warning: the {KINDS[kind]} '{name}' is called '{new}' now"
        warnings.append(Problem(text, document.place(where), "the old name still works"))
        owner: Any = document.data
        for key in where[:-1]:
            owner = owner[key]
        owner[where[-1]] = new
    return warnings
