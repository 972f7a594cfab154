"""Predictions and truth side by side: what joins, what is missed, what is left out."""

import numpy as np
import pytest

from hpazoo.errors import HpazooError, UsageError
from hpazoo.evaluation.judging import join
from hpazoo.evaluation.predictions import open_predictions
from hpazoo.evaluation.truth import read_truth
from hpazoo.imageio import write_label_image
from hpazoo.rle import encode_cells, submission_string
from tests.evaluation.material import (
    CLASSES,
    cells,
    probabilities,
    write_masks,
    write_rows,
    write_run,
)

HEADER = "field,cell,locations"
TRUE = cells((2, 3, 9, 20), (10, 3, 20, 20), (22, 0, 30, 11))
PREDICTED = cells((2, 4, 9, 20), (10, 3, 20, 18), (20, 0, 27, 9), (0, 25, 9, 31))
SAID = probabilities({"Cytosol": 0.9}, {"Nucleoli": 0.8}, {"Cytosol": 0.2}, {"Negative": 1})


def naive_iou(predicted, true, ids):
    found = np.zeros((int(predicted.max()), len(ids)))
    for row in range(len(found)):
        for column, cell in enumerate(ids):
            ours, theirs = predicted == row + 1, true == cell
            found[row, column] = (ours & theirs).sum() / (ours | theirs).sum()
    return found


@pytest.fixture
def run(tmp_path):
    fields = {"1_A1_1": (PREDICTED, SAID), "1_A1_2": (np.zeros((32, 32), np.int32), SAID[:0])}
    return write_run(tmp_path / "run", fields, aside={"1_A2_1": "no green channel"})


def joined(run, tmp_path, rows, masks=None):
    truth = read_truth(write_rows(tmp_path / "t.csv", HEADER, rows), CLASSES, None, masks)
    return join(open_predictions(run, None), truth)


def problem(run, tmp_path, rows, masks=None) -> str:
    with pytest.raises(HpazooError) as caught:
        joined(run, tmp_path, rows, masks)
    return str(caught.value)


@pytest.mark.parametrize("parquet", [True, False])
def test_masks_are_laid_over_masks(tmp_path, parquet):
    folder = write_run(tmp_path / "run", {"1_A1_1": (PREDICTED, SAID)}, parquet=parquet)
    masks = write_masks(tmp_path / "masks", {"1_A1_1": TRUE})
    rows = ["1_A1_1,1,Cytosol", "1_A1_1,2,Nucleoli|Cytosol", "1_A1_1,3,Negative"]
    found = joined(folder, tmp_path, rows, masks)
    (one,) = found.fields
    assert np.array_equal(one.iou, naive_iou(PREDICTED, TRUE, [1, 2, 3]))
    assert np.array_equal(one.scores, SAID.astype(np.float64))
    assert one.box_iou[1, 1] == 15 / 17
    assert found.counts["true cells"] == 3
    assert found.notes == []


def test_cells_without_a_row_are_not_annotated(run, tmp_path):
    """What lies on such a cell is left out; what lies on none stays, and is wrong."""
    masks = write_masks(tmp_path / "masks", {"1_A1_1": TRUE})
    found = joined(run, tmp_path, ["1_A1_1,3,Negative", "1_A1_1,1,Cytosol"], masks)
    (one,) = found.fields
    assert np.array_equal(one.scores, SAID[[0, 2, 3]].astype(np.float64))
    assert np.array_equal(one.iou, naive_iou(PREDICTED, TRUE, [1, 3])[[0, 2, 3]])
    assert found.counts["predicted cells not annotated"] == 1
    assert "1 predicted cell left out: the true cell below is not annotated" in found.notes


def test_without_masks_ids_are_those_of_the_run(run, tmp_path):
    found = joined(run, tmp_path, ["1_A1_1,2,Cytosol", "1_A1_1,4,Negative"])
    (one,) = found.fields
    assert np.array_equal(one.iou, np.eye(2))
    assert np.array_equal(one.box_iou, np.eye(2))
    assert np.array_equal(one.scores, SAID[[1, 3]].astype(np.float64))
    assert found.counts["predicted cells not annotated"] == 2
    text = problem(run, tmp_path, ["1_A1_1,2,Cytosol", "1_A1_1,7,Negative", "1_A1_2,1,Cytosol"])
    assert "2 problems\n  '1_A1_1': cell 7 is none of the 4 cells that were predicted" in text
    assert "'1_A1_2': cell 1 is none of the 0 cells" in text
    assert text.endswith("give their label images with --truth-masks DIR")


def test_fields_that_do_not_join_are_counted(run, tmp_path):
    rows = ["1_A1_1,2,Cytosol", "1_A2_1,1,Negative", "9_1_a1_2,1,Cytosol", "z,1,Cytosol"]
    found = joined(run, tmp_path, rows)
    assert [one.field for one in found.fields] == ["1_A1_1", "1_A2_1", "9_1_a1_2", "z"]
    missed = found.fields[1]
    assert (missed.scores.shape, missed.iou.shape) == ((0, 19), (0, 1))
    assert found.counts["fields missed"] == 3
    assert found.counts["fields without truth"] == 1
    assert found.notes[0].startswith(
        "1 field of the truth set aside by the run and counted as missed: '1_A2_1' (the first: no"
    )
    assert found.notes[1] == (
        "2 fields of the truth without predictions counted as missed: '9_1_a1_2', 'z' (is "
        "'9_1_a1_2' the predicted '1_A1_2'?)"
    )
    assert found.notes[2] == "1 predicted field without truth left out"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1_a1_1", "'1_a1_1' looks like '1_A1_1', capitals differ"),
        ("77_1_A1_2_cr5a", "the antibody or the fifth part '_cr...' is written in one of them"),
        ("other", "is this the truth of other images?"),
        ("1_A2_1", "'1_A2_1' of the truth were set aside by the run"),
    ],
)
def test_nothing_joins(run, tmp_path, name, why):
    text = problem(run, tmp_path, [f"{name},1,Cytosol"])
    assert f"the truth has '{name}', the predictions '1_A1_1', '1_A1_2'" in text
    assert why in text


