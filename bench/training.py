"""Training: images from the store beside images from their files, and the network that takes them.

The networks and recipes are those of the spec `hpa2021-6th`, with its default augmentations; the
data of its two sources are drawn. Files lie in the system's memory: a disk is not measured.
"""

from __future__ import annotations

import functools
import gc
import itertools
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.material import Material
from bench.measure import (
    Effort,
    Goal,
    Result,
    Spread,
    Times,
    Way,
    WrongAnswerError,
    interleaved,
    same,
)
from bench.training_images import (
    CLASSES,
    KINDS,
    Data,
    Decoded,
    Epochs,
    decoded,
    drawn,
    many,
    processor_time,
    stored,
    targets,
)
from hpazoo.augmentations import Augmentation, augmentations
from hpazoo.losses import losses
from hpazoo.models import Model as Network
from hpazoo.models import build_model
from hpazoo.recipe import Recipe
from hpazoo.regions import Regions
from hpazoo.spec import load
from hpazoo.spec.resolution import Model
from hpazoo.training.image_store import ImageStore
from hpazoo.training.learner import LearningModel
from hpazoo.training.loading import Batch, Batches, Images, Order, loader
from hpazoo.training.steps import optimizer_of

SPEC = "hpa2021-6th"
IMAGES = 21_806 + 27_066
"""Of the recipe: train, and the public ones without two classes."""
HOURS = {"densenet121-768": 5.0, "densenet121-1536": 3.5, "inception-1024": 3.0}
"""That the team's trainings took on one RTX 3090, by their own account; 5 h are taken to be those
of all five folds: of one, the smaller input would have been three times as slow as the larger."""
SMALL = 2
"""Images in the batch of a network that is timed."""
SPARES = Goal(">=", 5)
"""The store over the files: else it is not worth its space."""
KEEPS_PACE = Goal("<=", 1, "cores")
"""Of the loader, for the team's card."""


@dataclass(frozen=True)
class Lesson:
    """A network with its recipe, and the hours that the team's training took."""

    model: Model
    recipe: Recipe
    hours: float
    learned: int
    """Images of one epoch; the others of IMAGES validate."""

    @property
    def size(self) -> int:
        return self.model.input.size

    @property
    def augment(self) -> tuple[Augmentation, ...]:
        steps = (augmentations.build(config, CLASSES) for config in self.recipe.augment or ())
        return tuple(step for step in steps if not hasattr(step, "mix"))

    @property
    def rate(self) -> float:
        """Images per second, forward and backward, that the team's hours mean."""
        return self.learned * self.recipe.epochs * self.recipe.folds / (3600 * self.hours)


def lessons() -> list[Lesson]:
    """Those of the spec, as it resolves: nothing of the recipes is repeated here."""
    spec = load(SPEC)
    folds = int(spec.resolved["training"]["splitter"]["folds"])
    learned = round(IMAGES * (1 - 1 / folds))
    return [
        Lesson(model, model.recipe, HOURS[name], learned)
        for name, model in spec.models.items()
        if model.recipe is not None
    ]


def training(material: Material, effort: Effort) -> Iterator[Result]:
    """Each network of the recipe: its loader, itself, its store, its epochs.

    In processor time, that of the loader's worker included.
    """
    if sys.platform != "linux":
        yield Result("training", "", skipped="only Linux tells the time of another process")
        return
    data = drawn(material.folder / "training", material.field.pixels)
    for lesson in lessons()[: 1 if effort.quick else None]:
        yield from results(lesson, data, material.folder, effort)


def compare(lesson: Lesson, data: Data, files: Sequence[Path]) -> str:
    """Pixels of the store are those of the files, decoded and resized; and so are whole batches."""
    for file, sources in zip(files, data.files, strict=True):
        same(np.load(file), decoded(sources, lesson.size), f"pixels of {sources[0].name}")
    places = [(epoch, index) for epoch in range(2) for index in range(len(files))]
    ours, slow = (
        Batches(lesson.recipe.seed)([images[place] for place in places])
        for images in (_images(lesson, files), _decoded(lesson, data))
    )
    for name, found, wanted in zip(("pixels", "targets", "numbers"), ours, slow, strict=True):
        same(found.numpy(), wanted.numpy(), f"{name} of a batch")
    return "pixels and batches equal"


