"""The same work as a competent user writes it in a notebook, with the libraries everyone has.

Nothing here is slow on purpose: arrays are 8 bit where they may be, networks run without gradients
and in batches, masks are encoded by pycocotools. It is slow where the obvious way is: a mask at a
time over the whole field, and a copy of the feature map for every cell. Nothing of hpazoo is used
but, where networks are compared, their layers.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco
from skimage.measure import regionprops
from torch import Tensor
from torch.nn import functional

MEAN = np.array([0.074598, 0.050630, 0.050891, 0.076287], np.float32)
DEVIATION = np.array([0.122813, 0.085745, 0.129882, 0.119411], np.float32)
"""Of R, G, B, Y over the training images of 2018 (bestfitting)."""


class Box(NamedTuple):
    """A cell's box, half-open, its area in px, and whether it touches the border of the field."""

    id: int
    box: tuple[int, int, int, int]
    area: int
    touches_border: bool


def cell_ids(labels: np.ndarray) -> list[int]:
    """Ids of a label image (H, W) but 0, rising."""
    return [int(i) for i in np.unique(labels) if i]


def grid_weights(labels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Each cell's mask, resized by area: (N, h, w) float32.

    As float32, since an 8-bit mask of 0 and 1 would be rounded back to 0 and 1.
    """
    size = (grid[1], grid[0])
    return np.stack(
        [
            cv2.resize((labels == i).astype(np.float32), size, interpolation=cv2.INTER_AREA)
            for i in cell_ids(labels)
        ]
    )


def avg_max(head: Any, features: Tensor, weights: Tensor, over: str = "grid") -> Tensor:
    """Feature map (1, F, h, w), weights (N, h, w) -> logits (N, classes): a copy per cell.

    `head` has the layers of bestfitting's; `over` is what cells are averaged over, as in hpazoo.
    """
    maps = features * weights[:, None]
    mean = functional.adaptive_avg_pool2d(maps, 1).flatten(1)
    if over == "cell":
        mean = mean / weights.mean((1, 2))[:, None]
    largest = functional.adaptive_max_pool2d(maps, 1).flatten(1)
    hidden = functional.relu(head.fc1(head.bn1(torch.cat([mean, largest], 1))))
    logits: Tensor = head.logit(head.bn2(hidden))
    return logits


def attention(head: Any, features: Tensor, weights: Tensor, over: str = "grid") -> Tensor:
    """As `avg_max`, for pudae's attention, whose grid is that of the feature map.

    Over the cell the features stay as they are, and attention counts by the weights.
    """
    if over == "cell":
        score = head.attention(features).flatten(2) + weights.flatten(1).log()[:, None]
        within: Tensor = (head.logit(features).flatten(2) * functional.softmax(score, 2)).sum(2)
        return within
    maps = features * weights[:, None]
    share = functional.softmax(head.attention(maps).flatten(2), 2)
    logits: Tensor = (head.logit(maps).flatten(2) * share).sum(2)
    return logits


def gridify(field: np.ndarray, boxes: Sequence[Sequence[int]], crop: int, side: int) -> np.ndarray:
    """Field (H, W, 4) and boxes (y0, x0, y1, x1) -> views (N, 4, side, side), by a template.

    The four channels lie side by side, as OpenCV likes them, and the field is padded once, so that
    a crop is a plain slice.
    """
    padded = cv2.copyMakeBorder(field, crop, crop, crop, crop, cv2.BORDER_CONSTANT, value=(0,) * 4)
    template = np.empty((2 * crop, 2 * crop, 4), np.uint8)
    views = np.empty((len(boxes), 4, side, side), np.uint8)
    for view, (y0, x0, y1, x1) in zip(views, boxes, strict=True):
        for i, y in enumerate((y0, y1 - crop)):
            for j, x in enumerate((x0, x1 - crop)):
                part = padded[y + crop : y + 2 * crop, x + crop : x + 2 * crop]
                template[i * crop : (i + 1) * crop, j * crop : (j + 1) * crop] = part
        view[:] = cv2.resize(template, (side, side), interpolation=cv2.INTER_LINEAR).transpose(
            2, 0, 1
        )
    return views


def encode(mask: np.ndarray) -> bytes:
    """Mask (H, W) bool -> COCO's compressed run lengths."""
    counts: bytes = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts


def submission_strings(labels: np.ndarray) -> list[str]:
    """Masks of all cells as the competition's own example writes them."""
    strings = []
    for i in cell_ids(labels):
        packed = zlib.compress(encode(labels == i), zlib.Z_BEST_COMPRESSION)
        strings.append(base64.b64encode(packed).decode())
    return strings


def boxes(labels: np.ndarray) -> list[Box]:
    """Boxes, areas and border flags of all cells by scikit-image."""
    height, width = labels.shape
    found = []
    for region in regionprops(labels):  # type: ignore[no-untyped-call]
        y0, x0, y1, x1 = region.bbox
        touches = y0 == 0 or x0 == 0 or y1 == height or x1 == width
        found.append(Box(region.label, (y0, x0, y1, x1), int(region.area), touches))
    return found


def read_pil(files: Sequence[Path]) -> np.ndarray:
    """Channels (4, H, W) uint8 by PIL; the largest of R, G and B where a file is coloured."""
    planes = []
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(image)
        if pixels.ndim == 3:
            # Pairwise: numpy's .max(axis=2), which most would write, takes many times as long.
            pixels = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
        planes.append(pixels)
    return np.stack(planes)


def read_opencv(files: Sequence[Path]) -> np.ndarray:
    """Channels (4, H, W) uint8 by OpenCV."""
    return np.stack([_read(file) for file in files])


def _read(file: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))


class Answer(NamedTuple):
    """Probabilities (N, classes) float32 of a field's cells, and their submission string."""

    probabilities: np.ndarray
    prediction: str


def answer_for_field(
    files: Sequence[Path],
    mask_file: Path,
    backbone: Callable[[Tensor], Tensor],
    head: Any,
    size: int,
) -> Answer:
    """Gap-Mask on one field: 4 PNG -> probabilities and submission, a notebook's cell after cell.

    Resized as 8 bit, then converted, which is the faster order and that of the 2018 teams.
    """
    field = np.stack([_read(file) for file in files], axis=-1)
    labels = _read(mask_file)
    small = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)
    image = (small.astype(np.float32) / 255 - MEAN) / DEVIATION
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    with torch.no_grad():
        features = backbone(batch)
        height, width = features.shape[2:]
        weights = torch.from_numpy(grid_weights(labels, (height, width)))
        probabilities = torch.sigmoid(avg_max(head, features, weights)).numpy()
    words = [
        f"{index} {probability} {mask}"
        for row, mask in zip(probabilities, submission_strings(labels), strict=True)
        for index, probability in enumerate(row)
    ]
    return Answer(probabilities, " ".join(words))