@pytest.mark.parametrize(
    ("aside", "words"),
    [
        (
            {"b": "no red", "a": "a: no green"},
            "all 2 fields were set aside (the first, 'a': no gre",
        ),
        ({"a": "no red"}, "the only field was set aside ('a': no red): nothing can be scored"),
        ({}, "have no field in common: the truth has 'a', the predictions none; is this the"),
    ],
)
def test_nothing_was_predicted(run, tmp_path, aside, words):
    lines = [f'{{"field": "{name}", "reason": "{why}"}}\n' for name, why in aside.items()]
    (run / "set-aside.jsonl").write_text("".join(lines))
    (run / "fields.csv").write_text("field,height,width\n")
    assert words in problem(run, tmp_path, ["a,1,Cytosol"])


def test_broken_masks_of_the_truth_come_all_at_once(run, tmp_path):
    masks = write_masks(tmp_path / "masks", {"1_A1_1": TRUE[:16]})
    text = problem(run, tmp_path, ["1_A1_1,1,Cytosol", "1_A1_2,1,Cytosol"], masks)
    assert "2 problems" in text
    assert "32 x 16 (width x height), but the field 1_A1_1 is 32 x 32" in text
    assert "1_A1_2: no label image in" in text
    write_masks(masks, {"1_A1_1": TRUE, "1_A1_2": np.where(TRUE == 2, 255, 255 * (TRUE == 3))})
    text = problem(run, tmp_path, ["1_A1_1,1,Cytosol", "1_A1_2,255,Cytosol"], masks)
    assert "2 areas apart from each other have one id, 255, as in a filled mask" in text


def test_runs_that_are_broken(run, tmp_path):
    rows = ["1_A1_1,2,Cytosol"]
    masks = write_masks(tmp_path / "masks", {"1_A1_1": TRUE})
    write_label_image(run / "masks" / "1_A1_1.png", np.where(PREDICTED == 3, 0, PREDICTED))
    assert "1_A1_1.png does not show cell 3 of predictions.parquet" in problem(
        run, tmp_path, rows, masks
    )
    (run / "masks" / "1_A1_1.png").unlink()
    assert "no masks of '1_A1_1'; run it again" in problem(run, tmp_path, rows, masks)
    (run / "fields.csv").write_text("field,height,width\n1_A1_2,32,32\n")
    rows = ["1_A1_2,1,Cytosol"]
    assert "the field '1_A1_1' is not in fields.csv" in problem(run, tmp_path, rows)
    (run / "predictions.parquet").write_bytes(b"PAR1")
    assert "predictions.parquet is not the table of a run on hpa-2021" in problem(
        run, tmp_path, rows
    )
    (run / "predictions.parquet").unlink()
    assert "neither predictions.parquet nor submission.csv; the run stopped" in problem(
        run, tmp_path, rows
    )
    (run / "run.lock.yaml").write_text("a: [", encoding="utf-8")
    assert "run.lock.yaml is not as hpazoo writes it: " in problem(run, tmp_path, rows)
    (run / "run.lock.yaml").unlink()
    assert "is no folder of a run: there is no run.lock.yaml" in problem(run, tmp_path, rows)
    with pytest.raises(UsageError, match=r"there is no .*none; give the folder of a run"):
        open_predictions(tmp_path / "none", None)
    with pytest.raises(UsageError, match="is one file of a run; give its folder"):
        open_predictions(run / "fields.csv", None)


def test_a_submission_has_no_ids(tmp_path):
    text = " ".join(
        f"{k} 0.5 {submission_string(counts)}" for k, counts in enumerate(encode_cells(TRUE))
    )
    header = "ID,ImageWidth,ImageHeight,PredictionString"
    path = write_rows(tmp_path / "s.csv", header, [f"x,32,32,{text}"])
    assert "give the true label images with --truth-masks DIR" in problem(
        path, tmp_path, ["x,1,Cytosol"]
    )
    masks = write_masks(tmp_path / "masks", {"x": TRUE})
    (one,) = joined(path, tmp_path, ["x,1,Cytosol", "x,3,Cytosol"], masks).fields
    assert np.array_equal(one.iou, [[1, 0], [0, 1]])
    assert np.isnan(one.scores).sum() == 2 * 18


@pytest.mark.parametrize("name", ["1_A1_1.png", "1_A1_1_green.png"])
def test_names_of_files_are_told_from_ids(run, tmp_path, name):
    text = problem(run, tmp_path, [f"{name},1,Nucleoli"])
    assert text.endswith(
        f"'{name}' is the name of a file of '1_A1_1': write ids as the run has them"
    )


def test_masks_that_are_turned_are_noted(run, tmp_path):
    rows = ["1_A1_1,1,Nucleoli", "1_A1_1,2,Cytosol"]
    notes = []
    for labels in (TRUE, TRUE.T.copy()):
        masks = write_masks(tmp_path / "m", {"1_A1_1": labels})
        notes.append(" ".join(joined(run, tmp_path, rows, masks).notes))
    assert "the same way up?" not in notes[0]
    best = np.median(naive_iou(PREDICTED, TRUE.T, [1, 2]).max(axis=0))
    assert f"of 2 true cells the best IoU is {best:.2f} in the median" in notes[1]
    assert "are all masks of these images, the same way up?" in notes[1]
