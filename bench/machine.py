"""What was measured on."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

from hpazoo.runner.options import cores

LIBRARIES = (
    ("torch", "torch"),
    ("torchvision", "torchvision"),
    ("numpy", "numpy"),
    ("OpenCV", "opencv-python-headless"),
    ("PIL", "pillow"),
    ("pycocotools", "pycocotools"),
    ("scikit-image", "scikit-image"),
)


def machine() -> str:
    """Processor, cores this process may use, Python and libraries, in one line."""
    versions = [f"{name} {importlib.metadata.version(package)}" for name, package in LIBRARIES]
    count = cores()
    said = f"{_processor()}, {count} core{'s' if count > 1 else ''}"
    return "; ".join([said, f"Python {platform.python_version()}", ", ".join(versions)])


def _processor() -> str:
    """Name of the processor, with the widest of the instruction sets that shape such times."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    facts = {}
    for line in text.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    name = facts.get("model name") or platform.machine()
    flags = facts.get("flags", "").split()
    wide = next((flag for flag in ("avx512f", "avx2") if flag in flags), "")
    return f"{name} ({wide})" if wide else name
