"""`--profile`, `--cache`, and what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import hpazoo
from hpazoo.errors import ComponentError
from tests.runner.conftest import outputs_of


def test_where_the_time_goes_and_nothing_else_changes(spec_file: Path, tmp_path: Path) -> None:
    hpazoo.run(spec_file, out=tmp_path / "plain", workers=0, random_weights=True)
    out = tmp_path / "timed"
    hpazoo.run(
        spec_file, out=out, workers=1, random_weights=True, profile=True, cache=tmp_path / "cache"
    )
    assert outputs_of(out) == outputs_of(tmp_path / "plain")
    found = json.loads((out / "profile.json").read_text(encoding="utf-8"))
    stages = found["stages"]
    assert {"pixels", "regions", "network", "head", "waiting", "parts", "outputs"} <= set(stages)
    assert sum(stages.values()) == pytest.approx(found["wall"])
    assert all(spent >= 0 for spent in stages.values())
    assert found["fields"] == 5 and 0 < found["first"] < found["wall"]
    members = {"dense+gap-mask", "dense+gridify"}
    assert set(found["members"]) == members
    network = sum(found["members"][member]["network"] for member in members)
    assert network == pytest.approx(stages["network"])
    assert {"read", "segment", "views of gridify"} <= set(found["workers"])
    lock = yaml.safe_load((out / "run.lock.yaml").read_text(encoding="utf-8"))
    assert not {"cache", "profile"} & lock["lock"]["options"].keys()


def test_an_unknown_accelerator(spec_file: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ComponentError, match="unknown accelerator 'compil'; did you mean 'compile'"
    ):
        hpazoo.run(spec_file, out=tmp_path / "out", random_weights=True, accelerate="compil")
