"""Other blends of what the members of a run said, and each member alone beside the blend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpazoo
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.evaluation.blends import OWN_BLEND, judged_blends
from hpazoo.evaluation.reader_truth import ReaderCells
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.finished import Run
from hpazoo.runner.options import Options
from hpazoo.runner.run import run
from hpazoo.spec import Spec
from hpazoo.spec.study import blend_spec

SPEC = """\
hpazoo: 1
name: blended
classes: hpa-2021
images: {type: synthetic, fields: 5, size: 128, seed: 3}
masks: provided
models:
  small: {checkpoint: drawn-small-resnet}
members:
  - {model: small, strategy: gap-mask, name: masked}
  - {model: small, strategy: {type: gridify, crop: 160}, name: tiled, weight: 2}
  - {model: small, strategy: whole-image, name: whole}
postprocess:
  - {type: blend-image, member: whole, weight: 0.5}
metrics: [cell-map, image-map]
"""
CLASSES = class_list("hpa-2021")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = tmp_path_factory.mktemp("blends") / "blended.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return hpazoo.load(path)


@pytest.fixture(scope="module")
def done(spec: Spec) -> Run:
    others = {
        "plain": blend_spec(spec, ["masked", "tiled"], []),
        "negative": blend_spec(spec, ["masked", "whole"], [{"type": "suppress-negative"}]),
    }
    wanted = {name: one for name, one in others.items() if one is not None}
    return run(spec, spec.path.parent / "run", Options(workers=0), others=wanted)


def alone(spec: Spec, settings: list[str]) -> np.ndarray:
    """What a run of its own says with other settings, (cells, classes)."""
    changed = hpazoo.load(spec.path, settings=[*settings, "metrics=[]"])
    folder = spec.path.parent / f"alone-{len(settings)}"
    table = run(changed, folder, Options(workers=0)).predictions
    return table[list(CLASSES.names)].to_numpy()


def test_they_are_what_a_run_of_their_own_would_say(spec: Spec, done: Run) -> None:
    assert done.blends is not None
    assert done.blends.names == ("plain", "negative")
    said = np.concatenate([values for _, values in done.blends.fields.values()], axis=1)
    assert np.array_equal(
        said[0],
        alone(
            spec,
            [
                "members=[{model: small, strategy: gap-mask}, "
                "{model: small, strategy: {type: gridify, crop: 160}, weight: 2}]",
                "postprocess=[]",
            ],
        ),
    )
    assert np.array_equal(
        said[1],
        alone(
            spec,
            [
                "members=[{model: small, strategy: gap-mask}, "
                "{model: small, strategy: whole-image}]",
                "postprocess=[suppress-negative]",
                "outputs=[table]",
            ],
        ),
    )


def test_all_are_judged_on_the_same_cells(done: Run) -> None:
    assert done.blends is not None
    reader = Synthetic(Path(), fields=5, size=128, seed=3)
    truth = ReaderCells(reader, {"type": "synthetic"}, CLASSES, tuple(reader.ids()))
    found = judged_blends(done.folder, done.blends, truth)
    assert list(found) == [OWN_BLEND, "plain", "negative"]
    table = done.predictions
    for place, fields in enumerate(zip(*found.values(), strict=True)):
        own, plain, negative = fields
        assert own.field == plain.field == negative.field == reader.ids()[place]
        assert own.truth is plain.truth and own.iou is negative.iou
        rows = table[table["field"] == own.field]
        known = reader.read(own.field).truth
        rows = rows[rows["cell"].isin(known)]
        assert np.allclose(own.scores, rows[list(CLASSES.names)].to_numpy(), atol=0)
        assert not np.array_equal(own.scores, plain.scores)


def test_members_stand_beside_the_blend(spec: Spec, done: Run) -> None:
    (own,) = done.evaluations
    assert [(one.member, one.metric) for one in own.beside] == [
        (member, metric)
        for metric in ("cell-map", "image-map")
        for member in ("masked", "tiled", "whole")
    ]
    for one in own.beside:
        (score,) = (score for score in own.scores if score.name == one.metric)
        assert one.gain == pytest.approx(score.value - one.value)
        assert one.low <= one.gain <= one.high
    assert own.folder is not None
    rows = pd.read_csv(own.folder / "members.csv")
    assert list(rows["member"]) == [one.member for one in own.beside]
    told = json.loads((own.folder / "metrics.json").read_text(encoding="utf-8"))
    assert [one["value"] for one in told["members_alone"]] == [one.value for one in own.beside]
    # by chance: as often right as the class is true
    truth = [
        set(t)
        for i in Synthetic(Path(), fields=5, size=128, seed=3).ids()
        for t in Synthetic(Path(), fields=5, size=128, seed=3).read(i).truth.values()
    ]
    shares = [np.mean([name in cell for cell in truth]) for name in CLASSES.names]
    assert own.scores[0].chance == pytest.approx(np.mean([share for share in shares if share]))
    assert told["metrics"][0]["chance"] == own.scores[0].chance


def test_what_cannot_be_blended_again(spec: Spec, tmp_path: Path) -> None:
    members = "members=[{model: small, strategy: gap-mask, name: masked}]"
    tuned = hpazoo.load(spec.path, settings=[members, "ensemble=tuned", "postprocess=[]"])
    with pytest.raises(
        UsageError, match="'tuned' learns its weights, and would do so on the cells"
    ):
        run(spec, tmp_path / "run", Options(workers=0), others={"tuned": tuned})
    bare = hpazoo.load(spec.path, settings=["outputs=[kaggle-submission]", "metrics=[]"])
    submitted = run(bare, tmp_path / "bare", Options(workers=0), others={"same": bare})
    assert submitted.blends is not None
    reader = Synthetic(Path(), fields=5, size=128, seed=3)
    truth = ReaderCells(reader, {"type": "synthetic"}, CLASSES, tuple(reader.ids()))
    with pytest.raises(HpazooError, match="put 'table' among the 'outputs'"):
        judged_blends(submitted.folder, submitted.blends, truth)
