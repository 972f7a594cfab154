"""Views show a network the same picture several ways (test-time augmentation)."""

from __future__ import annotations

from hpazoo.registry import Registry

views = Registry("views")
