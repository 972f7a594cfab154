"""OpenVINO, kept from reporting to its maker."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

from hpazoo.errors import ComponentError

_REPORTS = "openvino_telemetry"


@functools.cache
def openvino() -> Any:
    """The library; ComponentError if it cannot be imported.

    Left alone, it sends an event to its maker's statistics when it is imported, and more when a
    network is converted, unless the user has declined beforehand. Where it does not find its
    package for that, it does without, also later on in the process. Not so where another part of
    the program has imported it before: then that part has decided.
    """
    missing = object()
    before: Any = sys.modules.get(_REPORTS, missing)
    if "openvino" not in sys.modules:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except Exception as error:
        raise ComponentError(
            f"OpenVINO cannot be imported: {type(error).__name__}: {error}; "
            "install it anew with 'pip install --force-reinstall openvino'"
        ) from error
    finally:
        if before is missing:
            sys.modules.pop(_REPORTS, None)
        else:
            sys.modules[_REPORTS] = before


@functools.cache
def core() -> Any:
    """OpenVINO's runtime, one a process."""
    return openvino().Core()
