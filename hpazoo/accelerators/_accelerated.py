"""What accelerated backbones have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from hpazoo.backbones import Backbone
from hpazoo.errors import UsageError

Value = TypeVar("Value")


class Accelerated(nn.Module):
    """A backbone whose map is worked out in another way, and which else is what it was.

    The base of what accelerators return. Modules and tensors are the backbone's own, under the
    same names, so that the state dict of a model stays what it was; its attributes are there too.
    It evaluates only.

    Parameters
    ----------
    backbone
        In evaluation mode, giving a feature map.
    device
        Where images will be.
    """

    by: ClassVar[str] = "the accelerator"
    """What does the work, for messages."""

    gives: ClassVar[tuple[str, ...]]
    features: int
    aux_features: int | None
    min_size: int
    centres: tuple[float, float] | None
    training: bool

    def __init__(self, backbone: Backbone, device: str) -> None:
        super().__init__()
        name = type(backbone).__name__
        if isinstance(backbone, Accelerated):
            raise UsageError(f"this {name} is accelerated already; do it once")
        if not isinstance(backbone, nn.Module) or "feature-map" not in backbone.gives:
            raise UsageError(
                f"the backbone {name} gives no feature map, so {self.by} has nothing to work out; "
                "run it without an accelerator"
            )
        if backbone.training:
            raise UsageError(
                f"{self.by} evaluates only, and this {name} is in training; call eval() first"
            )
        # The same dictionaries, not copies: what is loaded into either is in both.
        self._parameters = backbone._parameters
        self._buffers = backbone._buffers
        self._non_persistent_buffers_set = backbone._non_persistent_buffers_set
        self._modules = backbone._modules
        self.__dict__["original"] = backbone  # no module of this one: its tensors are here already
        self.device_type = torch.device(device).type
        self.training = False

    def __getattr__(self, name: str) -> Any:
        """The attributes of the backbone, such as `features` or `large`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            original = self.__dict__.get("original")
            if original is None or name.startswith("_"):
                raise
            return getattr(original, name)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size."""
        return self._backbone.grid(height, width)

    def train(self, mode: bool = True) -> Accelerated:
        """Stay in evaluation mode; UsageError if training is asked for."""
        if mode:
            raise UsageError(
                f"{self.by} evaluates only; train the model as it was before it was accelerated"
            )
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w), without gradients."""
        self._check(images)
        height, width = images.shape[2:]
        if not len(images):
            return images.new_empty(0, self.features, *self.grid(height, width))
        return self.evaluate(images)

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map; UsageError where the backbone has one."""
        if self.aux_features is not None:
            raise UsageError(
                f"{self.by} evaluates only, and the auxiliary map is for training; use the model "
                "as it was before it was accelerated"
            )
        return self(images), None

    @abstractmethod
    def evaluate(self, images: Tensor) -> Tensor:
        """The feature map of one image or more, of a size and on a device that were checked."""

    @property
    def _backbone(self) -> Backbone:
        return cast(Backbone, self.__dict__["original"])

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4:
            raise UsageError(f"images are (B, C, H, W); these are {tuple(images.shape)}")
        if images.device.type != self.device_type:
            raise UsageError(
                f"this network was accelerated for the device '{self.device_type}', and the images "
                f"are on '{images.device}'; bring them there, or accelerate for their device"
            )
        if images.requires_grad:
            raise UsageError(
                f"{self.by} evaluates only: there are no gradients for these images; detach them, "
                "or use the model as it was before it was accelerated"
            )
        height, width = images.shape[2:]
        if min(height, width) < self.min_size:
            raise UsageError(
                f"{height} x {width} pixels give no feature map; "
                f"{type(self._backbone).__name__} needs {self.min_size} along the shorter side"
            )


class Recent(Generic[Value]):
    """What was made lately, by key: of `most` things, the one unused for longest makes room.

    Copies and pickles are empty, as compiled programs cannot be copied.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._made: OrderedDict[Hashable, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._made

    def __reduce__(self) -> tuple[Any, ...]:
        return Recent, (self.most,)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What is kept under this key, made now if need be."""
        if key not in self._made:
            while len(self._made) >= self.most:
                self._made.popitem(last=False)
            self._made[key] = make()
        self._made.move_to_end(key)
        return self._made[key]

    def clear(self) -> None:
        self._made.clear()
