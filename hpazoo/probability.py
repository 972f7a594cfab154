"""Probabilities and their logits."""

from __future__ import annotations

import numpy as np

LEAST = 1e-7
"""Distance from 0 and 1 below which a probability's logit is no longer told apart: about the step
of float32 below 1."""


def logit(probabilities: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) in float64, of p kept within [1e-7, 1 - 1e-7]."""
    p = np.clip(np.asarray(probabilities, np.float64), LEAST, 1 - LEAST)
    found: np.ndarray = np.log(p) - np.log1p(-p)
    return found


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small))
