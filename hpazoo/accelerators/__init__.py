"""Accelerators work out the feature maps of a network in a faster way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hpazoo.registry import Registry

if TYPE_CHECKING:
    from hpazoo.accelerators._accelerated import Accelerated, Recent
    from hpazoo.backbones import Backbone

__all__ = ["Accelerated", "Accelerator", "Recent", "accelerators", "packages_of"]

_LATER = ("Accelerated", "Recent")

accelerators = Registry("accelerators")


class Accelerator(Protocol):
    """Built without positional values; ComponentError if what it builds on is not there."""

    devices: ClassVar[tuple[str, ...]]
    """Types of the devices that it works on: `cpu`, `cuda`, `mps`."""

    packages: ClassVar[tuple[str, ...]]
    """Packages it depends on, besides torch, whose versions shape the last bits of a map."""

    def accelerate(self, backbone: Backbone, device: str) -> Backbone:
        """The backbone for images on this device, faster: see `Accelerated`, what to build on.

        It gives the map of `backbone` to rounding (logits agree within 1e-4), for normalised images
        (B, C, H, W) in single precision, and the same bytes each time on one machine with one
        number of threads. What it compiles, it compiles when images of a new size come, and keeps
        for a bounded number of sizes.

        UsageError for another device, a network in training, or a network that has no feature map.
        HpazooError, when the first images come, for a network that cannot be accelerated: what
        comes back is accelerated, never the network as it was.
        """
        ...


def packages_of(name: str | None) -> dict[str, str]:
    """Versions of the packages that an accelerator names; of none without one."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in getattr(accelerators.get(name), "packages", ()) if name else ():
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def __getattr__(name: str) -> Any:
    """Import on use, so that a spec is checked without torch."""
    if name not in _LATER:
        raise AttributeError(f"module 'hpazoo.accelerators' has no attribute '{name}'")
    from hpazoo.accelerators import _accelerated

    return getattr(_accelerated, name)
