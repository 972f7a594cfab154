"""The normalisations of a model's input, by the names that specs and cards use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpazoo.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

_FIXED = {
    # mean and standard deviation of R, G, B, Y over the training images of 2018 (bestfitting)
    "hpa-2018": (
        (0.074598, 0.050630, 0.050891, 0.076287),
        (0.122813, 0.085745, 0.129882, 0.119411),
    ),
    # (x - 127.5) / 255 on 0..255 (pudae's resnet34)
    "centered": ((0.5,) * 4, (1.0,) * 4),
    # of the photographs that ImageNet weights saw; yellow is a second red
    "imagenet": ((0.485, 0.456, 0.406, 0.485), (0.229, 0.224, 0.225, 0.229)),
}

NORMALIZATIONS = ("hpa-2018", "per-image", "centered", "imagenet", "none")
"""All names. `per-image` (pudae): (x - mean) / (deviation + 1e-7) on 0..255, per image and channel,
with the population's standard deviation. `none`: images as they are."""

_GREY_LEVEL = 1 / 255
_CONSTANT = 1e-6
"""Standard deviation, on 0..1, below which a channel is constant: one pixel of 2000 x 2000 that is
one grey level off gives 2e-6, rounding gives 1e-8."""


def check_normalization(name: str) -> str:
    """`name`, if there is such a normalisation."""
    if name not in NORMALIZATIONS:
        raise UsageError(f"unknown normalisation '{name}'{did_you_mean(name, NORMALIZATIONS)}")
    return name


def normalized(images: Tensor, name: str, statistics: Tensor | None = None) -> Tensor:
    """Images as a network was trained to see them; the given ones stay as they are.

    Parameters
    ----------
    images
        (B, 4, H, W) floating point in [0, 1], channels R, G, B, Y.
    name
        One of NORMALIZATIONS.
    statistics
        For `per-image` only: mean and population standard deviation of each image's channels,
        (B, 4, 2) on 0..1, to use instead of the images' own (a view is normalised as the field it
        was cut from). A channel that is constant there becomes 0.

    Returns
    -------
    (B, 4, H, W), of the type of `images`.
    """
    import torch

    check_normalization(name)
    if name == "none":
        return images
    if name in _FIXED:
        fixed = images.new_tensor(_FIXED[name])[:, :, None, None]
        return (images - fixed[0]).div_(fixed[1])
    wide = images.to(torch.promote_types(images.dtype, torch.float32))
    if statistics is None:
        variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0)
        deviation = variance.sqrt()
    else:
        if statistics.shape != (*images.shape[:2], 2):
            raise UsageError(
                f"statistics of {len(images)} images are ({len(images)}, {images.shape[1]}, 2): "
                f"mean and deviation per channel; these are {tuple(statistics.shape)}"
            )
        mean, deviation = statistics.to(wide).unbind(2)
    # Without this, 1e-7 would blow rounding up to the size of a signal.
    scale = torch.where(deviation < _CONSTANT, 0, 1 / (deviation + 1e-7 * _GREY_LEVEL))
    seen: Tensor = (wide - mean[..., None, None]).mul_(scale[..., None, None])
    return seen.to(images.dtype)
