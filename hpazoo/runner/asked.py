"""Files that components ask for by their parameters: cards of programs, tables of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.classes import class_list
from hpazoo.ensembles import ensembles
from hpazoo.errors import HpazooError, UsageError
from hpazoo.paths import user_path
from hpazoo.postprocessors import postprocessors
from hpazoo.spec import Spec
from hpazoo.spec.catalog import description
from hpazoo.spec.references import used_components
from hpazoo.strategies import strategies
from hpazoo.views import views
from hpazoo.writers import writers


def program_files(spec: Spec) -> tuple[dict[str, str], list[str]]:
    """Card -> digest of its file, of all cards that the segmenter names; and what is missing."""
    found, missing = {}, []
    for card in _named(spec, "card", ("masks",)):
        known = find_card(card)
        try:
            if known is None:
                raise HpazooError(f"there is no card '{card}'")
            (found[card],) = map(sha256, local_files(known))
        except HpazooError as error:
            missing.append(f"masks: {error}")
    return found, missing


def table_files(spec: Spec, data: Path) -> tuple[dict[str, str], list[str]]:
    """Path as the spec writes it -> digest, of all files that blend, corrections and writers read;
    and what is missing.

    Builds these, and the members' strategies, so that what is wrong with them is said before the
    first field; UsageError.
    """
    for member in spec.members:
        strategies.build(member.strategy)
        if member.views is not None:
            views.build(member.views)
    ensembles.build(spec.resolved["ensemble"])
    classes = class_list(spec.resolved["classes"])
    missing = []
    for config in spec.resolved["postprocess"]:
        try:
            postprocessors.build(config, classes, data)
        except UsageError:
            raise
        except HpazooError as error:
            missing.append(f"postprocess: {error}")
    for config in spec.resolved["outputs"]:
        writers.build(config, classes)
    named = _named(spec, "path", ("ensemble", "postprocess", "outputs"))
    return {} if missing else {path: sha256(user_path(data, path)) for path in named}, missing


def _named(spec: Spec, reference: str, keys: tuple[str, ...]) -> Iterator[str]:
    """Values of parameters that name a `card` or a `path`, of components below these keys."""
    for kind, where, config in used_components(spec.resolved):
        if where[0] in keys:
            for name, entry in description(kind, config["type"]).parameters.items():
                value = config.get(name)
                if entry["schema"].get("x-reference") == reference and isinstance(value, str):
                    yield value
