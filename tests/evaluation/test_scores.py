"""Whole evaluations: against the organisers' code, against naive ones, and what is said of them."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hpazoo.errors import UsageError
from hpazoo.evaluation import evaluate, score, write
from hpazoo.evaluation.calibration import calibrate
from hpazoo.evaluation.intervals import intervals, resamples
from hpazoo.metrics import Judged
from hpazoo.spec.from_text import component_from_text
from hpazoo.spec.problems import SpecError
from tests.evaluation.material import (
    CLASSES,
    cells,
    probabilities,
    write_rows,
    write_run,
    write_submission,
)

LABELS = cells((2, 3, 9, 20), (10, 3, 20, 20), (22, 0, 30, 11))


@pytest.mark.parametrize("case", ["iou_edge", "noisy_scores"])
def test_two_submissions_score_as_the_organisers_do(shared, tmp_path, case):
    """From files: masks that overlap each other, empty ones, scores that tie."""
    folder = shared / "oracle" / "metric"
    expected = json.loads((folder / "expected.json").read_text())["cases"][case]
    with np.load(folder / f"{case}.npz") as data:
        arrays = dict(data)
    true, predicted = arrays["gt_labels"], arrays["pred_labels"]
    rows = {f"f{k}": (128, 128, []) for k in range(len(true))}
    said = {name: (h, w, list(items)) for name, (h, w, items) in rows.items()}
    known = {name: (h, w, list(items)) for name, (h, w, items) in rows.items()}
    for image, cell, label in zip(
        arrays["gt_image"], arrays["gt_cell"], arrays["gt_class"], strict=True
    ):
        known[f"f{image}"][2].append((label, 1, true[image] == cell))
    columns = ("det_image", "det_layer", "det_cell", "det_class", "det_score")
    for image, layer, cell, label, value in zip(*(arrays[c] for c in columns), strict=True):
        mask = predicted[image, layer] == cell
        said[f"f{image}"][2].append((label, float(value), mask))
    ours = write_submission(tmp_path / "ours.csv", said)
    theirs = write_submission(tmp_path / "theirs.csv", known)
    for rule, name in (("all", "all_classes"), ("labelled", "only_image_classes")):
        metric = {"type": "hpa-map", "rule": rule}
        found = evaluate(ours, theirs, metrics=[metric], rounds=0, save=False)
        wanted = expected[f"{name}_verified"]
        values = [np.nan if value is None else value for value in wanted["AP"]]
        np.testing.assert_allclose(found.scores[0].values, values, atol=1e-12)
        assert found.scores[0].value == pytest.approx(wanted["mAP"])


@pytest.fixture
def files(tmp_path):
    """A run of 12 fields, half sure of what it says, and its truth."""
    rng = np.random.default_rng(5)
    fields, rows = {}, []
    for number in range(12):
        truth = rng.random((3, 19)) < 0.2
        truth[:, 18] |= ~truth.any(axis=1)
        values = (0.2 * truth + 0.8 * rng.random(truth.shape)).astype(np.float32)
        fields[f"{number}_A1_1"] = LABELS, values
        rows += [
            f"{number}_A1_1,{k + 1},{'|'.join(map(str, np.flatnonzero(row)))}"
            for k, row in enumerate(truth)
        ]
    run = write_run(tmp_path / "run", fields)
    return run, write_rows(tmp_path / "truth.csv", "field,cell,locations", rows), fields


def test_a_run_against_its_truth(files):
    run, truth, fields = files
    found = evaluate(run, truth, rounds=50)
    names = [one.name for one in found.scores]
    assert names == ["cell-map", "hpa-map", "image-f1", "image-map"]
    cell_map = found.scores[0]
    values = np.concatenate([values for _, values in fields.values()])
    true = np.zeros(values.shape, bool)
    for number, line in enumerate(truth.read_text().splitlines()[1:]):
        true[number, [int(k) for k in line.split(",")[2].split("|")]] = True
    for index in range(19):
        expected = average_precision_score(true[:, index], values[:, index])
        assert cell_map.values[index] == pytest.approx(expected)
    assert "cells are told apart by their ids" in cell_map.rule
    assert "cells are told apart" not in found.scores[2].rule
    assert cell_map.interval[0] < cell_map.value < cell_map.interval[1]
    assert "12 fields are few: the true intervals are wider" in cell_map.notes
    assert found.seen[0].startswith("seen by the starting weights: ")
    assert "of 12 fields (model a, card bestfitting-densenet121-768" in found.seen[0]
    table = found.table
    assert list(table["class"][:2]) == ["mean", "Nucleoplasm"]
    assert len(table) == 4 * 20
    assert "stamp" not in table


def test_files_are_the_same_each_time(files, tmp_path):
    run, truth, _ = files
    first = evaluate(run, truth, rounds=20)
    assert first.folder == run / "evaluation" / "truth"
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "calibration.png", "curves.csv", "curves.png", "metrics.json", "report.html", "scores.csv",
    ]  # fmt: skip
    second = evaluate(run, truth, rounds=20, out=tmp_path / "other")
    other = evaluate(run, truth, rounds=20, seed=1, save=False)
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()
    assert first.scores[0].interval.tolist() != other.scores[0].interval.tolist()
    said = json.loads((first.folder / "metrics.json").read_text(), parse_constant=lambda _: 1 / 0)
    assert said["metrics"][0]["value"] == first.scores[0].value
    assert said["truth"]["sha256"] == second.about["truth"]["sha256"]
    assert said["intervals"]["rounds"] == 20
    assert said["seen"]["a"]["data_sets"] == ["hpa2018-train", "hpa2018-external"]


def test_random_weights_are_stamped_on_every_number(tmp_path):
    run = write_run(
        tmp_path / "run",
        {"x": (LABELS, probabilities({"Cytosol": 1}, {}, {}))},
        stamp="random weights",
    )
    truth = write_rows(tmp_path / "<b>&.csv", "field,cell,locations", ["x,1,Cytosol", "x,2,0"])
    found = evaluate(run, truth, rounds=10)
    assert found.stamp == "random weights"
    assert (found.table["stamp"] == "random weights").all()
    assert found.seen == ()
    folder = found.folder
    assert folder is not None
    for name in ("scores.csv", "curves.csv"):
        lines = (folder / name).read_text().splitlines()
        assert lines[0].endswith(",stamp")
        assert all(line.endswith(",random weights") for line in lines[1:])
    said = json.loads((folder / "metrics.json").read_text())
    numbers = [said, said["calibration"], *said["metrics"]]
    assert {one["stamp"] for one in numbers} == {"random weights"}
    assert "one field: no interval" in said["metrics"][0]["notes"]
    page = (folder / "report.html").read_text()
    assert page.count("random weights") == 3 + len(found.scores)
    assert "<b>&.csv" not in page
    assert "&lt;b&gt;&amp;.csv" in page


def test_the_page_needs_nothing_else(files):
    page = (evaluate(files[0], files[1], rounds=0).folder / "report.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "http" not in page
    opened: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "img", "br"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Tags().feed(page)
    assert opened == []
    for name in CLASSES.names:
        assert page.count(f">{name}<") == 1


def test_folders_of_others_are_left_alone(files, tmp_path):
    run, truth, _ = files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"mine holds files, but no evaluation .no metrics.json"):
        evaluate(run, truth, out=tmp_path / "mine")
    with pytest.raises(UsageError, match=r"truth.csv is a file; give a folder with --out"):
        evaluate(run, truth, out=truth)


def test_which_metrics(files, tmp_path):
    run, truth, _ = files
    labels = write_rows(tmp_path / "labels.csv", "ID,Label", ["0_A1_1,16", "1_A1_1,2|3"])
    images = evaluate(run, labels, rounds=0, save=False)
    assert [one.name for one in images.scores] == ["image-f1", "image-map"]
    assert images.calibration.of == "images"
    with pytest.raises(UsageError, match="hpa-map needs the truth of each cell, and the truth"):
        evaluate(run, labels, metrics=["hpa-map"], save=False)
    lock = run / "run.lock.yaml"
    text = lock.read_text().replace("metrics: []", "metrics: [{type: hpa-map, iou: 0.5}]")
    lock.write_text(text)
    (only,) = evaluate(run, truth, rounds=0, save=False).scores
    assert (only.name, only.config) == ("hpa-map {iou: 0.5}", {"type": "hpa-map", "iou": 0.5})
    images = evaluate(run, labels, rounds=0, save=False)
    assert [one.name for one in images.scores] == ["image-f1", "image-map"]
    assert images.notes[-1].startswith("hpa-map needs the truth of each cell")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hpa-mapp", "unknown metric 'hpa-mapp'"),
        ("{type: hpa-map, iuo: 0.5}", "unknown key 'iuo' for metric 'hpa-map'"),
        ("{type: hpa-map, iou: high}", "'iou' must be a number"),
        ("{type: hpa-map, iou: 2}", "'iou' must be at most 1"),
        ("{iou: 0.5}", "missing key 'type'"),
        ("[hpa-map]", "expected the name of a metric, or a mapping with 'type'"),
        ("{type: hpa-map", "--metric:1:"),
        ("", "expected the name of a metric"),
    ],
)
def test_metrics_of_the_command_line_are_checked(text, message):
    with pytest.raises(SpecError) as caught:
        component_from_text("--metric", "metrics", text, "{type: hpa-map}")
    assert message in str(caught.value)
    assert str(caught.value).startswith("--metric:1:")


def test_metrics_of_the_command_line():
    assert component_from_text("--metric", "metrics", "hpa-map", "") == "hpa-map"
    assert component_from_text("--metric", "metrics", "{type: hpa-map, iou: .5}", "") == {
        "type": "hpa-map",
        "iou": 0.5,
    }


def judged(name, scores, truth):
    same = np.eye(len(scores))
    return Judged(name, scores, truth, same, same)


def test_intervals_are_those_of_repeated_fields():
    """The slow way: draw fields, lay copies of them side by side, score anew."""
    rng = np.random.default_rng(2)
    fields = []
    for number in range(8):
        truth = rng.random((4, 19)) < 0.3
        fields.append(judged(f"f{number}", np.round(rng.random((4, 19)), 1) + truth / 3, truth))
    found = score(fields, ["cell-map"], CLASSES, rounds=30, seed=9).scores[0]
    means = []
    for weights in resamples(8, 30, 9):
        copies = [f for f, times in zip(fields, weights, strict=True) for _ in range(times)]
        means.append(score(copies, ["cell-map"], CLASSES, rounds=0).scores[0].value)
    low, middle, high = np.percentile(means, (2.5, 50, 97.5))
    moved = found.value + np.array([low, high]) - middle
    np.testing.assert_allclose(found.interval, moved.clip(0, 1))
    assert found.interval[0] <= found.value <= found.interval[1]
    shuffled = score(fields[::-1], ["cell-map"], CLASSES, rounds=30, seed=9).scores[0]
    assert np.array_equal(shuffled.intervals, found.intervals)


def test_intervals_that_cannot_be_told():
    class Judged:
        positives = np.zeros(3)

        def values(self, weights=None):
            weights = np.ones(3) if weights is None else weights
            return np.array([weights[0] / 3, 1.0 if weights[1] else np.nan, np.nan])

    found = intervals(Judged(), np.array([3, 1, 0]), 3, 200, 0)
    assert not np.isnan(found.classes[0]).any()
    assert np.isnan(found.classes[1:]).all()
    assert "1 class is true in one field only: no interval of its own" in found.notes
    assert np.isnan(intervals(Judged(), np.array([3, 1, 0]), 1, 200, 0).overall).all()
    assert np.isnan(intervals(Judged(), np.array([3, 1, 0]), 3, 0, 0).overall).all()


def test_an_error_lies_in_its_interval_where_scores_are_calibrated():
    rng = np.random.default_rng(0)
    fields = []
    for number in range(40):
        scores = rng.random((4, 19))
        fields.append(judged(f"f{number:02}", scores, rng.random((4, 19)) < scores))
    found, _ = calibrate(fields, 19, 200, 0)
    low, high = found.interval
    assert low <= found.error <= high


def test_calibration_is_the_naive_one():
    rng = np.random.default_rng(1)
    fields, all_scores, all_truth = [], [], []
    for number in range(30):
        scores = rng.random((5, 19))
        truth = rng.random((5, 19)) < scores**2
        scores[0, 0] = np.nan
        fields.append(judged(f"f{number}", scores, truth))
        all_scores.append(scores.ravel())
        all_truth.append(truth.ravel())
    found, why = calibrate(fields, 19, 100, 0)
    assert found is not None
    assert why == ""
    scores, truth = np.concatenate(all_scores), np.concatenate(all_truth)
    error = 0.0
    for place in range(10):
        inside = (scores >= place / 10) & (scores < (place + 1) / 10)
        assert found.count[place] == inside.sum()
        assert found.observed[place] == pytest.approx(truth[inside].mean())
        error += abs(scores[inside].sum() - truth[inside].sum())
    assert found.error == pytest.approx(error / (~np.isnan(scores)).sum())
    assert found.interval[0] < found.error < found.interval[1]
    assert (found.low <= found.observed).all()
    assert (found.observed <= found.high).all()
    assert found.notes == ("30 scores that are not there left out",)
    logits = [judged("x", np.full((1, 19), 3.0), np.ones((1, 19), bool))]
    assert calibrate(logits, 19, 0, 0) == (
        None,
        "no calibration: scores from 0 to 3 are no probabilities",
    )


def test_fields_of_which_nothing_was_predicted(tmp_path):
    """They count as missed, and no picture fails for it."""
    none = np.zeros((0, 19))
    truth = np.zeros((2, 19), bool)
    truth[:, 3] = True
    empty = np.zeros((0, 2))
    fields = [Judged(name, none, truth, empty, empty) for name in "ab"]
    found = write(score(fields, [], CLASSES, rounds=5), tmp_path / "out")
    values = {one.name: one.value for one in found.scores}
    assert values["hpa-map"] == 0
    assert found.calibration is None
    assert "no calibration: no answer of which the truth is known" in found.notes
    assert (tmp_path / "out" / "report.html").is_file()
