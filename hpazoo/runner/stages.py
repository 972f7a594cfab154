"""The stages of a run, in their order; each does what it needs of those before it."""

from __future__ import annotations

from typing import Literal, get_args

from hpazoo.errors import UsageError

Stage = Literal["segment", "split", "train", "predict", "outputs", "evaluate"]
STAGES: tuple[Stage, ...] = get_args(Stage)
LAST: Stage = STAGES[-1]


def check_stage(stage: str) -> Stage:
    for known in STAGES:
        if stage == known:
            return known
    raise UsageError(f"unknown stage '{stage}'; the stages are {', '.join(STAGES)}")
