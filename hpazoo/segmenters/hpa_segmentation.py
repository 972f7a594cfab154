"""Cells by HPA's own segmentation networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import CHANNELS, Field
from hpazoo.parameters import CardName, Range
from hpazoo.segmenters import Weights, segmenters
from hpazoo.segmenters._hpa_network import (
    STRIDE,
    at_size,
    check_shape,
    network_input,
    probabilities,
)
from hpazoo.segmenters._hpa_postprocess import cells_of_nuclei, has_nuclei, nuclei_of
from hpazoo.segmenters._outlines import in_reading_order, upsample_labels

WORKING = 0.32
"""µm per pixel of what the networks were trained on: a quarter of an atlas field."""
ORDER = tuple(CHANNELS.index(name) for name in ("red", "yellow", "blue"))
"""Microtubules, ER, nucleus: the channels of the cells network."""

_COARSEST = 1.28  # µm per pixel; coarser nuclei are some pixels that no enlarging makes clear


@segmenters.register
class HpaSegmentation:
    """Find cells with the two DPN-Unets that the Human Protein Atlas uses itself.

    One network sees the nuclei (blue), the other the cells (red, yellow, blue), both at 0.32 µm
    per pixel: a field is scaled by its pixel size, and one without counts as 2048 px of 0.08 µm
    along its longer side, though never coarser than 1.28 µm per pixel. Nuclei are the seeds of the
    cells, and a field without nuclei has none. Any number of cells is numbered 1..N from the top of
    the field down.

    The networks, their input and the steps from their answers to cells follow
    CellProfiling/HPA-Cell-Segmentation, but cells that touch are not parted by a line. The networks
    are TorchScript programs; the files of both cards must be there before a run.

    Parameters
    ----------
    cells
        Card of the network for cells.
    nuclei
        Card of the network for nuclei.
    min_nucleus
        Nuclei with a smaller area in µm² are debris (2500 px of 0.08 µm).
    min_cell
        Cells with a smaller area in µm², borders not counted, are removed (5500 px of 0.08 µm).
    """

    needs: ClassVar[tuple[str, ...]] = ("weights",)

    def __init__(
        self,
        data: Path,
        weights: Weights,
        *,
        cells: CardName = "hpa-segmentation-cells",
        nuclei: CardName = "hpa-segmentation-nuclei",
        min_nucleus: Annotated[float, Range(ge=0)] = 16.0,
        min_cell: Annotated[float, Range(ge=0)] = 35.2,
    ) -> None:
        self.weights = weights
        self.cells = cells
        self.nuclei = nuclei
        self.min_nucleus = min_nucleus
        self.min_cell = min_cell

    def stamp(self, field_id: str) -> str:
        """Nothing is read for a field; the files of the cards belong to the run."""
        return ""

    def segment(self, field: Field) -> np.ndarray:
        """Label image (H, W) int32, 0 background.

        FieldError when a network fails on this field, CheckpointError when a card has no such
        network.
        """
        pixel_size = field.pixel_size or min(2048 * 0.08 / max(field.shape), _COARSEST)
        if pixel_size > _COARSEST:
            raise FieldError(
                f"{field.id}: {pixel_size:g} µm per pixel are too coarse for 'hpa-segmentation', "
                f"whose networks know cells at {WORKING} µm and can be used up to {_COARSEST} µm; "
                "correct the pixel size if it is wrong, or give masks with 'label-images'"
            )
        size = [max(round(length * pixel_size / WORKING), 1) for length in field.shape]
        image = at_size(field.pixels[list(ORDER)], size)
        nuclei = self._maps(self.nuclei, image[..., [2, 2, 2]], field)
        if not has_nuclei(nuclei):
            return np.zeros(field.shape, np.int32)
        cells = self._maps(self.cells, image, field)
        # µm² of a working pixel: of the field's area, because sides are rounded to whole pixels.
        area = pixel_size**2 * (field.shape[0] * field.shape[1]) / (size[0] * size[1])
        seeds = nuclei_of(nuclei, cells, self.min_nucleus / area)
        small = cells_of_nuclei(seeds, cells, self.min_cell / area)
        return in_reading_order(_to_field(small, field.shape))

    def _maps(self, card: str, image: np.ndarray, field: Field) -> np.ndarray:
        """Answer of a card's network to (h, w, 3) float32 0..1: (3, h, w) uint8 of 255."""
        import torch

        program = self.weights.program(card)
        height, width = image.shape[:2]
        shown = torch.from_numpy(network_input(image))
        try:
            with torch.inference_mode():
                answer = program(shown.to(self.weights.device))
                check_shape(answer, shown, card)
                values = answer[0].float().cpu().numpy()
        except HpazooError:
            raise
        except Exception as error:
            cause = str(error).strip().splitlines() or [type(error).__name__]
            raise FieldError(
                f"{field.id}: the network of card '{card}' fails on its image of {height} x "
                f"{width} px at {WORKING} µm: {cause[-1][:300]}"
            ) from error
        if not np.isfinite(values).all():
            raise FieldError(
                f"{field.id}: the network of card '{card}' answers with values that are not "
                "finite numbers; verify the file of this card, and try '--device cpu'"
            )
        found = probabilities(values)[:, STRIDE : STRIDE + height, STRIDE : STRIDE + width]
        # 8 bit as in the original: plateaus are flat, where noise would draw the borders.
        return (found * 255 + 0.5).astype(np.uint8)


def _to_field(small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image at working size -> the field's; only enlarging smooths outlines."""
    if small.shape[0] <= shape[0] and small.shape[1] <= shape[1]:
        return upsample_labels(small, shape)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for old, new in zip(small.shape, shape, strict=True)
    )
    return np.asarray(small[rows[:, None], columns])
