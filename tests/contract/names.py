"""Names of the components whose contracts are tested here."""

from __future__ import annotations

from hpazoo.registry import Registry


def built_in(registry: Registry) -> list[str]:
    """hpazoo's own; a plugin that happens to be installed has tests of its own."""
    found = registry.components().items()
    return [name for name, component in found if component.provider == "hpazoo"]
