"""A linear layer that is fast on a processor too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Linear):
    """`nn.Linear` whose predictions in single precision on a processor are made by oneDNN.

    Torch takes MKL there, which on an AMD EPYC with AVX-512 is slower by a factor of 1.7 to 2.1
    (2048 x 1024, 10 to 150 rows). Equal to rounding. In training, under autocast, when compiled or
    traced, and where torch was built without oneDNN, it is torch's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if _by_onednn(input) and self.weight.dtype == torch.float32:
            return _predicted(input, self.weight, self.bias)
        return functional.linear(input, self.weight, self.bias)


def _predicted(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")
    return made


def _by_onednn(values: Tensor) -> bool:
    return (
        _HAS_ONEDNN
        and values.device.type == "cpu"
        and values.dtype == torch.float32
        and values.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


# What torch's own compiler calls; its name is no promise, hence the question.
_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)
