"""How a network is trained: the key `train` of a model, with every default in one place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from hpazoo.parameters import Part, Range, Reference

Json = dict[str, Any]

NO_START = "none"
IMAGENET = "imagenet"

NEGATIVE = "Negative"


def default_augment(classes: Collection[str], groups: bool) -> list[Json]:
    """Augmentations for a list of classes, or for groups of images, which channels must not leave.

    The order matters: a channel is replaced before its brightness is changed.
    """
    names = ["crop", "d4", "reference-channel", "negative-green", "gain"]
    if groups:
        names = ["crop", "d4", "gain"]
    elif NEGATIVE not in classes:
        names.remove("negative-green")
    return [{"type": name} for name in names]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Train a network on whole images and their labels.

    The defaults are a starting point for finetuning: AdamW with a lower rate for the backbone, one
    cycle, an effective batch of 32, random crops at the scale of the input (a network that only
    ever sees whole fields never learns where a pattern is), averaged weights.

    Parameters
    ----------
    start
        Weights to begin from: a card, a file, `imagenet` (for backbones that have such weights), or
        `none` for random ones. Rows of the head are taken over where classes correspond.
    epochs
        How often all images are seen.
    folds
        Train folds 0 to `folds` - 1 of the splitter's, a network each.
    batch_size
        Images in a batch of one process.
    accumulate
        Batches whose gradients are added up before a step.
    optimizer
        `sgd` has a momentum of .9.
    lr
        Highest learning rate of the head.
    body_lr
        Highest learning rate of the backbone.
    weight_decay
        Of weights, not of biases and norms.
    schedule
        `one-cycle` rises over the first 30 % of the steps and falls to almost 0; `cosine` falls
        from the start; `steps` divides by 10 at 1/2 and 3/4 of the training; `constant` stays.
    loss
        What is minimised.
    augment
        Changes of the images, in this order. `null`: crop, d4, reference-channel, negative-green
        where there is a class Negative, and gain; of groups crop, d4 and gain.
    sample
        `all` shows each image once per epoch; `rare` draws as many, images of rare classes more
        often (weight 1 / square root of the number of images of their rarest class).
    freeze
        So many epochs at the beginning the backbone's weights stay.
    aux
        Weight of the loss of the head's auxiliary part, where the backbone has an auxiliary map.
    ema
        Keep an exponential moving average of the weights with this decay, and take it in the end;
        `null`: take the last weights.
    clip
        Longest gradient; `null`: any.
    patience
        Stop after so many epochs without a better validation, and keep the best; `null`: train all
        epochs, keep the last.
    seed
        Another seed gives other batches, augmentations and fresh rows.
    """

    start: Annotated[str, Reference("start")] = NO_START
    epochs: Annotated[int, Range(ge=1, le=10000)] = 5
    folds: Annotated[int, Range(ge=1)] = 1
    batch_size: Annotated[int, Range(ge=1, le=4096)] = 8
    accumulate: Annotated[int, Range(ge=1, le=4096)] = 4
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Annotated[float, Range(gt=0, le=10)] = 1e-3
    body_lr: Annotated[float, Range(ge=0, le=10)] = 1e-4
    weight_decay: Annotated[float, Range(ge=0, le=1)] = 0.01
    schedule: Literal["one-cycle", "cosine", "steps", "constant"] = "one-cycle"
    loss: Annotated[Any, Part("losses")] = "focal"
    augment: list[Annotated[Any, Part("augmentations")]] | None = None
    sample: Literal["all", "rare"] = "all"
    freeze: Annotated[int, Range(ge=0)] = 0
    aux: Annotated[float, Range(ge=0)] = 0.4
    ema: Annotated[float, Range(gt=0, lt=1)] | None = 0.999
    clip: Annotated[float, Range(gt=0)] | None = 1.0
    patience: Annotated[int, Range(ge=1)] | None = None
    seed: Annotated[int, Range(ge=0)] = 0
