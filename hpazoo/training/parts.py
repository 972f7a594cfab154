"""What a model learns of each image, and which images each of its trainings learns from."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpazoo.atlas_ids import parse
from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError
from hpazoo.spec.resolution import Model
from hpazoo.training.job import TRAIN, VALIDATE
from hpazoo.training.sources import Sources

FEWEST = 2
"""Images that a group must have, for what they share to be learned; and that a training must."""


def targets_of(model: Model, sources: Sources, classes: ClassList) -> tuple[np.ndarray, ClassList]:
    """What a model learns of each image: labels (N, classes) float32, or its group (N,) int64,
    -1 for images that have none; and what the numbers stand for.

    HpazooError where there are no groups to learn.
    """
    if not model.learns_groups:
        return sources.table.labels.astype(np.float32), classes
    antibodies = [found.antibody if (found := parse(i)) else None for i in sources.table.ids]
    known, counts = np.unique([a for a in antibodies if a is not None], return_counts=True)
    names = known[counts >= FEWEST].tolist()
    if len(names) < FEWEST:
        raise HpazooError(
            f"model '{model.name}' is to tell antibodies apart, but of {len(sources)} images only "
            f"{sum(a is not None for a in antibodies)} have an antibody in their id "
            f"(<antibody>_<plate>_<well>_<field>), of {len(known)} antibodies {len(names)} have "
            f"{FEWEST} images; take images with such ids, or another loss"
        )
    number = {name: index for index, name in enumerate(names)}
    groups = np.array([number.get(a, -1) if a is not None else -1 for a in antibodies])
    return groups, ClassList("antibodies", tuple(names))


def parts_of(targets: np.ndarray, fold: np.ndarray, number: int) -> np.ndarray:
    """TRAIN, VALIDATE or -1 (no part) of each image, in the training of one fold.

    Groups have members on one side only, so there is nothing to validate with: all are learned.
    """
    if targets.ndim == 1:
        return np.where(targets >= 0, TRAIN, -1)
    return np.where(fold == number, VALIDATE, TRAIN)


def check_parts(
    model: Model, targets: np.ndarray, fold: np.ndarray, classes: ClassList
) -> list[str]:
    """What should be known of the parts of a model's trainings: classes that nothing shows.

    HpazooError where a training cannot be: more folds than there are, too few images, or none of a
    class that others show.
    """
    recipe = model.recipe
    assert recipe is not None
    if targets.ndim == 1:
        without = int((targets < 0).sum())
        text = f"model '{model.name}' tells {len(classes)} {classes.name} apart"
        return [f"{text}; {without} of {len(targets)} images are of none and left out"]
    made = int(fold.max(initial=-1)) + 1
    if recipe.folds > made:
        raise HpazooError(
            f"model '{model.name}' is to be trained on {recipe.folds} folds, but the split has "
            f"{made}; write 'folds: {made}' or less for it, or make more folds"
        )
    shown = targets > 0.5
    never = _names(classes, ~shown.any(axis=0))
    notes = []
    if never:
        notes.append(f"no image to learn from shows {never}: what is said of them means nothing")
    for number in range(recipe.folds):
        part = parts_of(targets, fold, number)
        learned, left = shown[part == TRAIN], shown[part == VALIDATE]
        name = f"model '{model.name}', fold {number}"
        if len(learned) < FEWEST:
            raise HpazooError(
                f"{name}: {len(learned)} of {len(targets)} images to learn from, and {FEWEST} are "
                "the least; take more images, or folds that leave fewer of them out"
            )
        if lost := _names(classes, shown.any(axis=0) & ~learned.any(axis=0)):
            raise HpazooError(
                f"{name}: all images of {lost} are in the fold that validates, so none is left to "
                "learn from; use more folds, or groups that are smaller"
            )
        if unseen := _names(classes, shown.any(axis=0) & ~left.any(axis=0)):
            notes.append(f"{name}: no image left out shows {unseen}: not scored there")
    return notes


def _names(classes: ClassList, which: Any) -> str:
    return ", ".join(classes.names[index] for index in np.flatnonzero(which))
