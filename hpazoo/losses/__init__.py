"""Losses say how far logits are from labels, for training."""

from __future__ import annotations

from hpazoo.registry import Registry

losses = Registry("losses")
