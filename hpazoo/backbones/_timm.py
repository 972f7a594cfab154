"""What timm's networks want to be asked: sizes, and where the feature map is.

Everything here is found out on a twin of the network on torch's meta device, which has shapes and
no numbers: it costs no memory and hardly any time, and holds for any version of timm.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpazoo.backbones._timm_names import accepted, library, refusal
from hpazoo.errors import ComponentError, UsageError

_ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}
"""Options that let a network take images of other sizes than it was built for."""

_STEPS = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64)
_CANNOT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What timm and torch raise for values and sizes that a network does not take."""


class Request(NamedTuple):
    """What makes one network differ from another; `options` are JSON."""

    name: str
    channels: int
    level: int | None
    options: str


class Way(NamedTuple):
    """How a feature map is had from a network.

    `form` is what `forward_features` gives: `nchw`, `nhwc`, or `other` (tokens, lists): then the
    map is asked for as an intermediate one, `norm` saying whether the last norm can be had with it.
    Sides of images are filled up to multiples of `step`; with 0 only one size is taken.
    """

    level: int | None
    form: str
    norm: bool
    step: int


def create(request: Request) -> nn.Module:
    """The network, with weights drawn from torch's generator, on torch's default device."""
    given = json.loads(request.options)
    loose = {key: value for key, value in _loose(request.name).items() if key not in given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: nn.Module = library().create_model(
            request.name,
            pretrained=False,
            in_chans=request.channels,
            num_classes=0,
            **loose,
            **given,
        )
    return made


def feature_map(network: Any, images: Tensor, way: Way) -> Tensor:
    """Images (B, C, H, W) -> feature map (B, F, h, w)."""
    if way.step > 1:
        height, width = images.shape[2:]
        images = functional.pad(images, (0, -width % way.step, 0, -height % way.step))
    if way.level is None and way.form != "other":
        features: Tensor = network.forward_features(images)
        return features.permute(0, 3, 1, 2) if way.form == "nhwc" else features
    found: list[Tensor] = network.forward_intermediates(
        images,
        indices=1 if way.level is None else [way.level],
        norm=way.norm,
        output_fmt="NCHW",
        intermediates_only=True,
    )
    return found[-1]


def without(network: nn.Module, names: Iterable[str]) -> nn.Module:
    """The network without parts that have no share in the map, such as its own classifier."""
    for name in names:
        parent, _, attribute = name.rpartition(".")
        part = network.get_submodule(name)
        empty = nn.ModuleList() if isinstance(part, nn.ModuleList) else nn.Identity()
        setattr(network.get_submodule(parent), attribute, empty)
    return network


class Twin:
    """A network without numbers, and all that is to be known of it.

    `way` is how its map is had, `features` the map's channels, `min_size` the shortest side that
    gives a map, `size` the size it was built for, `unused` the parts without a share in the map.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self._shapes: dict[tuple[int, int], tuple[int, ...] | str] = {}
        self.network: Any = self._create()
        self.size = _built_for(self.network, json.loads(request.options))
        self.way = self._way()
        shape = self._shape(*self.size)
        if isinstance(shape, str):
            raise ComponentError(
                f"the network '{request.name}' of timm gives no feature map of images with "
                f"{request.channels} channels: {shape}"
            )
        self.features = shape[1]
        self.way = self.way._replace(step=self._step())
        self._shapes.clear()  # they are of images that were not filled up
        self.min_size = self._min_size()
        self.unused = self._unused()

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the map; 0 along sides too short. UsageError for sizes not taken."""
        least = self.min_size
        shape = self._shape(max(height, least), max(width, least))
        if not isinstance(shape, str):
            return (shape[2] if height >= least else 0), (shape[3] if width >= least else 0)
        text = f"'{self.request.name}' takes no images of {height} x {width} pixels"
        built = f"{self.size[0]} x {self.size[1]}"
        if "img_size" in accepted(type(self.network))[0]:
            raise UsageError(
                f"{text}: it was built for {built}; `options: {{img_size: ...}}` says another size"
            )
        raise UsageError(f"{text}; it takes {built}, for one ({shape})")

    def _create(self) -> nn.Module:
        request = self.request
        try:
            return _without_numbers(lambda: create(request)).eval()
        except _CANNOT as error:
            options = json.loads(request.options)
            if not options:
                raise ComponentError(
                    f"the network '{request.name}' of timm cannot be built for images with "
                    f"{request.channels} channels: {_first_line(error)}"
                ) from error
            raise refusal(request.name, options, type(_plain(request.name)), error) from error

    def _way(self) -> Way:
        level, name = self.request.level, self.request.name
        way = Way(level, "other", True, 1)
        if not hasattr(self.network, "forward_intermediates"):
            if level is not None:
                raise ComponentError(f"the network '{name}' of timm has one level only")
        elif isinstance(self._shape_by(way._replace(level=None), self.size), str):
            way = way._replace(norm=False)
        if level is not None:
            self._check_level(way)
            return way
        form = "nhwc" if getattr(self.network, "output_fmt", "") == "NHWC" else "nchw"
        direct = way._replace(form=form)
        return way if isinstance(self._shape_by(direct, self.size), str) else direct

    def _check_level(self, way: Way) -> None:
        """Levels are counted as timm counts them."""
        with torch.device("meta"), torch.no_grad():
            try:
                levels = self.network.forward_intermediates(
                    torch.empty(1, self.request.channels, *self.size),
                    norm=False,
                    output_fmt="NCHW",
                    intermediates_only=True,
                )
            except _CANNOT:
                return  # of this image there is no map at all, which is said better later
        if way.level is not None and way.level >= len(levels):
            grids = [f"{one.shape[2]} x {one.shape[3]}" for one in levels]
            maps = ", ".join(f"{i}: {grid}" for i, grid in enumerate(grids))
            if len(set(grids)) == 1:
                maps = f"0 to {len(grids) - 1}, each {grids[0]}"
            raise ComponentError(
                f"the network '{self.request.name}' of timm has no level {way.level}; its levels, "
                f"and their maps of an image of {self.size[0]} x {self.size[1]}, are {maps}"
            )

    def _shape(self, height: int, width: int) -> tuple[int, ...] | str:
        if (height, width) not in self._shapes:
            self._shapes[height, width] = self._shape_by(self.way, (height, width))
        return self._shapes[height, width]

    def _shape_by(self, way: Way, size: tuple[int, int]) -> tuple[int, ...] | str:
        """Shape (1, F, h, w) of a map, or why there is none."""
        with torch.device("meta"), torch.no_grad():
            try:
                images = torch.empty(1, self.request.channels, *size)
                features: Any = feature_map(self.network, images, way)
            except _CANNOT as error:
                return _first_line(error)
        if not isinstance(features, Tensor) or features.ndim != 4 or not all(features.shape):
            return "what it gives is no map"
        return tuple(features.shape)

    def _takes(self, side: int) -> bool:
        return not isinstance(self._shape(side, side), str)

    def _step(self) -> int:
        side = max(self.size)
        if self._takes(side):
            for step in _STEPS:
                if side % step == 0 and self._takes(side + step):
                    return step
        return 0

    def _min_size(self) -> int:
        """By bisection: what takes an image takes a larger one."""
        step = self.way.step
        if not step:
            return min(self.size)
        if self._takes(step):
            return 1
        refused, taken = 1, max(self.size) // step
        while taken - refused > 1:
            middle = (refused + taken) // 2
            if self._takes(middle * step):
                taken = middle
            else:
                refused = middle
        return (taken - 1) * step + 1

    def _unused(self) -> tuple[str, ...]:
        """Outermost parts none of whose parameters has a share in the map.

        In training: in evaluation some networks keep what they made of a parameter, and hide it.
        """
        try:
            with torch.device("meta"), torch.enable_grad(), torch.random.fork_rng(devices=[]):
                images = torch.empty(2, self.request.channels, *self.size)
                total = feature_map(self.network.train(), images, self.way).sum()
                torch.autograd.backward(total)
        except _CANNOT:
            return ()
        finally:
            self.network.eval()
        names = tuple(_without_gradient(self.network))
        self.network.zero_grad(set_to_none=True)
        expected = self._shape(*self.size)
        without(self.network, names)
        if self._shape_by(self.way, self.size) == expected:
            return names
        self.network = self._create()  # a part without a share is run all the same
        return ()


@functools.lru_cache(maxsize=32)
def twin_of(request: Request) -> Twin:
    """The twin of a network; made once for all folds of a model."""
    return Twin(request)


@functools.lru_cache(maxsize=32)
def _plain(name: str) -> nn.Module:
    """The network as timm makes it when nothing is said, without numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _without_numbers(lambda: library().create_model(name, pretrained=False))


def _without_numbers(make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes, on the meta device; torch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return make()
        except RuntimeError:
            # The Transformers of older timm read numbers while they are made.
            with torch.device("cpu"):
                return make().to("meta")


def _loose(name: str) -> dict[str, bool]:
    known, _ = accepted(type(_plain(name)))
    return {key: value for key, value in _ANY_SIZE.items() if key in known}


def _without_gradient(network: nn.Module) -> Iterator[str]:
    gone: tuple[str, ...] = ()
    for name, part in network.named_modules():
        parameters = list(part.parameters())
        used = not parameters or any(parameter.grad is not None for parameter in parameters)
        if name and not used and not name.startswith(gone):
            gone += (f"{name}.",)
            yield name


def _built_for(network: Any, options: Mapping[str, Any]) -> tuple[int, int]:
    size = options.get("img_size")
    if isinstance(size, int):
        return size, size
    if isinstance(size, list) and len(size) == 2:
        return int(size[0]), int(size[1])
    height, width = (getattr(network, "default_cfg", {}).get("input_size") or (3, 224, 224))[-2:]
    return int(height), int(width)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
