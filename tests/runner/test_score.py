"""Scores at the end of a run: where the reader knows the truth, and where it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import hpazoo
from hpazoo.readers.synthetic import Synthetic

SPEC = """\
hpazoo: 1
name: drawn
classes: hpa-2021
images: {type: synthetic, fields: 5, size: 128, seed: 3}
masks: provided
models:
  a: {backbone: small-resnet, head: avg-max, input: {size: 64, normalize: hpa-2018}}
members:
  - {model: a, strategy: gap-mask}
metrics: [hpa-map, cell-map, image-map]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_drawn_cells_are_scored(tmp_path: Path, spec: Path) -> None:
    """And as from a table of the same truth, given by hand."""
    done = hpazoo.run(spec, out=tmp_path / "run", random_weights=True)
    (found,) = done.evaluations
    assert [score.name for score in found.scores] == ["hpa-map", "cell-map", "image-map"]
    assert found.stamp == "random weights"
    assert json.loads((tmp_path / "run/evaluation/own-images/metrics.json").read_text())
    reader = Synthetic(tmp_path, fields=5, size=128, seed=3)
    rows = [
        (name, cell, "|".join(locations))
        for name in reader.ids()
        for cell, locations in reader.read(name).truth.items()
    ]
    truth = tmp_path / "truth.csv"
    pd.DataFrame(rows, columns=["field", "cell", "locations"]).to_csv(truth, index=False)
    given = hpazoo.evaluate(tmp_path / "run", truth, metrics=["hpa-map", "cell-map"])
    for mine, theirs in zip(found.scores, given.scores, strict=False):
        assert mine.value == pytest.approx(theirs.value)


def test_until_outputs_scores_nothing(tmp_path: Path, spec: Path) -> None:
    done = hpazoo.run(spec, out=tmp_path / "run", random_weights=True, until="outputs")
    assert not done.evaluations
    assert not (tmp_path / "run" / "evaluation").exists()


def test_without_truth_the_run_says_how_to_score(tmp_path: Path, spec: Path, shared: Path) -> None:
    done = hpazoo.run(
        spec,
        out=tmp_path / "run",
        images=shared / "data" / "fields",
        settings=["masks=whole-field"],
        random_weights=True,
    )
    assert not done.evaluations
    (remark,) = [one for one in done.remarks if "nothing was scored" in one]
    assert "hpazoo evaluate" in remark
