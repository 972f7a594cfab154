"""What folds promised, and which fields are drawn together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import hpazoo
from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.labels import LabelTable
from hpazoo.readers.synthetic import Synthetic
from hpazoo.spec.study import Study
from hpazoo.studies.groups import labels_of, weights_of
from hpazoo.training.job import judged_left_out, read_left_out, write_left_out

CLASSES = class_list("hpa-2021")
SPEC = """\
hpazoo: 1
name: told
classes: hpa-2021
images: {type: synthetic, fields: 24, size: 128, seed: 6, antibody_repeats: 2}
masks: provided
models:
  net:
    backbone: small-resnet
    head: attention
    input: {size: 48, normalize: hpa-2018}
    train: {epochs: 1, batch_size: 8, augment: [d4]}
members: [{model: net, strategy: whole-image}]
metrics: [cell-map]
training:
  images: [{type: synthetic, fields: 192, size: 128, seed: 5, antibody_repeats: 2}]
  splitter: {type: groups, column: antibody, folds: 2}
study:
  repeats: 1
  group: antibody
  rounds: 100
  variants:
    seen: ["images={type: synthetic, fields: 24, size: 128, seed: 5, antibody_repeats: 2}"]
  comparisons: [{claim: folds promise too much, optimism: as-written, against: 0}]
"""


def study(group: str | None) -> Study:
    return Study(1, group, 50, {}, {}, {}, None, ())


def table(groups: list[str]) -> LabelTable:
    names = tuple(f"f{number}" for number in range(len(groups)))
    labels = np.zeros((len(groups), len(CLASSES)), bool)
    return LabelTable(CLASSES, names, labels, {"well": tuple(groups)})


def test_fields_of_a_group_are_drawn_together() -> None:
    reader = Synthetic(Path(), fields=96, size=128, antibody_repeats=2)
    labels = labels_of(reader, CLASSES)
    assert labels is not None
    names = list(labels.ids)
    weights = weights_of(names, labels, study("antibody"))
    assert weights.shape == (50, 96)
    groups = labels.columns["antibody"]
    for group in set(groups):
        rows = [row for row, one in enumerate(groups) if one == group]
        assert len(rows) == 4
        assert (weights[:, rows] == weights[:, rows[:1]]).all()
    assert not np.array_equal(weights, weights_of(names, labels, study(None)))
    # those of other fields are other ones, those of the same fields the same
    assert np.array_equal(weights, weights_of(names, labels, study("antibody")))


def test_a_field_without_its_group_is_not_one_of_its_own() -> None:
    found = table(["a", "", "b"])
    with pytest.raises(HpazooError, match=r"1 of 3 fields have no such label: f1"):
        weights_of(["f0", "f1", "f2"], found, study("well"))
    with pytest.raises(HpazooError, match=r"1 of 2 fields have no such label: gone"):
        weights_of(["f0", "gone"], found, study("well"))
    with pytest.raises(HpazooError, match=r"'plate', which is no column .* their columns: well"):
        weights_of(["f0"], found, study("plate"))


def test_answers_of_a_fold_meet_their_labels(tmp_path: Path) -> None:
    found = table(["a", "a", "b"])
    found.labels[1, 3] = found.labels[2, 5] = True
    said = np.random.default_rng(0).random((2, len(CLASSES))).astype(np.float32)
    write_left_out(tmp_path / "left-out.parquet", ["f2", "f1"], said, "key")
    judged = judged_left_out([tmp_path / "left-out.parquet"], found)
    assert [one.field for one in judged] == ["f2", "f1"]
    assert np.array_equal(np.concatenate([one.scores for one in judged]), said)
    assert judged[0].labels is not None and judged[0].labels.nonzero()[0].tolist() == [5]


@pytest.mark.slow
def test_both_sides_are_answers_of_one_network(tmp_path: Path) -> None:
    """Recomputed from what the run left; and images that were learned from are not new."""
    path = tmp_path / "told.yaml"
    path.write_text(SPEC, encoding="utf-8")
    done = hpazoo.study(path, out=tmp_path / "study")
    (run,) = done.runs["as-written"]
    assert run.promise is not None and run.seen == ()
    told = (("seed", 5, 192), ("fresh", 6, 24))
    values = []
    for _, seed, count in told:
        reader = Synthetic(Path(), fields=count, size=128, seed=seed, antibody_repeats=2)
        labels = reader.labels(CLASSES)
        truth = dict(zip(labels.ids, labels.labels, strict=True))
        if seed == 5:
            ids, said = read_left_out(run.folder / "models" / "net" / "fold-0" / "left-out.parquet")
            assert 88 <= len(ids) <= 104
        else:
            answers = (
                hpazoo.run(path, out=tmp_path / "run", reuse=run.folder, settings=["metrics=[]"])
                .predictions.groupby("field")[list(CLASSES.names)]
                .max()
            )
            ids, said = list(answers.index), answers.to_numpy()
        true = np.stack([truth[name] for name in ids])
        shown = true.any(axis=0)
        values.append(average_precision_score(true[:, shown], said[:, shown], average="macro"))
    assert run.promise.promised.value == pytest.approx(values[0], abs=1e-6)
    assert run.promise.fresh.value == pytest.approx(values[1], abs=1e-6)
    (seen,) = done.runs["seen"]
    assert "seen by the starting weights: " in seen.seen[0]
    page = (done.folder / "study.md").read_text(encoding="utf-8")
    assert "The weights were trained on some of these fields" in page
    with pytest.raises(HpazooError, match="192 of the run's images are among those to learn from"):
        hpazoo.study(path, out=tmp_path / "other", settings=["images.seed=5", "images.fields=192"])
