"""torch.compile, for GPUs."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from hpazoo.accelerators import accelerators
from hpazoo.accelerators._accelerated import Accelerated, Recent
from hpazoo.backbones import Backbone
from hpazoo.errors import HpazooError, UsageError

Run = Callable[[Tensor], Tensor]

SIZES = 16
"""Sizes of batches that one network is kept compiled for."""

_WANTED = {"triton.cudagraphs": True, "deterministic": True}
"""torch's mode `reduce-overhead`, which replays a whole network as one CUDA graph; and no kernels
that are chosen by a stopwatch, as another might be chosen the next time. For that reason none of
the modes that tune."""


@accelerators.register
class Compile:
    """Compile networks with torch for a GPU of NVIDIA or AMD.

    For batches of a few images, where a GPU waits for the program that starts its kernels. The
    first batch of each size waits for the compiler, half a minute to some minutes. So that sizes
    are few, batches are filled up to 1, 2, 3, 4, 6, 8, 12, 16, ... images; compiled networks are
    kept for the 16 sizes used last. Networks that torch cannot compile as a whole are refused.
    On a CPU compiling takes as long and gains nothing over the way networks run there anyway.
    """

    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    packages: ClassVar[tuple[str, ...]] = ()  # torch asks for one version of Triton

    def accelerate(self, backbone: Backbone, device: str) -> Backbone:
        """The backbone, compiled for this GPU; UsageError for another device."""
        kind = torch.device(device).type
        if kind == "cpu":
            raise UsageError(
                "the accelerator 'compile' is for GPUs: on the CPU torch compiles for minutes and "
                "gains nothing; take 'openvino.cpu' of the package hpazoo-openvino, or run without "
                "an accelerator"
            )
        if kind not in self.devices:
            raise UsageError(
                f"the accelerator 'compile' works on the device 'cuda', not on '{device}'; run "
                "without an accelerator there"
            )
        return Compiled(backbone, device, options=available(_WANTED))


class Compiled(Accelerated):
    """A backbone that torch compiles, once for each size of batch.

    Parameters
    ----------
    backbone, device
        As `Accelerated` has them.
    backend
        What compiles, as `torch.compile` has it.
    options
        Of the backend.
    """

    by: ClassVar[str] = "torch.compile"

    def __init__(
        self,
        backbone: Backbone,
        device: str,
        *,
        backend: str | Callable[..., Any] = "inductor",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, device)
        self.backend = backend
        self.options = dict(options or {}) or None
        self.programs: Recent[Run] = Recent(SIZES)
        # convolutions on a GPU, and those that inductor makes, want the channels last
        self.to(memory_format=torch.channels_last)

    def evaluate(self, images: Tensor) -> Tensor:
        """The feature map; HpazooError if torch cannot compile the network."""
        batch = len(images)
        more = filled(batch) - batch
        if more:
            images = torch.cat([images, images[-1:].expand(more, -1, -1, -1)])
        images = images.contiguous(memory_format=torch.channels_last)
        run = self.programs.get(tuple(images.shape), self._compile)
        try:
            # What a CUDA graph returns lies in memory of its own, which its next run overwrites.
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            return run(images)[:batch].clone()
        except (HpazooError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            self.programs.clear()
            name = type(self._backbone).__name__
            raise HpazooError(
                f"torch cannot compile the network {name} for images of shape "
                f"{tuple(images.shape)} on {images.device}: {_cause(error)}\n"
                "  run it without an accelerator"
            ) from error

    def _compile(self) -> Run:
        run: Run = torch.compile(
            _alone(self._backbone),
            fullgraph=True,
            dynamic=False,
            backend=self.backend,
            options=self.options,
        )
        return run


def filled(batch: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ...: powers of two, and half as much again."""
    power = 1 << (batch - 1).bit_length()
    between = power * 3 // 4
    return between if power >= 4 and between >= batch else power


def available(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that the installed torch has."""
    import torch._inductor as inductor  # a second that only networks on GPUs need

    known = inductor.list_options()
    return {name: value for name, value in options.items() if name in known}


def _alone(backbone: Backbone) -> Run:
    """The backbone as a function with code of its own.

    torch keeps what it compiled with the code, at most eight programs for all networks of a class,
    and goes on uncompiled behind them; and it frees them with the code.
    """

    def run(images: Tensor) -> Tensor:
        return backbone(images)

    return types.FunctionType(
        run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__
    )


def _cause(error: Exception) -> str:
    """Two lines: the first of a compiler's failure only says which compiler."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:300]}" if lines else type(error).__name__
