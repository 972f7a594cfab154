"""Any network of timm that gives a feature map."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from hpazoo.backbones import backbones
from hpazoo.backbones._timm import Request, create, feature_map, twin_of, without
from hpazoo.backbones._timm_names import checked_name, checked_options
from hpazoo.errors import UsageError
from hpazoo.parameters import Options, Range


@backbones.register
class Timm(nn.Module):
    """A network of timm (convolutions, ViT, DINOv2, DINOv3, Swin, ...) without its classifier.

    The map is what the network's own classifier is given, its last norm included where that comes
    before the pooling, without the tokens that stand for no place. Parameters are drawn at random
    from torch's generator, those of parts that have no share in the map are left out, and the
    others are named `network.` and what timm calls them; nothing is downloaded.

    Networks that look at patches, or that halve sizes without a rest, get images filled up with 0
    at the bottom and on the right, by less than one step; multiples of the patch need none. Some
    networks take images of one size only: `options: {img_size: ...}` says which. Wightman 2019,
    PyTorch Image Models, github.com/huggingface/pytorch-image-models.

    Parameters
    ----------
    name
        Architecture, as timm calls it, such as `convnext_tiny`; without the tag of weights that
        may follow it behind a dot.
    level
        Take an earlier map, with a finer grid: 0 is the first that timm counts for this network.
        The numbers of a network are in the message for a level that is too high. Transformers have
        a level per block, all with one grid.
    options
        Options of the network itself, as timm calls them, such as `drop_path_rate` or `img_size`.
    """

    gives: ClassVar[tuple[str, ...]] = ("feature-map",)
    silent: tuple[str, ...] = ()
    aux_features: int | None = None
    min_size: int = 1
    """Of the least demanding network; each has its own."""

    def __init__(
        self,
        channels: int,
        *,
        name: str,
        level: Annotated[int, Range(ge=0)] | None = None,
        options: Options | None = None,
    ) -> None:
        super().__init__()
        self._request = Request(checked_name(name), channels, level, checked_options(options))
        self.options = self._request.options
        if options:
            self.silent = ("options",)  # an `output_stride`, for one, has no tensors
        twin = twin_of(self._request)
        self.features = twin.features
        self.min_size = twin.min_size
        self._way = twin.way
        self.network: Any = without(create(self._request), twin.unused)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the feature map of an image of this size; 0 where it is too short.

        UsageError for a network that takes images of other sizes only.
        """
        return twin_of(self._request).grid(height, width)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> feature map (B, F, h, w)."""
        try:
            return feature_map(self.network, images, self._way)
        except (AssertionError, RuntimeError, ValueError):
            height, width = images.shape[2:]
            if min(self.grid(height, width)) < 1:
                raise UsageError(
                    f"{height} x {width} pixels give no feature map; '{self._request.name}' needs "
                    f"{self.min_size} along the shorter side"
                ) from None
            raise

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The feature map, and no auxiliary map."""
        return self.forward(images), None
