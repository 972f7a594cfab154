"""Fields that the weights of a run were trained on."""

import json
import struct

import pytest

from hpazoo.checkpoints.reading.header import CARD_KEY
from hpazoo.evaluation.lock import Lock
from hpazoo.evaluation.seen import seen_by_weights

NEW = "not-of-the-atlas"
CARD = "bestfitting-densenet121-768"


def lock(tmp_path, checkpoint, *files):
    weights = {"a": (checkpoint, tuple(map(str, files)))}
    return Lock("tiny", "hpa-2021", [], "0", "", tmp_path, weights)


def own_file(path, **card):
    """A file of hpazoo's own format without a tensor."""
    builds = {"backbone": {"type": "densenet121"}, "head": {"type": "avg-max"}}
    classes = {"name": "hpa-2021", "names": []}
    text = json.dumps({"builds": builds, "input": {}, "classes": classes, **card})
    header = json.dumps({"__metadata__": {CARD_KEY: text}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.fixture
def known(shared):
    """An id of the training images of 2018, and one that is in no table."""
    lines = (shared / "data" / "labels" / "hpa2018_train.csv").read_text().splitlines()
    return lines[1].split(",")[0], NEW


def test_a_card(known, tmp_path):
    lines, data = seen_by_weights(lock(tmp_path, CARD, "x.pth"), known)
    assert lines == [
        f"seen by the starting weights: 1 of 2 fields (model a, card {CARD}, data set "
        "hpa2018-train)"
    ]
    assert data["a"]["seen"] == [known[0]]
    lines, _ = seen_by_weights(lock(tmp_path, CARD, "x.pth"), [NEW])
    assert lines == [f"seen by the starting weights: 0 of 1 field (model a, card {CARD})"]


def test_files_that_name_their_parent(known, tmp_path):
    """Of several folds each has seen its own; all that any has seen counts."""
    first = own_file(tmp_path / "0.safetensors", parent="imagenet", trained_on=["hpa2018-train"])
    second = own_file(tmp_path / "1.safetensors", parent=CARD, trained_on={"images": 9})
    lines, data = seen_by_weights(lock(tmp_path, "*.safetensors", first, second), known)
    assert lines[0].startswith("seen by the starting weights: 1 of 2 fields (model a, card ")
    assert lines[1].startswith("not known of model a: the file was trained on 9 images that")
    assert data["a"]["cards"] == [CARD]
    assert "hpa2018-external" in data["a"]["data_sets"]


def test_weights_of_which_nothing_is_known(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"no card")
    lines, _ = seen_by_weights(lock(tmp_path, "x.pth", "x.pth"), [NEW])
    assert lines == ["not known of model a: the file has no card that says what it was trained on"]
    lines, data = seen_by_weights(lock(tmp_path, "y.pth", "y.pth"), [NEW])
    assert lines == ["not known of model a: what y.pth was trained on: it cannot be read here"]
    assert data["a"]["seen"] == []
    assert seen_by_weights(lock(tmp_path, None), [NEW]) == ([], {})
    assert seen_by_weights(None, [NEW])[0][0].startswith("a submission file does not say")
