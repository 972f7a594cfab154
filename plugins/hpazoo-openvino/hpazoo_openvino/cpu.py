"""The accelerator `openvino.cpu`."""

from __future__ import annotations

from typing import ClassVar

import torch

from hpazoo.backbones import Backbone
from hpazoo.errors import UsageError
from hpazoo_openvino.library import core
from hpazoo_openvino.network import Network


class Cpu:
    """Compile networks with OpenVINO for the CPU, in single precision.

    The map is that of torch to rounding: for every size of image the compiled network is compared
    with torch's before it is used, and one that differs, or does not convert, is refused. Compiling
    takes seconds, for each network and size; the 4 sizes used last are kept, each with the memory
    of its own layers. Images of a batch go through one by one, which is fastest on a CPU, and makes
    results independent of the batch.
    """

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    packages: ClassVar[tuple[str, ...]] = ("openvino",)

    def __init__(self) -> None:
        core()

    def accelerate(self, backbone: Backbone, device: str) -> Backbone:
        """The backbone, run by OpenVINO; UsageError for another device than the CPU."""
        if torch.device(device).type not in self.devices:
            raise UsageError(
                f"the accelerator 'openvino.cpu' works on the device 'cpu', not on '{device}'; run "
                "with --device cpu, or without it"
            )
        return Network(backbone, device)
