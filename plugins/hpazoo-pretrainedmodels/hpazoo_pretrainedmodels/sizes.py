"""Size of a network's feature map, by the arithmetic of its layers along one side."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """A convolution or pooling that changes the size; `up` rounds a part of a step to a whole."""

    kernel: int
    stride: int
    padding: int = 0
    up: bool = False

    def __call__(self, size: int) -> int:
        rest = size + 2 * self.padding - self.kernel
        return (-(-rest // self.stride) if self.up else rest // self.stride) + 1


_HALVE, _VALID, _TRIM = Step(3, 2, 1), Step(3, 2), Step(3, 1)
_STEM, _POOL, _CUT = Step(7, 2, 3), Step(3, 2, up=True), Step(2, 2)

_RESNET = (_STEM, *[_HALVE] * 4)
_CAFFE = (_STEM, _POOL, *[_HALVE] * 3)
_DENSENET = (_STEM, _HALVE, *[_CUT] * 3)
_INCEPTION = (_VALID, _TRIM, _VALID, _TRIM, *[_VALID] * 3)

STEPS: dict[str, tuple[Step, ...]] = {
    "cafferesnet101": _CAFFE,
    "densenet121": _DENSENET,
    "densenet161": _DENSENET,
    "densenet169": _DENSENET,
    "densenet201": _DENSENET,
    "dpn68": _RESNET,
    "dpn68b": _RESNET,
    "dpn92": _RESNET,
    "dpn98": _RESNET,
    "dpn107": _RESNET,
    "dpn131": _RESNET,
    "fbresnet152": _RESNET,
    "inceptionresnetv2": _INCEPTION,
    "inceptionv3": _INCEPTION,
    "inceptionv4": _INCEPTION,
    "polynet": _INCEPTION,
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "resnet101": _RESNET,
    "resnet152": _RESNET,
    "resnext101_32x4d": _RESNET,
    "resnext101_64x4d": _RESNET,
    "se_resnet50": _CAFFE,
    "se_resnet101": _CAFFE,
    "se_resnet152": _CAFFE,
    "se_resnext50_32x4d": _CAFFE,
    "se_resnext101_32x4d": _CAFFE,
    "senet154": _CAFFE,
    "squeezenet1_0": (Step(7, 2), *[_POOL] * 3),
    "squeezenet1_1": (_VALID, *[_POOL] * 3),
    "xception": (_VALID, _TRIM, *[_HALVE] * 4),
}


def cells(name: str, size: int) -> int:
    """Positions of the feature map along a side of `size` pixels; below 1 there is no map."""
    for step in STEPS[name]:
        size = step(size)
    return size


def min_size(name: str) -> int:
    """Shortest side that gives a feature map."""
    size = 1
    while cells(name, size) < 1:
        size += 1
    return size
