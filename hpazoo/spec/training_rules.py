"""What training asks for: labelled images, a splitter with enough folds, weights to begin from that
fit, a loss that the labels are for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpazoo.checkpoints.cards import card_names, find_card
from hpazoo.checkpoints.imagenet import without_imagenet
from hpazoo.errors import hint
from hpazoo.recipe import IMAGENET, NO_START, Recipe
from hpazoo.spec.catalog import Description
from hpazoo.spec.problems import Problem
from hpazoo.spec.shapes import Json, items, known, listing, looks_like_path, normal_form, split
from hpazoo.spec.strict_yaml import Document, Path
from hpazoo.spec.words import as_yaml

_ANGULAR = "arcface"
"""Head and loss."""


def training_problems(document: Document, spec: Json) -> Iterator[Problem]:
    """Problems of `training`, and of `train` of each model."""
    training = spec.get("training")
    yield from _labelled(document, training if isinstance(training, dict) else {})
    for name, model in items(spec.get("models")):
        if isinstance(model, dict) and isinstance(model.get("train"), dict):
            path: Path = ("models", name, "train")
            if "training" not in spec:
                text = (
                    f"model '{name}' is to be trained, but the spec names no images to learn from"
                )
                cure = "add 'training: {images: [...], splitter: ...}'"
                yield Problem(text, document.key_place(path), cure)
            yield from _fits(document, name, model, path)
            yield from _answers(document, name, model, spec.get("classes"))
            yield from _cosines(document, name, model, path)
            yield from _folds(document, training, model["train"], path)


def _labelled(document: Document, training: Json) -> Iterator[Problem]:
    """Images to learn from come with labels."""
    for index, config in enumerate(listing(training.get("images"))):
        reader = known("readers", config)
        if reader is None:
            continue
        name, options = split(config)
        place = document.place(("training", "images", index))
        if "labels" not in reader.gives:
            yield Problem(f"reader '{name}' gives no labels to learn from", place)
        elif _lacks_labels(reader, options):
            text = f"the images of '{name}' come without labels"
            yield Problem(text, place, "add 'labels: FILE', a table of ids and labels")


def _lacks_labels(reader: Description, options: Json) -> bool:
    """Whether a table of labels could have been given and was not; what is required is said so."""
    takes = "labels" in reader.parameters and "labels" not in reader.required
    return takes and options.get("labels") is None


def _fits(document: Document, name: str, model: Json, path: Path) -> Iterator[Problem]:
    """What can be trained, and from what it can begin."""
    backbone = known("backbones", model.get("backbone"))
    if backbone and "feature-map" not in backbone.gives:
        text = f"backbone '{split(model['backbone'])[0]}' is frozen: there is nothing to train"
        yield Problem(text, document.key_place(path), "remove 'train'")
    yield from _of_labels(document, model["train"], path)
    start = model["train"].get("start", NO_START)
    where = (*path, "start")
    is_said = "backbone" in model and document.is_sound(("models", name, "backbone"))
    if start == IMAGENET and backbone and is_said and (why := without_imagenet(model["backbone"])):
        text, _, cure = why.partition("; ")
        yield Problem(text, document.place(where), cure)
    if not isinstance(start, str) or start in (NO_START, IMAGENET) or where in document.wrong:
        return
    if looks_like_path(start):
        return
    card = find_card(start)
    if card is None:
        names = [*card_names(), NO_START, IMAGENET]
        note = "start: a card, a file (with a suffix or a folder in its name), imagenet, none"
        yield Problem(f"unknown card '{start}'", document.place(where), hint(start, names), (note,))
    elif not card.builds:
        text = f"card '{start}' is nothing that a network of locations can begin from"
        yield Problem(text, document.place(where), "take another card")
    elif "backbone" in model and document.is_sound(("models", name, "backbone")):
        mine = normal_form("backbone", model["backbone"])
        theirs = normal_form("backbone", card.builds["backbone"])
        if mine is not None and mine != theirs:
            text = (
                f"model '{name}' cannot begin from '{start}', whose backbone is {as_yaml(theirs)}"
            )
            yield Problem(text, document.place(where), f"this one's is {as_yaml(mine)}")


def _answers(document: Document, name: str, model: Json, classes: Any) -> Iterator[Problem]:
    """What is trained here answers for the classes of the spec, as its labels do.

    Where a checkpoint is used instead, `map_classes` leads from its classes to them; once trained,
    the model would need none, and its file would not fit.
    """
    card = find_card(model["checkpoint"]) if isinstance(model.get("checkpoint"), str) else None
    theirs = model.get("classes") or (card.classes if card else None)
    if not isinstance(theirs, str) or not isinstance(classes, str) or theirs == classes:
        return
    key = "classes" if "classes" in model else "checkpoint"
    if document.is_sound(("models", name, key)) and document.is_sound(("classes",)):
        text = f"model '{name}' answers for {theirs}, and would be trained for {classes}"
        cure = "remove 'train', or begin from these weights ('start' below 'train')"
        yield Problem(text, document.place(("models", name, key)), cure)


def _cosines(document: Document, name: str, model: Json, path: Path) -> Iterator[Problem]:
    """The head `arcface` gives cosines, and the loss `arcface` takes nothing else.

    By their names, of hpazoo's own alone: what other packages' heads give is not known.
    """
    card = find_card(model["checkpoint"]) if isinstance(model.get("checkpoint"), str) else None
    head = split(model.get("head", (card.builds or {}).get("head") if card else None))[0]
    loss = split(model["train"].get("loss", Recipe().loss))[0]
    if head is None or loss is None or "." in head + loss:
        return
    if (head == _ANGULAR) == (loss == _ANGULAR):
        return
    if known("heads", head) is None or known("losses", loss) is None:
        return
    is_said = "loss" in model["train"]
    place = document.place((*path, "loss")) if is_said else document.key_place(path)
    if loss == _ANGULAR:
        text = f"loss '{loss}' learns from cosines, and the head '{head}' gives none"
        yield Problem(text, place, f"write 'head: {_ANGULAR}'")
    else:
        text = f"loss '{loss}' learns from logits, and the head '{head}' gives cosines"
        yield Problem(text, place, f"write 'loss: {_ANGULAR}', or take another head")


def _of_labels(document: Document, train: Json, path: Path) -> Iterator[Problem]:
    """Augmentations that change labels are nothing for groups, nor is waiting for a validation."""
    loss = known("losses", train.get("loss", Recipe().loss))
    if loss is None or "groups" not in loss.needs:
        return
    if isinstance(train.get("patience"), int):
        text = f"loss '{split(train['loss'])[0]}' learns all groups, so no image is left out"
        place = document.place((*path, "patience"))
        yield Problem(f"{text} to be patient with", place, "remove it, and choose 'epochs'")
    for index, config in enumerate(listing(train.get("augment"))):
        found = known("augmentations", config)
        if found and "labels" in found.needs:
            name, of = split(config)[0], split(train["loss"])[0]
            text = f"augmentation '{name}' changes labels, and loss '{of}' learns groups of images"
            yield Problem(text, document.place((*path, "augment", index)), "remove it")


def _folds(document: Document, training: Any, train: Json, path: Path) -> Iterator[Problem]:
    """A model is trained on no more folds than there are."""
    config = training.get("splitter") if isinstance(training, dict) else None
    splitter = known("splitters", config)
    wanted = train.get("folds", Recipe().folds)
    if splitter is None or not isinstance(wanted, int) or (*path, "folds") in document.wrong:
        return
    name, options = split(config)
    default = splitter.defaults().get("folds", 1 if name == "holdout" else None)
    made = options.get("folds", default)
    if isinstance(made, int) and wanted > made:
        place = document.place((*path, "folds") if "folds" in train else path)
        text = f"{wanted} folds are to be trained, but splitter '{name}' makes {made}"
        yield Problem(text, place, f"write 'folds: {made}' or less, or more for the splitter")
