"""What a run has to learn before it predicts: which models, from which images and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.cache.store import is_there, local_files, place_of, problem_of
from hpazoo.checkpoints.cards import find_card
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.paths import user_path
from hpazoo.recipe import IMAGENET, NO_START
from hpazoo.registry import SESSION
from hpazoo.runner.options import Settings
from hpazoo.runner.plan import code_of
from hpazoo.runner.preflight import weights_of
from hpazoo.spec import Spec
from hpazoo.spec.resolution import Model
from hpazoo.splitters import splitters
from hpazoo.training.embeddings import file_of_embeddings, source_of_embeddings
from hpazoo.training.sources import Sources, gather
from hpazoo.training.train import Start

Json = dict[str, Any]

_LEARNED_WITH = ("backbones", "heads", "losses", "augmentations")


@dataclass(frozen=True)
class Lesson:
    """What has to be learned before anything is predicted, and what it is learned from."""

    models: tuple[Model, ...]
    """To be trained, those that learn groups first: they need no folds."""
    sources: Sources
    starts: Mapping[str, Start]


def to_train(spec: Spec, names: Sequence[str], data: Path) -> list[Model]:
    """Models that have a recipe and whose checkpoint is not there.

    One that is there and damaged, or not all of whose folds are, is an error of its own: hours of
    training are no answer to that.
    """
    models = (spec.models[name] for name in names)
    found = [model for model in models if model.recipe and not _is_there(model, data)]
    return sorted(found, key=lambda model: not model.learns_groups)


def _is_there(model: Model, data: Path) -> bool:
    """Whether anything of a model's checkpoint is there, whatever it holds."""
    if model.checkpoint is None:
        return False
    card = find_card(model.checkpoint)
    if card is not None:
        return any(is_there(card, file) for file in card.files)
    try:
        return bool(weights_of(model, data))
    except HpazooError:
        return False


def lesson_of(
    spec: Spec, settings: Settings, models: Sequence[Model]
) -> tuple[Lesson | None, list[str]]:
    """All that is learned from, and what of it is missing.

    Besides these models one is trained whose embeddings the splitter takes, if need be.
    """
    data = Path(settings.data)
    training = spec.resolved["training"]
    classes = class_list(spec.resolved["classes"])
    source = source_of_embeddings(training["splitter"])
    if source in spec.models and source not in {model.name for model in models}:
        more = [] if settings.random_weights else to_train(spec, [source], data)
        models = sorted([*more, *models], key=lambda model: not model.learns_groups)
    missing = list(_of_session(spec)) if models else []
    starts = {}
    for model in models:
        try:
            starts[model.name] = _start(model, data)
        except HpazooError as error:
            missing.append(f"weights that model '{model.name}' begins from: {error}")
    sources = None
    try:
        splitters.build(training["splitter"], data)
        file = file_of_embeddings(training["splitter"], data)
        if file is not None and not file.is_file():
            missing.append(f"embeddings: no file {file}")
        missing.extend(_embedder(spec, training["splitter"]))
        sources = gather(training["images"], classes, data)
    except HpazooError as error:
        missing.append(f"training: {error}")
    if sources is None or missing:
        return None, missing
    return Lesson(tuple(models), sources, starts), []


def _embedder(spec: Spec, splitter: Json) -> Iterator[str]:
    """What is missing of a card whose embeddings a splitter takes."""
    source = source_of_embeddings(splitter)
    card = find_card(source) if source and source not in spec.models else None
    if card is not None:
        try:
            local_files(card)
        except HpazooError as error:
            yield f"embeddings: {error}"


def _of_session(spec: Spec) -> Iterator[str]:
    """Components that the process of a training would not know."""
    for name, provider in code_of(spec).items():
        if provider == SESSION and name.split("/")[0] in _LEARNED_WITH:
            yield (
                f"training: {name} was registered by this Python program, and a training runs in a "
                "process of its own; write it into a file, and load that with --plugin or "
                "hpazoo.load_file"
            )


def _start(model: Model, data: Path) -> Start:
    """The file that a training begins from."""
    assert model.recipe is not None
    name = model.recipe.start
    if name == NO_START:
        return Start()
    if name == IMAGENET:
        from hpazoo.checkpoints.imagenet import imagenet_start

        found = imagenet_start(model.backbone)
        return Start(found.path, IMAGENET, found.note)
    card = find_card(name)
    if card is not None:
        first = card.files[0]
        if card.is_loadable and problem_of(card, first) is None:
            several = f"'{card.name}', the first of its {len(card.files)} files"
            note = several if len(card.files) > 1 else ""
            return Start(place_of(card, first), card.name, note)
        return Start(local_files(card)[0], card.name)  # says what is missing
    path = user_path(data, name)
    if not path.is_file():
        raise HpazooError(f"there is no file {path}")
    return Start(path, name)
