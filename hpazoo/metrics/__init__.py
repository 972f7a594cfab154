"""Metrics score predictions where the truth is known."""

from __future__ import annotations

from hpazoo.registry import Registry

metrics = Registry("metrics")