def results(lesson: Lesson, data: Data, folder: Path, effort: Effort) -> Iterator[Result]:
    """Four lines of one network, all from the same rounds."""
    files = stored(data, folder / "store", lesson.size)
    checked = compare(lesson, data, files)
    spread = many(files)
    naive, ours, alone, valid = (
        _epochs(lesson, images, workers)
        for images, workers in (
            (_decoded(lesson, data), 1),
            (_images(lesson, spread), 1),
            (_images(lesson, spread), 0),
            (_images(replace(lesson, recipe=replace(lesson.recipe, augment=[])), spread), 1),
        )
    )
    for found, wanted in zip(ours.first(), alone.first(), strict=True):
        same(found.numpy(), wanted.numpy(), "batch of a worker")
    pixels, wanted, numbers = alone.first()
    few = (pixels[:SMALL], wanted[:SMALL], numbers[:SMALL])
    step, learner = network(lesson)
    learned = compare_step(learner, few)
    gc.collect()  # workers of another network end now, not while their clock is read
    count = len(data.ids)
    ways: dict[str, tuple[Way, int]] = {
        "naive": (naive, naive.count),
        "ours": (ours, ours.count),
        "alone": (alone, alone.count),
        "valid": (valid, valid.count),
        "network": (functools.partial(step, few), SMALL),
        "plain fill": (_afresh(folder, functools.partial(_plain, data, lesson.size)), count),
        "fill": (_afresh(folder, functools.partial(stored, data, size=lesson.size)), count),
    }
    times = interleaved(
        {name: way for name, (way, _) in ways.items()}, effort.rounds, clock=processor_time
    )
    per_image = Times({name: [s / ways[name][1] for s in times.seconds[name]] for name in ways})
    name = lesson.model.name
    yield Result(
        "training",
        f"{name}: loader",
        1 / per_image.median("naive"),
        1 / per_image.median("ours"),
        1 / per_image.median("alone"),
        per_image.ratio("naive", "ours"),
        SPARES,
        f"{checked}; floor: without a worker",
        "images/s",
    )
    yield Result(
        "training",
        f"{name}: network, crops of {pixels.shape[-1]} px",
        ours=1 / per_image.median("network"),
        ratio=per_image.ratio("network", "ours"),
        check=f"{learned}; ratio: cores that learn from what one core loads",
        unit="images/s",
    )
    yield _filling(lesson, per_image)
    yield reckoned(lesson, per_image)


def _images(lesson: Lesson, files: Sequence[Path]) -> Images:
    seed = lesson.recipe.seed
    return Images(files, targets(len(files)), lesson.size, seed, lesson.augment)


def _decoded(lesson: Lesson, data: Data) -> Decoded:
    labels = targets(len(data.ids))
    return Decoded(data.files, labels, lesson.size, lesson.recipe.seed, lesson.augment)


def _epochs(lesson: Lesson, images: Images | Decoded, workers: int) -> Epochs:
    seed = lesson.recipe.seed
    order, collate = Order(images.targets, seed, "all"), Batches(seed)
    # `loader` asks no more of its images than examples and their size.
    return Epochs(loader(images, order, collate, len(KINDS), workers, train=True))  # type: ignore[arg-type]


def _afresh(folder: Path, fill: Callable[[Path], object]) -> Way:
    """Fill a new folder with each call, and remove it."""
    numbers = itertools.count()

    def way() -> None:
        place = folder / f"afresh-{next(numbers)}"
        place.mkdir()
        fill(place)
        shutil.rmtree(place)

    return way


def _plain(data: Data, size: int, folder: Path) -> None:
    for name, files in zip(data.ids, data.files, strict=True):
        np.save(folder / f"{name}.npy", decoded(files, size))


def _filling(lesson: Lesson, per_image: Times) -> Result:
    """Once for all networks of one size. Naive saves what it has decoded; ours checks every byte of
    the files and takes their digest.
    """
    space = ImageStore(Path(), lesson.size).bytes_for(IMAGES)
    hours = IMAGES * per_image.median("fill") / 3600
    return Result(
        "training",
        f"store of {lesson.size} px: to fill it",
        1 / per_image.median("plain fill"),
        1 / per_image.median("fill"),
        None,
        per_image.ratio("plain fill", "fill"),
        check=f"{IMAGES} images: {space / 1e9:.0f} GB, {hours:.1f} core h, once",
        unit="images/s",
    )


