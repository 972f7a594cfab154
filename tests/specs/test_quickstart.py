"""What the quickstart promises, and the network that it made and that comes with hpazoo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import hpazoo
from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.checkpoints.lineage import lineages
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.evaluation import Evaluation, Score
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.finished import Run

CARD = "drawn-small-resnet"
FRESH = 21
"""Seed of fields that nothing was chosen by: not these bounds, not the hyperparameters."""


def shipped() -> tuple[Path, dict[str, Any]]:
    """The file that comes with hpazoo, verified, and the card in its header."""
    card = find_card(CARD)
    assert card is not None and card.is_shipped
    (file,) = local_files(card)
    header = read_card(file)
    assert header is not None
    return file, header


def own(run: Run) -> Evaluation:
    return run.evaluations[-1]


def cell_map(run: Run) -> tuple[Score, dict[str, float]]:
    """The score, and that of each member alone."""
    (score,) = (one for one in own(run).scores if one.name == "cell-map")
    alone = {one.member: one.value for one in own(run).beside if one.metric == "cell-map"}
    return score, alone


def check(run: Run, members: int, least: float) -> None:
    """What is promised of single cells, from labels of whole fields."""
    score, alone = cell_map(run)
    assert 0.05 < score.chance < 0.15
    assert score.value > least and score.value > 3 * score.chance
    assert score.value > alone["whole"] + 0.02
    assert score.value > min(alone.values())
    assert len(alone) == members


def test_it_was_made_by_the_quickstart_as_it_is() -> None:
    """Whoever changes the recipe makes the network anew: tests/make_drawn_weights.py."""
    _, header = shipped()
    spec = hpazoo.load("quickstart")
    recipe = spec.models["small"].recipe
    assert recipe is not None
    assert header["training"]["recipe"] == asdict(recipe)
    (images,) = spec.resolved["training"]["images"]
    ids = Synthetic(Path(), fields=images["fields"], seed=images["seed"]).ids()
    seen = lineages(CARD, [shipped()[0]])[0].seen(ids)
    share = spec.resolved["training"]["splitter"]["share"]
    assert len(seen) == header["trained_on"]["images"]
    assert len(ids) * (1 - 2 * share) < len(seen) < len(ids)
    card = find_card(CARD)
    assert card is not None
    assert card.builds["backbone"] == header["builds"]["backbone"]["type"]
    assert "cell-map" in card.note and "by chance" in card.note


@pytest.mark.parametrize("name", ["quickstart", "drawn-cells"])
def test_what_is_shown_was_not_learned_from(name: str) -> None:
    images = hpazoo.load(name).resolved["images"]
    shown = Synthetic(Path(), fields=images["fields"], seed=images["seed"]).ids()
    (found,) = lineages(CARD, [shipped()[0]])
    assert found.seen(shown) == {} and found.untold == ()
    assert found.cards == (CARD,)


def test_both_specs_look_alike() -> None:
    """One is the other without its training."""
    trains, has = (hpazoo.load(name).resolved for name in ("quickstart", "drawn-cells"))
    for part in ("classes", "masks", "members", "ensemble", "postprocess", "metrics"):
        assert trains[part] == has[part], part
    for model in (trains["models"]["small"], has["models"]["small"]):
        assert model["backbone"]["type"] == "small-resnet" and model["input"]["size"] == 192


def test_the_network_that_travels_tells_cells_apart(tmp_path: Path) -> None:
    """On fresh fields, offline; without gridify, which takes half the time."""
    spec = hpazoo.load("drawn-cells").resolved
    fast = [one for one in spec["members"] if one["strategy"]["type"] != "gridify"]
    settings = [f"images.seed={FRESH}", "images.fields=24", "outputs=[table]", "metrics=[cell-map]"]
    settings.append(f"members={json.dumps(fast)}")
    run = hpazoo.run("drawn-cells", settings=settings, out=tmp_path / "run")
    assert run.exit_code == 0 and run.stamp == ""
    check(run, members=3, least=0.40)
    (line,) = own(run).seen
    assert "seen by the starting weights: 0 of 24 fields" in line and CARD in line
    called = run.calls()
    assert len(called) >= 8 and max(called.values()) < 0.5 * run.cells


@pytest.mark.slow
def test_the_quickstart(tmp_path: Path) -> None:
    """Trained from nothing, in minutes."""
    run = hpazoo.run("quickstart", out=tmp_path / "run")
    assert run.exit_code == 0
    check(run, members=4, least=0.30)
    pictures = sorted((run.folder / "pictures").iterdir())
    assert len(pictures) == 4 and all(path.stat().st_size > 100_000 for path in pictures)
