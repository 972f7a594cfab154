"""Label images from working resolution to the field's, and their numbering."""

from __future__ import annotations

import cv2
import numpy as np

from hpazoo.geometry import cells_of

_MARGIN = 3  # working pixels around a cell's box, wide enough for the blur


def upsample_labels(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image (h, w) int32 -> (H, W) int32 with smooth outlines.

    Each cell's mask is blurred and enlarged within its own box; a pixel goes to the cell with the
    largest share, so neighbours meet without gap or overlap and the cost does not grow with their
    number.
    """
    if small.shape == shape:
        return small
    share = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    ratio = (shape[0] / small.shape[0], shape[1] / small.shape[1])
    cells = cells_of(small)
    for cell, (y0, x0, y1, x1) in zip(cells.ids, cells.boxes, strict=True):
        top, left = max(y0 - _MARGIN, 0), max(x0 - _MARGIN, 0)
        bottom, right = min(y1 + _MARGIN, small.shape[0]), min(x1 + _MARGIN, small.shape[1])
        mask = (small[top:bottom, left:right] == cell).astype(np.float32)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
        # Output pixels of the box, and where their centres lie in the small one.
        rows = slice(int(np.ceil(top * ratio[0])), int(bottom * ratio[0]))
        columns = slice(int(np.ceil(left * ratio[1])), int(right * ratio[1]))
        matrix = np.array(
            [
                [1 / ratio[1], 0, (columns.start + 0.5) / ratio[1] - 0.5 - left],
                [0, 1 / ratio[0], (rows.start + 0.5) / ratio[0] - 0.5 - top],
            ]
        )
        large = cv2.warpAffine(
            mask,
            matrix,
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        better = large > share[rows, columns]
        share[rows, columns][better] = large[better]
        labels[rows, columns][better] = cell
    union = cv2.GaussianBlur((small > 0).astype(np.float32), (0, 0), 1.0)
    inside = cv2.resize(union, shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    labels[~inside] = 0
    return labels


def in_reading_order(labels: np.ndarray) -> np.ndarray:
    """Renumber to 1..N by the first row, then the first column, of each cell's box."""
    cells = cells_of(labels)
    order = np.lexsort((cells.boxes[:, 1], cells.boxes[:, 0]))
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[cells.ids[order]] = np.arange(1, len(cells) + 1)
    return np.asarray(table[labels])
