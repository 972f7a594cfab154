"""One field of 2048 px from its files to probabilities and submission."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import naive
from bench.material import Material
from bench.measure import Effort, Goal, Result, WrongAnswerError, interleaved, same
from bench.networks import CLASSES, CONFIGS
from hpazoo.accelerators import accelerators
from hpazoo.classes import class_list
from hpazoo.fields import Input
from hpazoo.geometry import cells_of
from hpazoo.imageio import read_label_image
from hpazoo.models import Model, build_model
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.runner.networks import Network
from hpazoo.segmenters.label_images import LabelImages
from hpazoo.spec.resolution import Model as ModelSpec
from hpazoo.strategies.gap_mask import GapMask
from hpazoo.writers import FieldResult
from hpazoo.writers.kaggle_submission import KaggleSubmission

NETWORK = "densenet121 768 px"
SEED = "bench"
ACCELERATOR = "openvino.cpu"
"""Of plugins/hpazoo-openvino."""
PROBABILITIES = 1e-4
LONGEST_FIELD = 2**30
"""Characters in a value of a CSV; a field's submission is longer than the module's limit."""


class Ours:
    """The parts of a run, in one process and one after the other."""

    def __init__(self, images: Path, masks: Path, out: Path, accelerate: str | None = None) -> None:
        classes = class_list(CLASSES)
        config = CONFIGS[NETWORK]
        size = Input(**config["input"])
        kinds = {kind: {"type": config[kind]} for kind in ("backbone", "head")}
        spec = ModelSpec(SEED, kinds["backbone"], kinds["head"], size, CLASSES, None, None)
        self.network = Network(spec, (), classes)
        self.network.to("cpu", accelerate)
        self.size = size
        self.reader = HpaFiles(images, root=".")
        self.segmenter = LabelImages(masks, root=".")
        self.strategy = GapMask(over="grid")
        self.writer = KaggleSubmission(classes)
        (self.name,) = self.reader.ids()
        self.masks = masks
        self.out = out
        out.mkdir()

    def __call__(self) -> np.ndarray:
        """Probabilities (N, classes) of the cells; submission.csv is written."""
        field = self.reader.read(self.name)
        labels = self.segmenter.segment(field)
        cells = cells_of(labels)
        shown = list(self.strategy.views(field, labels, self.size))
        (answer,) = self.network.predict(shown, self.strategy, None, "cpu", "32")
        result = FieldResult(
            field.id,
            *field.shape,
            field.pixel_size,
            field.sha256,
            field.notes,
            cells,
            answer.probabilities,
            # As in a run: the writer reads the label image anew.
            lambda: read_label_image(self.masks / f"{field.id}.png"),
        )
        self.writer.write(self.out, [result], "")
        return answer.probabilities

    def prediction(self) -> str:
        """`PredictionString` of the field, as it was written."""
        with (self.out / "submission.csv").open(encoding="utf-8", newline="") as file:
            csv.field_size_limit(LONGEST_FIELD)
            (row,) = csv.DictReader(file)
        return row["PredictionString"]


def field(material: Material, effort: Effort) -> Iterator[Result]:
    """Naive and ours read the same files with the same weights; floor: the backbone alone.

    Ours as a run has it: layers channels last, checks, digests, a file at the end.
    """
    images = material.files("png")
    counts = (10, 30, 150)
    ways: dict[str, Any] = {}
    checked = ""
    for count in counts:
        masks = material.mask_folder(count)
        ours = Ours(images[0].parent, masks, material.folder / f"out-{count}")
        # same weights, as torch builds it: ours was made ready for prediction
        plain = build_model(CONFIGS[NETWORK], CLASSES, seed=SEED)
        slow = functools.partial(
            naive.answer_for_field,
            images,
            masks / f"{ours.name}.png",
            plain.backbone,
            plain.head,
            ours.size.size,
        )
        ways[f"ours {count}"] = ours
        if count == 30 or not effort.quick:
            wanted = slow()
            checked = same(ours(), wanted.probabilities, "probabilities", PROBABILITIES)
            _same_masks(ours.prediction(), wanted.prediction)
        if count == 30:
            ways["naive"] = slow
            ways["floor"] = functools.partial(_backbone, ours.network.folds[0])
    accelerated = _accelerated(material, images, ways)
    times = interleaved(ways, effort.rounds, least=0)
    yield Result(
        "end-to-end",
        f"{NETWORK}, N = 30",
        times.median("naive"),
        times.median("ours 30"),
        times.median("floor"),
        times.ratio("naive", "ours 30"),
        Goal(">=", 2),
        f"{checked}, masks equal",
    )
    yield Result(
        "end-to-end",
        "N = 150 over N = 10",
        ours=times.median("ours 150"),
        floor=times.median("ours 10"),
        ratio=times.ratio("ours 150", "ours 10"),
        goal=Goal("<=", 1.1),
        check="floor: N = 10",
    )

    for case, goal, before, after, floor in (
        ("backbone, eager over accelerated", 1.4, "eager", "accelerated floor", "floor"),
        ("N = 30, accelerated", 2.8, "naive", "accelerated", "accelerated floor"),
    ):
        empty = Result("end-to-end", f"{NETWORK}, {case}", goal=Goal(">=", goal))
        if not accelerated:
            yield replace(empty, skipped=f"{ACCELERATOR} is not installed")
            continue
        yield replace(
            empty,
            naive=times.median(before),
            ours=times.median(after),
            floor=times.median(floor) if floor else None,
            ratio=times.ratio(before, after),
            check=accelerated,
        )


def _accelerated(material: Material, images: tuple[Path, ...], ways: dict[str, Any]) -> str:
    """Adds the accelerated ways; what was found equal, empty where there is no accelerator."""
    if ACCELERATOR not in accelerators.components():
        return ""
    masks, plain = material.mask_folder(30), ways["ours 30"]
    ours = Ours(images[0].parent, masks, material.folder / "out-accelerated", ACCELERATOR)
    checked = same(ours(), plain(), "probabilities", PROBABILITIES)
    ways["accelerated"] = ours
    ways["accelerated floor"] = functools.partial(_backbone, ours.network.folds[0])
    eager = build_model(CONFIGS[NETWORK], CLASSES, seed=SEED)
    eager = eager.to(memory_format=torch.channels_last)
    ways["eager"] = functools.partial(_backbone, eager)
    return f"{checked} of eager"


def _backbone(model: Model) -> None:
    images = torch.zeros(1, 4, model.input.size, model.input.size)
    with torch.inference_mode():
        model.backbone(images.contiguous(memory_format=torch.channels_last))


def _same_masks(found: str, wanted: str) -> None:
    """Classes and masks to the letter; confidences are compared as numbers before."""
    ours, theirs = found.split(" "), wanted.split(" ")
    for part, what in ((0, "classes"), (2, "masks")):
        if ours[part::3] != theirs[part::3]:
            raise WrongAnswerError(f"submission: {what} differ")
