"""Per-cell protein locations from ensembles that are written down in one YAML file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpazoo.version import VERSION

__version__ = VERSION

__all__ = [
    "HpazooError",
    "Regions",
    "SpecError",
    "build_model",
    "evaluate",
    "load",
    "register",
    "run",
    "study",
]

if TYPE_CHECKING:
    from hpazoo.api import (
        HpazooError,
        Regions,
        SpecError,
        build_model,
        evaluate,
        load,
        register,
        run,
        study,
    )


def __getattr__(name: str) -> Any:
    """Import on use, so that `import hpazoo` and the command line stay light."""
    if name not in __all__:
        raise AttributeError(f"module 'hpazoo' has no attribute '{name}'")
    from hpazoo import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
