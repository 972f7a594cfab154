"""A backbone run by OpenVINO."""

from __future__ import annotations

import copy
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hpazoo.accelerators import Accelerated, Recent
from hpazoo.backbones import Backbone
from hpazoo.errors import HpazooError, UsageError
from hpazoo_openvino.library import core, openvino

SIZES = 4
"""Sizes of images, with a number of threads each, that one network is kept compiled for."""

TOLERANCE = 1e-4
"""How far a map may be from torch's, as a share of its largest value: tens of times what rounding
does (1e-6 to 3e-5 over 17 networks), and a tenth of what a layer does that means something else."""

Run = Callable[[np.ndarray], np.ndarray]


class Network(Accelerated):
    """A backbone whose map OpenVINO works out, image by image.

    Compiled at the first image of a size, and anew when weights were loaded meanwhile, with as many
    threads as torch has at that time.
    """

    by: ClassVar[str] = "OpenVINO"

    def __init__(self, backbone: Backbone, device: str) -> None:
        super().__init__(backbone, device)
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise UsageError(
                    f"OpenVINO runs in single precision here, and '{name}' is {tensor.dtype}; "
                    "call float() on the model first"
                )
        self.programs = Programs()

    def evaluate(self, images: Tensor) -> Tensor:
        """The feature map; HpazooError for a network that OpenVINO cannot run as torch does."""
        if images.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            asked = torch.get_autocast_dtype("cpu") if images.dtype == torch.float32 else None
            raise UsageError(
                f"OpenVINO runs in single precision here, not in {asked or images.dtype}; "
                "use --precision 32"
            )
        if not math.isfinite(float(images.sum())):
            raise UsageError(
                "images hold values that are not finite numbers, which OpenVINO lets vanish where "
                "torch keeps them; normalise them to finite values"
            )
        pixels = images.detach().permute(0, 2, 3, 1).contiguous().numpy()
        channels, height, width = images.shape[1:]
        with self.programs.lock:
            threads = torch.get_num_threads()
            run = self.programs.get(self._backbone, (channels, height, width), threads)
            maps = [torch.from_numpy(run(pixels[i : i + 1]).copy()) for i in range(len(pixels))]
        return (maps[0] if len(maps) == 1 else torch.cat(maps)).permute(0, 3, 1, 2)


class Programs:
    """A network's compiled forms. Copies and pickles of it are empty."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.made: Recent[Run] = Recent(SIZES)
        self._weights: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return Programs, ()

    def get(self, backbone: Backbone, shape: tuple[int, ...], threads: int) -> Run:
        """The program for images of this shape (C, H, W), compiled now if need be."""
        weights = _state(backbone)
        if weights != self._weights:
            self.made.clear()
            self._weights = weights
        return self.made.get((shape, threads), lambda: compiled(backbone, shape, threads))


def compiled(backbone: Backbone, shape: tuple[int, ...], threads: int) -> Run:
    """Compile a network for images of one shape (C, H, W).

    The function takes an image (1, H, W, C) and gives its map (1, h, w, F), until its next call.
    HpazooError if it does not convert, or gives another map than torch does.
    """
    # Not the image at hand: what is compiled, and whether, is not to hang on what comes first.
    pixels = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    where = f"the network {type(backbone).__name__} for images of {shape[1]} x {shape[2]} pixels"
    with torch.inference_mode(False), torch.no_grad():
        example = torch.from_numpy(pixels)
        if any(tensor.is_inference() for tensor in _tensors(backbone)):
            backbone = copy.deepcopy(backbone)  # torch's exporter takes no others
        expected = backbone(example).permute(0, 2, 3, 1).numpy()
        try:
            run = _program(backbone, example, threads)
            found = run(pixels.transpose(0, 2, 3, 1).copy())
        except Exception as error:  # whatever torch's exporter or OpenVINO raise
            raise HpazooError(
                f"OpenVINO cannot run {where}: {_cause(error)}\n  run it without an accelerator"
            ) from error
    _compare(found, expected, where)
    return run


def _program(backbone: Backbone, example: Tensor, threads: int) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not by tracing, which is deprecated, and with which OpenVINO takes layers it does not
        # know for others that are nearly the same: the positions of a ViT were off by 2e-3.
        exported = torch.export.export(backbone, (example,), strict=False)  # type: ignore[arg-type]
        graph = openvino().convert_model(exported, input=[list(example.shape)])
    program = core().compile_model(
        _channels_last(graph),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # by default it takes bfloat16 where the processor has it
            "INFERENCE_PRECISION_HINT": "f32",
            # pinned threads of two processes share cores while others are idle
            "ENABLE_CPU_PINNING": False,
        },
    )

    def run(image: np.ndarray) -> np.ndarray:
        answer: np.ndarray = program([image], share_inputs=True, share_outputs=True)[0]
        return answer

    return run


def _channels_last(graph: Any) -> Any:
    """The graph, taking and giving (1, H, W, C): as torch has its tensors here, so not to turn them
    twice.
    """
    changed = openvino().preprocess.PrePostProcessor(graph)
    for end in (changed.input(), changed.output()):
        end.model().set_layout(openvino().Layout("NCHW"))
        end.tensor().set_layout(openvino().Layout("NHWC"))
    return changed.build()


def _compare(found: np.ndarray, expected: np.ndarray, where: str) -> None:
    if found.shape != expected.shape:
        raise HpazooError(
            f"OpenVINO runs {where} otherwise than torch: its map (1, h, w, F) is {found.shape}, "
            f"torch's {expected.shape}; run it without an accelerator"
        )
    if not np.isfinite(expected).all():
        # which OpenVINO may hide: its maximum of 0 and no number is 0
        raise HpazooError(
            f"{where} gives values that are not finite numbers; its weights are damaged, or the "
            "wrong ones: try a whole run without an accelerator"
        )
    largest, off = float(np.abs(expected).max()), float(np.abs(found - expected).max())
    if not off <= TOLERANCE * largest:
        raise HpazooError(
            f"OpenVINO runs {where} otherwise than torch: its map is off by up to {off:.2g}, "
            f"with values up to {largest:.2g}; run it without an accelerator"
        )


def _state(backbone: Backbone) -> tuple[Any, ...]:
    """What changes when weights are loaded: where each tensor lies, and how often it changed."""
    return tuple(
        (tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version)
        for tensor in _tensors(backbone)
    )


def _tensors(backbone: Backbone) -> Iterator[Tensor]:
    assert isinstance(backbone, torch.nn.Module)
    yield from backbone.parameters()
    yield from backbone.buffers()


def _cause(error: Exception) -> str:
    """The last line says it, both of torch's errors and of OpenVINO's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300]}" if lines else type(error).__name__
