"""`hpazoo evaluate` on a run of the product, and what it says of broken truths."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import hpazoo
from hpazoo.cli import main
from hpazoo.evaluation import evaluate
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.predictions import open_predictions
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.truth import read_truth
from hpazoo.imageio import write_label_image
from hpazoo.readers import readers

SPEC = """\
hpazoo: 1
name: small
classes: hpa-2021
images: {type: synthetic, fields: 5, size: 128, seed: 3}
masks: watershed
models:
  dense: {backbone: densenet121, head: avg-max, input: {size: 64, normalize: hpa-2018}}
members: [{model: dense, strategy: gap-mask}]
outputs: [table, kaggle-submission]
metrics: [hpa-map, cell-map]
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """(run, truth as a table, folder of its masks) of drawn fields, segmented by watershed."""
    folder = tmp_path_factory.mktemp("product")
    (folder / "small.yaml").write_text(SPEC, encoding="utf-8")
    hpazoo.run(
        folder / "small.yaml", out=folder / "run", random_weights=True, workers=0, data=folder
    )
    config = {"type": "synthetic", "fields": 5, "size": 128, "seed": 3}
    reader = readers.build(config, folder)
    masks = folder / "masks"
    masks.mkdir()
    with (folder / "cells.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["field", "cell", "locations"])
        for name in reader.ids():
            field = reader.read(name)
            write_label_image(masks / f"{name}.png", field.masks)
            rows.writerows([name, cell, "|".join(where)] for cell, where in field.truth.items())
    return folder / "run", folder / "cells.csv", masks


@pytest.fixture
def said(capsys):
    """Run `hpazoo`: exit code, and all that is printed."""

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out + err

    return call


def test_what_is_printed(product, said):
    run, truth, masks = product
    code, text = said("evaluate", run, "--truth", truth, "--truth-masks", masks, "--rounds", 50)
    words = " ".join(text.split())
    assert code == 0
    assert "hpa-map: 0." in words
    assert "mask IoU >= 0.6 with the best true cell of the class; all detections count" in words
    assert "image-map" not in words
    assert words.count("random weights") >= 4
    assert "stamped 'random weights': these numbers mean nothing" in words
    assert "5 fields are few: the true intervals are wider" in words
    found = json.loads((run / "evaluation" / "cells" / "metrics.json").read_text())
    assert [one["name"] for one in found["metrics"]] == ["hpa-map", "cell-map"]
    assert found["counts"]["fields"] == 5
    assert str(run / "evaluation" / "cells" / "report.html") in text


def test_a_run_and_its_submission_score_alike(product):
    """The submission carries masks and scores of the same cells, to the last bit."""
    run, truth, masks = product
    metrics = ["hpa-map", {"type": "hpa-map", "overlap": "box", "rule": "labelled"}, "image-map"]
    one, other = (
        evaluate(path, truth, truth_masks=masks, metrics=metrics, rounds=0, save=False)
        for path in (run, run / "submission.csv")
    )
    assert one.stamp == other.stamp == "random weights"
    for ours, theirs in zip(one.scores, other.scores, strict=True):
        assert np.array_equal(ours.values, theirs.values, equal_nan=True)
    assert other.seen[0].startswith("a submission file does not say which weights made it")


def test_the_truth_of_a_reader_is_that_of_its_files(product):
    run, truth, masks = product
    config = {"type": "synthetic", "fields": 5, "size": 128, "seed": 3}
    predictions = open_predictions(run, None)
    reader = readers.build(config, run)
    known = truth_of(reader, config, list(predictions.fields), predictions.classes)
    fields = join(predictions, known).fields
    others = join(predictions, read_truth(truth, predictions.classes, None, masks)).fields
    assert len(fields) == len(others) == 5
    for ours, theirs in zip(fields, others, strict=True):
        for part in ("scores", "truth", "iou", "box_iou"):
            assert np.array_equal(getattr(ours, part), getattr(theirs, part))


def test_a_run_against_itself_is_perfect(product, tmp_path):
    """What it called, taken for the truth: by ids, each cell is found."""
    run, _, _ = product
    table = pd.read_parquet(run / "predictions.parquet")
    names = list(table.columns[9:28])
    likeliest = table[names].idxmax(axis=1)
    truth = table[["field", "cell"]].assign(locations=likeliest)
    truth.to_csv(tmp_path / "own.csv", index=False)
    metric = {"type": "hpa-map"}
    found = evaluate(run, tmp_path / "own.csv", metrics=[metric], rounds=0, save=False)
    assert found.counts["true cells"] == len(table)
    assert found.scores[0].positives.sum() == len(table)


def test_broken_truths_are_messages(product, said, tmp_path):
    run, truth, _ = product
    text = truth.read_text(encoding="utf-8")
    path = tmp_path / "truth.csv"

    def of(content: str, *more: object) -> tuple[int, str]:
        path.write_text(content, encoding="utf-8")
        code, printed = said("evaluate", run, "--truth", path, *more)
        assert "Traceback" not in printed
        return code, printed

    code, printed = of(text.replace("synthetic_", "drawn_"))
    assert code == 1
    assert "have no field in common: the truth has 'drawn_3-1_A1_1'" in printed
    code, printed = of(text)
    assert code == 1
    assert "give their label images with --truth-masks DIR" in printed
    code, printed = of(f"{text}synthetic_3-1_A1_1,9,Nucleolus\n", "--rounds", 0)
    assert code == 1
    assert "did you mean 'Nucleoli'" in printed
    code, printed = of("")
    assert code == 1
    assert "is empty; expected a table of cells" in printed
    code, printed = said("evaluate", run, "--truth", truth, "--metric", "{type: hpa-map, iuo: 1}")
    assert code == 2
    assert "--metric:1:17: unknown key 'iuo' for metric 'hpa-map'" in printed
    code, printed = said("evaluate", tmp_path / "none", "--truth", truth)
    assert code == 2
    assert "give the folder of a run, or a submission CSV" in printed
    code, printed = said("evaluate", run, "--truth", truth, "--classes", "hpa-2020")
    assert code == 2
    assert "unknown list of classes 'hpa-2020'; did you mean" in printed
    assert not (run / "evaluation" / "truth").exists()


def test_help_is_quick():
    """No numpy, no torch, before something is scored."""
    code = (
        "import sys\nfrom hpazoo.cli import evaluate_command\n"
        "late = {'numpy', 'torch', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(str(late) if late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_torch_is_imported():
    code = (
        "import sys\nimport hpazoo.evaluation\n"
        "late = {'torch', 'matplotlib', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(late) if late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_was_predicted_is_no_truth(product, tmp_path):
    """Scores of 1 that mean nothing say so, also of a copy."""
    run, truth, masks = product
    copy = tmp_path / "truth.csv"
    copy.write_bytes((run / "predictions.csv").read_bytes())
    found = evaluate(run, copy, rounds=0, save=False)
    assert f"{copy} is no truth but what was predicted itself" in found.notes[0]
    found = evaluate(run, truth, truth_masks=masks, rounds=0, save=False)
    assert not any("is no truth" in note for note in found.notes)
