"""A model: a backbone, a head, and what its input looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hpazoo.backbones import Backbone, backbones
from hpazoo.checkpoints.load import LoadReport, load_checkpoint
from hpazoo.classes import NO_CLASSES, ClassList, class_list
from hpazoo.errors import ComponentError, HpazooError, UsageError, did_you_mean
from hpazoo.fields import CHANNELS, Input
from hpazoo.heads import Head, heads
from hpazoo.normalize import check_normalization, normalized
from hpazoo.regions import Regions
from hpazoo.spec import Spec
from hpazoo.spec.problems import Problem, SpecError
from hpazoo.strategies import strategies
from hpazoo.views import views

_KEYS = ("backbone", "head", "input", "checkpoint")
_OF_THE_RUN = ("train", "map_classes")
"""Keys that a spec writes beside these, for the stages around a model."""


class Model(nn.Module):
    """Images -> logits, for whole images or for regions of them.

    A model normalises its input and never resizes it: images of any size that the backbone takes
    are fine, those of `input.size` are what it was trained on.

    Parameters
    ----------
    backbone
        Image -> feature map.
    head
        Feature map and regions -> logits and embedding.
    input
        Longer side of a field, in pixels, and name of the normalisation.
    classes
        What the logits stand for.
    builds
        `backbone` and `head` as in a spec, to compare with the card of a file of weights; None
        where the model was put together by hand.
    """

    backbone: Backbone
    head: Head

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        input: Input,
        classes: ClassList,
        builds: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.builds = builds
        self.backbone = backbone
        self.head = head
        self.input = input
        self.classes = classes
        self.checkpoint: LoadReport | None = None
        """How the weights were loaded; None: they are random."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return self.backbone.grid(height, width)

    def forward(
        self, images: Tensor, regions: Regions | None = None, *, statistics: Tensor | None = None
    ) -> Tensor:
        """Logits (N, classes) of regions, or (B, classes) of whole images.

        `images` (B, 4, H, W) are floating point in [0, 1], R, G, B, Y; `statistics` (B, 4, 2) are
        used by the normalisation `per-image` instead of the images' own.
        """
        return self.read(self.features(images, statistics=statistics), regions)[0]

    def embed(
        self, images: Tensor, regions: Regions | None = None, *, statistics: Tensor | None = None
    ) -> Tensor:
        """Embeddings (N, d) of regions, or (B, d) of whole images."""
        return self.read(self.features(images, statistics=statistics), regions)[1]

    def features(self, images: Tensor, *, statistics: Tensor | None = None) -> Tensor:
        """Feature maps (B, F, h, w)."""
        return self.backbone(self.prepare(images, statistics=statistics))

    def read(self, features: Tensor, regions: Regions | None = None) -> tuple[Tensor, Tensor]:
        """Logits (N, classes) and embeddings (N, d) from feature maps.

        For several sets of regions of the same images: the backbone has to run only once.
        """
        if regions is None:
            height, width = features.shape[2:]
            regions = Regions.whole(len(features), (height, width))
        elif "regions" not in self.head.gives:
            raise UsageError(
                f"the head {type(self.head).__name__} answers for whole images only; "
                "take one that gives 'regions', such as 'avg-max' or 'attention'"
            )
        return self.head(features, regions.to(features.device))

    def prepare(self, images: Tensor, *, statistics: Tensor | None = None) -> Tensor:
        """Images normalised and in the type of the network, as the backbone takes them."""
        if images.ndim != 4 or images.shape[1] != len(CHANNELS) or not images.is_floating_point():
            raise UsageError(
                f"images are (B, {len(CHANNELS)}, H, W) floating point in [0, 1], channels "
                f"{', '.join(CHANNELS)}; these are {tuple(images.shape)} of {images.dtype}"
            )
        if min(images.shape[2:]) < self.backbone.min_size:
            raise UsageError(_too_small(tuple(images.shape[2:]), self.backbone))
        seen = normalized(images, self.input.normalize, statistics)
        return seen.to(next(self.parameters()).dtype)


