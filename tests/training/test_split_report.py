"""The report of a split: its figures against counting, and its files."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.splitters import Samples, Split
from hpazoo.training.split_files import write_report
from hpazoo.training.split_report import report_on

NEW = class_list("hpa-2021")


def drawn(count=1200, folds=4, spare=0.0, seed=0, ids="{row}"):
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 19)) < np.geomspace(0.6, 0.01, 19)
    labels[:, 18] = False
    fold = np.where(rng.random(count) < spare, -1, rng.integers(0, folds, count))
    names = tuple(ids.format(row=row, well=row // 2, side=row % 2) for row in range(count))
    return Samples(names, labels, NEW), fold


def test_figures_of_folds():
    samples, fold = drawn()
    group = np.arange(1200) // 3
    report = report_on(samples, Split(fold, group, ("as good as it gets",)), "x", notes=["first"])
    said = json.loads(json.dumps(report.as_json()))
    sizes = [int((fold == number).sum()) for number in range(4)]
    assert [entry["validated"] for entry in said["folds"]] == sizes
    assert [entry["trained"] for entry in said["folds"]] == [1200 - size for size in sizes]
    assert said["size_deviation"] == pytest.approx(max(abs(s / 300 - 1) for s in sizes), abs=1e-6)
    assert said["groups"] == {"count": 400, "largest": 3, "largest_share": 0.0025}
    for index, entry in enumerate(said["labels"]):
        counts = [int(samples.labels[fold == number, index].sum()) for number in range(4)]
        assert entry["folds"] == counts
        even = sum(counts) / 4
        off = [count / even - 1 if even else None for count in counts]
        assert entry["deviation"] == [
            None if o is None else pytest.approx(o, abs=1e-6) for o in off
        ]
    frequent = [entry for entry in said["labels"] if entry["images"] >= 500]
    worst = max(frequent, key=lambda entry: max(map(abs, entry["deviation"])))
    assert 0 < len(frequent) == said["frequent_labels"]["labels"] < 18
    assert said["frequent_labels"]["label"] == worst["label"]
    assert said["frequent_labels"]["worst"] == max(map(abs, worst["deviation"]))
    rare = [entry for entry in said["labels"] if 0 < entry["images"] < 500]
    images = [max(abs(c - sum(e["folds"]) / 4) for c in e["folds"]) for e in rare]
    assert said["rare_labels"]["worst"] == max(images)
    assert said["notes"][:2] == ["first", "as good as it gets"]
    # neither ids nor embeddings tell what leaks, but groups do
    assert [(entry["by"], entry["share"] > 0.5) for entry in said["leakage"]] == [("group", True)]


def test_a_hold_out_is_a_sample_of_all():
    samples, fold = drawn(folds=1, spare=0.75)
    report = report_on(samples, Split(fold), "x")
    held = int((fold == 0).sum())
    assert report.folds == 1
    assert report.as_json()["always_trained"] == 1200 - held
    assert report.deviation[0, 0] == pytest.approx(
        samples.labels[fold == 0, 0].mean() / samples.labels[:, 0].mean() - 1
    )
    assert report.notes[-1].startswith("no leakage figure: ids tell neither")


def test_leakage_by_embeddings_and_places():
    samples, _ = drawn(ids="7_{well}_A1_{side}")
    together = np.arange(1200) // 2 % 4
    points = np.repeat(np.random.default_rng(1).normal(size=(600, 256)), 2, axis=0)
    samples = replace(samples, embeddings=points.astype(np.float32))
    report = report_on(samples, Split(together), "x")
    like, antibody, well = report.leakage
    assert (like.by, antibody.by, well.by) == ("embeddings", "antibody", "well")
    assert like.share == well.share == 0
    assert antibody.share == 1
    assert like.random == pytest.approx(well.random) == pytest.approx(900 / 1199)
    apart = report_on(samples, Split(np.arange(1200) % 4), "x")
    assert apart.leakage[0].share == apart.leakage[2].share == 1


@pytest.mark.parametrize(
    ("folds", "spare", "ids"),
    [(4, 0.0, "{row}"), (1, 0.8, "7_{well}_A1_{side}"), (45, 0.1, "{well}_A1_{side}")],
)
def test_files(tmp_path, folds, spare, ids):
    samples, fold = drawn(folds=folds, spare=spare, ids=ids)
    report = report_on(samples, Split(fold, np.arange(1200)), {"type": "x", "folds": folds})
    paths = write_report(report, tmp_path)
    assert [path.name for path in paths] == ["split.json", "split.csv", "split.png"]
    assert json.loads(paths[0].read_text())["splitter"] == {"type": "x", "folds": folds}
    with paths[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["(all images)", *NEW.names]
    for row in rows:
        parts = [row[f"fold_{number}"] for number in range(folds)]
        assert sum(map(int, parts)) + int(row["always_trained"]) == int(row["images"])
    picture = cv2.imread(str(paths[2]))
    assert picture.shape[1] > 1200
    ink = picture.min(axis=2) < 200
    assert ink.mean() > 0.01
    # no word is cut off by an edge
    assert not ink[0].any() and not ink[-1].any() and not ink[:, 0].any() and not ink[:, -1].any()
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_report(report, tmp_path)] == before
