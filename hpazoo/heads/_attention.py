"""What attention heads share: the two convolutions, and sums over the entries of regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpazoo.regions import Support


class AttentionPooling(nn.Module):
    """Two 1 x 1 convolutions: logits of each position, and how much each position counts."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.logit = nn.Conv2d(features, classes, 1)
        self.attention = nn.Conv2d(features, classes, 1)

    def maps(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and attention of each position, (B, classes, h, w), without their biases.

        Without, because a region scales what the features give, but not the biases. In single
        precision at least: a softmax over 900 positions is not for halves.
        """
        # One pass over the features for both.
        weight = torch.cat([self.logit.weight, self.attention.weight])
        wide = torch.promote_types(features.dtype, torch.float32)
        # Torch leaves a dilated convolution to oneDNN, which on a processor is twice as fast where
        # channels lie last; of a kernel of one pixel there is nothing to dilate.
        last = features.is_contiguous(memory_format=torch.channels_last)
        dilation = 2 if last and features.device.type == "cpu" else 1
        with torch.autocast(features.device.type, enabled=False):
            both = functional.conv2d(features.to(wide), weight.to(wide), dilation=dilation)
        logit, attention = both.chunk(2, 1)
        return logit, attention

    def biases(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Biases (classes,) of logits and attention."""
        logit, attention = self.logit.bias, self.attention.bias
        assert logit is not None and attention is not None
        return logit.to(dtype), attention.to(dtype)

    def whole(self, logit: Tensor, attention: Tensor) -> Tensor:
        """Maps -> logits (B, classes) of whole images."""
        bias, attention_bias = self.biases(logit.dtype)
        share = (attention.flatten(2) + attention_bias[:, None]).softmax(2)
        return (share * logit.flatten(2)).sum(2) + bias


def rows(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) -> a row per position, (B * h * w, C)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def bins(size: int, parts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Which of `size` positions adaptive average pooling to `parts` puts into each part.

    Returns positions (parts, k) int64 and their shares (parts, k), as `like`, that add up to 1; a
    part of fewer than k positions is filled up with a share of 0.
    """
    start = torch.arange(parts, device=like.device) * size // parts
    end = -(-(torch.arange(1, parts + 1, device=like.device) * size) // parts)
    most = max(-(-(i + 1) * size // parts) - i * size // parts for i in range(parts))
    position = start[:, None] + torch.arange(most, device=like.device)
    share = (position < end[:, None]).to(like.dtype) / (end - start)[:, None]
    return position.clamp(max=size - 1), share


def largest(values: Tensor, part: Support, floor: Tensor) -> Tensor:
    """Largest of each region's entries (E, C), at least `floor`, without a gradient: (N, C)."""
    with torch.no_grad():
        start = floor.expand(len(part.counts), values.shape[1])
        return start.scatter_reduce(0, part.region[:, None].expand_as(values), values, "amax")


def total(values: Tensor, part: Support) -> Tensor:
    """Sum of each region's entries: (E, C) -> (N, C). In a fixed order, also on a GPU."""
    counts = torch.tensor(part.counts, device=values.device)
    return torch.segment_reduce(values, "sum", lengths=counts, axis=0, unsafe=True)
