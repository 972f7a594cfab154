"""Submission files, whole and broken."""

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest

from hpazoo.errors import HpazooError
from hpazoo.evaluation.predictions import SubmittedPredictions
from hpazoo.evaluation.submission import Submission
from hpazoo.overlap import overlaps
from hpazoo.rle import encode_mask
from tests.evaluation.material import CLASSES, cells, mask_string, write_rows, write_submission

HEADER = "ID,ImageWidth,ImageHeight,PredictionString"
ONE = cells((2, 3, 9, 20)) > 0
TWO = cells((8, 0, 30, 11)) > 0
NONE = np.zeros((32, 32), bool)


def problem(path: Path, field: str | None = None) -> str:
    with pytest.raises(HpazooError) as caught:
        rows = Submission(path)
        rows.read(field or "x", 19)
    text = str(caught.value)
    assert text.startswith(str(path))
    return text[len(str(path)) :]


def test_rows_are_read_in_any_order(tmp_path):
    said = {
        "a": (32, 32, [(3, 0.5, ONE), (3, 0.25, TWO), (0, 1, ONE)]),
        "b": (32, 32, []),
        "c": (32, 32, [(1, 0.75, NONE), (18, 0.125, TWO)]),
    }
    rows = Submission(write_submission(tmp_path / "s.csv", said))
    found = rows.read("c", 19)
    assert (found.classes.tolist(), found.scores.tolist(), found.empty) == ([18], [0.125], 1)
    assert found.shapes.areas.tolist() == [TWO.sum()]
    found = rows.read("a", 19)
    assert found.classes.tolist() == [3, 3, 0]
    assert found.mask.tolist() == [0, 1, 0]
    assert found.shapes.areas.tolist() == [ONE.sum(), TWO.sum()]
    assert len(rows.read("b", 19).classes) == 0
    assert rows.size("a") == (32, 32)


def test_layouts_of_text(tmp_path):
    """Semicolons, a byte order mark, CRLF, quotes with line breaks in them, columns elsewhere."""
    path = tmp_path / "s.csv"
    string = f"3 0.5 {mask_string(ONE)}"
    text = f'\ufeffstamp;ImageHeight;ID;PredictionString;ImageWidth\r\nno;32;"a";{string};32\r\n'
    text += f'\r\nno;32;b;"{string}\r\n {string.replace("3 0.5", "4 0.5")}";32'
    path.write_text(text, encoding="utf-8", newline="")
    rows = Submission(path)
    assert rows.stamp == "no"
    assert rows.read("b", 19).classes.tolist() == [3, 4]
    assert rows.read("a", 19).classes.tolist() == [3]


def test_a_mask_is_known_by_what_it_covers(tmp_path):
    """Two spellings of one mask are one; a class that is said twice of it is two detections."""
    weak = base64.b64encode(zlib.compress(encode_mask(ONE), 0)).decode()
    strong = mask_string(ONE)
    assert weak != strong
    row = f"x,32,32,0 0.5 {weak} 1 0.25 {strong} 0 0.75 {weak} 2 0.1 {mask_string(TWO)}"
    file = write_rows(tmp_path / "s.csv", HEADER, [row])
    (found,) = SubmittedPredictions(file, file, CLASSES).stream({"x"})
    shapes = found.shapes()
    assert len(shapes) == 2
    assert found.mask.tolist() == [0, 1, 0]
    said = {
        (int(found.mask[row]), int(k), float(found.scores[row, k]))
        for row, k in zip(*np.nonzero(~np.isnan(found.scores)), strict=True)
    }
    assert said == {(0, 0, 0.5), (0, 1, 0.25), (0, 0, 0.75), (1, 2, 0.1)}
    assert np.array_equal(np.diag(overlaps(shapes, shapes)), [1, 1])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,32,32,0 0.5", ", line 2 ('x'): its PredictionString has 2 words"),
        ("x,32,32,0 0.5 !!!!", ", line 2 ('x'), prediction 1: '!!!!' is not base64"),
        ("x,32,32,0 0.5 AAAA", ", line 2 ('x'), prediction 1: 'AAAA' is base64, but not of zlib"),
        ("x,32,32,19 0.5 AAAA", "'19' is no class; expected a number from 0 to 18; --classes"),
        ("x,32,32,Nucleoli 0.5 AAAA", "'Nucleoli' is no class; expected a number from 0 to 18"),
        ("x,32,32,0 nan AAAA", "'nan' is no confidence; expected a finite number"),
        ("x,32,32,0 high AAAA", "'high' is no confidence"),
        ("x,32,0,0 1 AAAA", ", line 2: '0' is no width or height of an image"),
        ("x,-32,32,0 1 AAAA", "'-32' is no width or height"),
        ("x,999999,999999,0 1 AAAA", "is more than an image can have"),
        ("x,32", ", line 2: 2 values, fewer than there are columns; the row was cut"),
        (",32,32,", ", line 2: no ID in this row"),
        ("../x,32,32,", "is a path; an id is the name"),
        ('"x,32,32,', ", line 2: a quotation mark is opened and never closed"),
        (f"x,16,32,0 1 {mask_string(ONE)}", "mask 1 of 1: a mask of 32 x 16 px has 512 pixels"),
    ],
)
def test_broken_rows(tmp_path, row, message):
    assert message in problem(write_rows(tmp_path / "s.csv", HEADER, [row]))


def test_broken_files(tmp_path):
    path = write_rows(tmp_path / "s.csv", HEADER, ["x,32,32,", "y,32,32,", "x,32,32,"])
    assert problem(path).startswith(", line 4: 'x' stands on line 2 already")
    assert "there is no row below the header" in problem(write_rows(path, HEADER, []))
    write_rows(path, "ID,ImageWidth,Width,PredictionString", ["x,32,32,"])
    assert problem(path).startswith(", line 1: no column ImageHeight among ID, ImageWidth, Width")
    path.write_text(f"{HEADER}\nx,32,32,0 1 \xff".replace("\xff", "é"), encoding="latin-1")
    assert "not UTF-8 text" in problem(path)
    for nothing in ("", "\n\n"):
        path.write_text(nothing, encoding="utf-8")
        assert "is empty; a CSV with the columns ID" in problem(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    assert ": PNG; a CSV with the columns ID" in problem(path)


def test_a_bomb_does_not_fill_the_memory(tmp_path):
    bomb = base64.b64encode(zlib.compress(b"0" * 50_000_000, 9)).decode()
    path = write_rows(tmp_path / "s.csv", HEADER, [f"x,32,32,0 1 {bomb}"])
    assert "unpacks to over" in problem(path)