def build_model(
    config: Mapping[str, Any], classes: int | ClassList | str, *, seed: str = ""
) -> Model:
    """Build a model, in evaluation mode, on the CPU.

    Parameters
    ----------
    config
        `backbone` and `head` (a name, or a mapping of `type` and parameters), `input` (`size` in
        pixels, `normalize`), and perhaps `checkpoint`, the path of a file of weights.
    classes
        A list of classes, its name, or only their number.
    seed
        Text that decides the random weights: the same text and configuration give the same ones,
        and torch's own generator is left as it was. A checkpoint takes their place.

    Examples
    --------
    >>> model = build_model(
    ...     {"backbone": "densenet121", "head": "avg-max",
    ...      "input": {"size": 768, "normalize": "hpa-2018"}},
    ...     classes="hpa-2021",
    ... )
    """
    for key in config:
        if key not in _KEYS + _OF_THE_RUN:
            raise UsageError(f"unknown key '{key}' for a model{did_you_mean(key, _KEYS)}")
    for key in _KEYS[:3]:
        if key not in config:
            raise UsageError(f"a model needs '{key}'; its keys are: {', '.join(_KEYS)}")
    if isinstance(classes, str):
        classes = class_list(classes)
    elif isinstance(classes, int):
        classes = ClassList("unnamed", tuple(str(i) for i in range(classes)))
    given = _input(config["input"])
    with torch.random.fork_rng(devices=[]):
        # Only the generator of the CPU, where the weights are drawn: torch.manual_seed would
        # disturb those of GPUs too.
        digest = hashlib.sha256(seed.encode()).digest()
        torch.default_generator.manual_seed(int.from_bytes(digest[:6], "little"))
        backbone: Backbone = backbones.build(config["backbone"], len(CHANNELS))
        head: Head = heads.build(config["head"], backbone.features, len(classes))
        lacking = sorted(set(head.needs) - set(backbone.gives))
        if lacking:
            raise ComponentError(
                f"the head {_name(config['head'])} needs a backbone that gives "
                f"'{lacking[0]}'; {_name(config['backbone'])} gives: {', '.join(backbone.gives)}"
            )
        outputs = getattr(backbone, "outputs", len(classes))
        if outputs != len(classes):
            raise ComponentError(
                f"the backbone {_name(config['backbone'])} answers for {outputs} classes "
                f"('outputs'), the model is for {len(classes)} ({classes.name}); write the number "
                "of its class list, or take the list that the network was trained for"
            )
        if backbone.aux_features and "auxiliary-logits" in head.gives:
            head.add_auxiliary(backbone.aux_features)  # type: ignore[attr-defined]
    if given.size < backbone.min_size:
        raise UsageError(f"input.size: {_too_small((given.size, given.size), backbone)}")
    builds = {"backbone": config["backbone"], "head": config["head"]}
    model = Model(backbone, head, given, classes, builds)
    if config.get("checkpoint") is not None:
        model.checkpoint = load_checkpoint(model, Path(config["checkpoint"]))
    return model.eval()


def check_builds(spec: Spec) -> None:
    """Build every network and every way to look at cells, without weights.

    SpecError with those that cannot be built.
    """
    problems = []
    for index, member in enumerate(spec.members):
        try:
            strategies.build(member.strategy)
            if member.views is not None:
                views.build(member.views)
        except HpazooError as error:
            place = spec.document.place(("members", index))
            problems.append(Problem(f"member '{member.name}' cannot be built: {error}", place))
    for name, model in spec.models.items():
        config = {
            "backbone": model.backbone,
            "head": model.head,
            "input": model.input._asdict(),
        }
        try:
            build_model(config, NO_CLASSES if model.classes is None else model.classes)
        except HpazooError as error:
            place = spec.document.key_place(("models", name))
            problems.append(Problem(f"model '{name}' cannot be built: {error}", place))
    if problems:
        raise SpecError(problems)


def _input(config: Any) -> Input:
    if isinstance(config, Input):
        config = config._asdict()
    if not isinstance(config, Mapping) or set(config) != {"size", "normalize"}:
        raise UsageError(f"a model's input is {{size: ..., normalize: ...}}, not {config!r}")
    size = config["size"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"a model's input size is a whole number of pixels, not {size!r}")
    return Input(size, check_normalization(config["normalize"]))


def _too_small(shape: tuple[int, ...], backbone: Backbone) -> str:
    return (
        f"{shape[0]} x {shape[1]} pixels give no feature map; {type(backbone).__name__} needs "
        f"{backbone.min_size} along the shorter side"
    )


def _name(config: str | Mapping[str, Any]) -> str:
    return f"'{config if isinstance(config, str) else config['type']}'"
