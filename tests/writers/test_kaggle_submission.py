import base64
import zlib

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from hpazoo.classes import class_list
from hpazoo.geometry import cells_of
from hpazoo.writers import FieldResult
from hpazoo.writers.kaggle_submission import KaggleSubmission

# pycocotools' decode under numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = class_list("hpa-2021")
MASKS = np.zeros((70, 90), np.int32)
MASKS[:20, :30], MASKS[40:, 80:], MASKS[30, 50] = 4, 70000, 9
MASKS[10:15, 10:15] = 0


def result(name, masks):
    cells = cells_of(masks)
    probabilities = np.random.default_rng(0).random((len(cells), 19), np.float32)
    return FieldResult(name, *masks.shape, None, "", (), cells, probabilities, masks.copy)


def predictions(text):
    words = text.split(" ")
    for index, confidence, mask in zip(words[::3], words[1::3], words[2::3], strict=True):
        yield int(index), np.float32(confidence), zlib.decompress(base64.b64decode(mask))


def test_every_cell_and_class_with_its_mask(tmp_path):
    given = result("a", MASKS)
    (path,) = KaggleSubmission(CLASSES).write(tmp_path, [given], "")
    table = pd.read_csv(path)
    assert list(table) == ["ID", "ImageWidth", "ImageHeight", "PredictionString"]
    assert table.iloc[0, :3].tolist() == ["a", 90, 70]
    said = list(predictions(table["PredictionString"][0]))
    assert len(said) == 3 * 19
    for position, (index, confidence, counts) in enumerate(said):
        row = position // 19
        assert index == position % 19
        assert confidence == given.probabilities[row, index]
        mask = coco.decode({"size": [70, 90], "counts": counts})
        assert np.array_equal(mask, given.cells.ids[row] == MASKS)


def test_min_confidence(tmp_path):
    given = result("a", MASKS)
    given.probabilities[1] = 0.1
    (path,) = KaggleSubmission(CLASSES, min_confidence=0.4).write(tmp_path, [given], "")
    said = list(predictions(pd.read_csv(path)["PredictionString"][0]))
    chosen = [(i, p) for row in given.probabilities for i, p in enumerate(row) if p >= 0.4]
    assert [(index, confidence) for index, confidence, _ in said] == chosen


def test_a_field_with_nothing_to_say(tmp_path):
    quiet = result("quiet", MASKS)
    quiet.probabilities[:] = 0
    results = [result("none", np.zeros((2048, 2048), np.uint8)), quiet]
    (path,) = KaggleSubmission(CLASSES, min_confidence=0.1).write(tmp_path, results, "")
    table = pd.read_csv(path)
    assert table["PredictionString"].notna().all()
    for text, empty in zip(table["PredictionString"], (b"PPPP4", None), strict=True):
        ((index, confidence, counts),) = predictions(text)
        assert (index, confidence) == (0, 1)
        assert empty is None or counts == empty
    assert not coco.decode({"size": [70, 90], "counts": counts}).any()


def test_stamp_is_the_last_column(tmp_path):
    (path,) = KaggleSubmission(CLASSES).write(tmp_path, [result("a", MASKS)], "random weights")
    assert list(pd.read_csv(path))[-1] == "stamp"
    assert pd.read_csv(path)["stamp"].tolist() == ["random weights"]
