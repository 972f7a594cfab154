"""Augmentations change training images without changing their labels."""

from __future__ import annotations

from hpazoo.registry import Registry

augmentations = Registry("augmentations")