def reckoned(lesson: Lesson, per_image: Times) -> Result:
    """Hours of one core that the images of an epoch cost, and how many cores feed one card.

    Naive: without the store. Floor: the network's own hours, on one core of this machine. The card
    is the team's, as fast as their hours say; nothing was measured on it. Validation reads the
    images that are left out, whole; it is no part of the network's hours.
    """
    judged = IMAGES - lesson.learned
    naive = IMAGES * per_image.median("naive")
    ours = lesson.learned * per_image.median("ours") + judged * per_image.median("valid")
    cores = [lesson.rate * seconds for seconds in per_image.seconds["ours"]]
    without = lesson.rate * per_image.median("naive")
    disk = lesson.rate * ImageStore(Path(), lesson.size).bytes_for(1) / 1e6
    recipe = lesson.recipe
    return Result(
        "training",
        f"{lesson.model.name}: an epoch of {lesson.learned} images, reckoned",
        naive / 3600,
        ours / 3600,
        lesson.learned * per_image.median("network") / 3600,
        Spread.of(cores),
        KEEPS_PACE,
        f"{recipe.epochs} epochs x {recipe.folds} folds in {lesson.hours:g} h on the team's card: "
        f"{lesson.rate:.1f} images/s, {disk:.0f} MB/s of the store; without it {without:.1f} cores",
        "core h",
    )


class _Alone(LearningModel):
    """A learner that nobody trains: what it says goes nowhere."""

    def log(self, *_: Any, **__: Any) -> None:
        pass


def network(lesson: Lesson) -> tuple[Callable[[Batch], None], LearningModel]:
    """A step of training as Lightning's loop takes it, and what takes it; random weights.

    With a step of the optimizer after each batch, and without the running average of the weights.
    """
    model, recipe = lesson.model, lesson.recipe
    config = {"backbone": model.backbone, "head": model.head, "input": model.input._asdict()}
    built = build_model(config, CLASSES, seed=model.name).train()
    learner = _Alone(built, losses.build(recipe.loss, len(CLASSES)), recipe, None, Path())
    optimizer = optimizer_of(built, recipe)

    def step(batch: Batch) -> None:
        learner.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(built.parameters(), recipe.clip or math.inf)
        optimizer.step()
        optimizer.zero_grad()

    return step, learner


def compare_step(learner: LearningModel, batch: Batch) -> str:
    """The loss is what a notebook would write, and every weight has a gradient of it.

    Without dropout, which draws anew each time; norms stay as they are.
    """
    model, recipe = learner.model, learner.recipe
    model.eval()
    value = learner.training_step(batch, 0)
    value.backward()  # type: ignore[no-untyped-call]
    lacking = [name for name, one in model.named_parameters() if one.grad is None]
    if lacking:
        raise WrongAnswerError(f"{len(lacking)} weights have no gradient: {lacking[0]}, ...")
    with torch.no_grad():
        images = model.prepare(batch[0].float() / 255)
        wanted = focal(model.head(model.backbone(images), _whole(model, images))[0], batch[1])
        if recipe.aux and hasattr(model.head, "auxiliary_logits"):
            _, extra = model.backbone.with_aux(images)
            wanted += recipe.aux * focal(model.head.auxiliary_logits(extra), batch[1])
    model.zero_grad()
    model.train()
    return same(value.detach().numpy(), wanted, "loss", 1e-5)


def _whole(model: Network, images: torch.Tensor) -> Regions:
    height, width = images.shape[2:]
    return Regions.whole(len(images), model.grid(height, width))


def focal(logits: torch.Tensor, wanted: torch.Tensor) -> float:
    """Focal loss with gamma 2 (Lin et al. 2017), of all classes, the mean of the images."""
    answer, truth = logits.double().sigmoid().numpy(), wanted.numpy() > 0
    right = np.where(truth, answer, 1 - answer)
    return float((-((1 - right) ** 2) * np.log(right)).sum(axis=1).mean())
