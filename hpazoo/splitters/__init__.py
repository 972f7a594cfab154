"""Splitters divide images into folds for validation."""

from __future__ import annotations

from hpazoo.registry import Registry

splitters = Registry("splitters")
