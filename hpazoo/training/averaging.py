"""A running average of the weights, which is validated and kept instead of the last ones."""

from __future__ import annotations

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class Averaging(WeightAveraging):
    """Exponential moving average whose memory grows with the training.

    After n steps the decay is min(decay, (1 + n) / (10 + n)), so that a short training is not held
    back by the weights it began from (as in TensorFlow's ExponentialMovingAverage). Running
    statistics of norms are averaged too.
    """

    def __init__(self, decay: float) -> None:
        def blend(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
            steps = int(count)
            now = min(decay, (1 + steps) / (10 + steps))
            with torch.no_grad():
                for kept, new in zip(averaged, current, strict=True):
                    if kept.is_floating_point():
                        kept.lerp_(new, 1 - now)
                    else:
                        kept.copy_(new)

        super().__init__(multi_avg_fn=blend, use_buffers=True)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After each step of the optimizer."""
        return step_idx is not None
