"""The layers of a network that change the size of a map: where its positions lie in the image.

A step is (kernel, stride, padding) in pixels of the map that it is applied to. Parallel branches
that end in one map are one step: they agree in size and centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Step = tuple[int, int, int]


def positions(steps: Iterable[Step], size: int) -> int:
    """Positions along one side of the map of an image of `size` pixels; below 1, there is none."""
    for kernel, stride, padding in steps:
        if size < 1:
            return 0
        size = (size + 2 * padding - kernel) // stride + 1
    return size


def least_size(steps: Sequence[Step]) -> int:
    """Smallest image, in pixels along one side, whose map has a position."""
    size = 1
    for kernel, stride, padding in reversed(steps):
        size = max(1, (size - 1) * stride + kernel - 2 * padding)
    return size


def centres_of(steps: Iterable[Step]) -> tuple[float, float]:
    """(centre of the receptive field of position 0, distance between those of neighbours).

    In pixels of the image, as `hpazoo.backbones.Backbone.centres` has them: pixel i covers
    [i, i + 1). A kernel of k positions that begins p before position 0 has its middle (k - 1) / 2 -
    p positions behind that of position 0. Receptive fields are symmetric about their centres,
    except where the border of the image cuts them.
    """
    first, apart = 0.5, 1.0
    for kernel, stride, padding in steps:
        first += ((kernel - 1) / 2 - padding) * apart
        apart *= stride
    return first, apart
