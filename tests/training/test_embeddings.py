"""Embeddings from Parquet files, in every form, in the order asked for, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.fields import Cells
from hpazoo.training.embeddings import file_of_embeddings, read_embeddings
from hpazoo.writers import FieldResult
from hpazoo.writers.embeddings import Embeddings

IDS = ("c", "a", "b")
VALUES = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def written(tmp_path, columns):
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def lists(values=VALUES, kind=None):
    return pa.array([None if row is None else list(row) for row in values], kind)


FIXED = pa.list_(pa.float32(), 4)
FORMS = {
    "lists": {"field": IDS, "embedding": lists()},
    "fixed lists": {"id": IDS, "embedding": lists(kind=FIXED)},
    "doubles": {"Image": IDS, "Embedding": lists(kind=pa.large_list(pa.float64()))},
    "columns": {"ID": IDS} | {str(i): VALUES[:, i] for i in (2, 0, 3, 1)},
    "named": {"id": IDS, "area": [9.0, 9, 9]} | {f"e{i}": VALUES[:, i] for i in range(4)},
    "dictionary": {"field": pa.array(IDS).dictionary_encode(), "embedding": lists()},
    "index": {"field": IDS, "embedding": lists(), "__index_level_0__": [0, 1, 2]},
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form):
    found, notes = read_embeddings(written(tmp_path, FORMS[form]), ["a", "b", "c"])
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, VALUES[[1, 2, 0]])
    assert len(notes) == (form == "named")
    assert not notes or "left out: area" in notes[0]


def test_ours_of_cells_are_averaged(tmp_path):
    """What the output `embeddings` writes, with random weights, of fields with several cells."""
    rng = np.random.default_rng(1)
    values = {"x": rng.normal(size=(3, 5)), "y": rng.normal(size=(1, 5)), "z": np.ones((2, 5))}
    fields = []
    for name, rows in values.items():
        cells = Cells(np.arange(1, len(rows) + 1), *(np.zeros((len(rows), 4), int),) * 3)
        given = {"m": (cells.ids, rows.astype(np.float32))}
        probabilities = np.zeros((len(rows), 19), np.float32)
        fields.append(FieldResult(name, 9, 9, None, "", (), cells, probabilities, None, given))
    (path,) = Embeddings(class_list("hpa-2021")).write(tmp_path, fields, "random weights")
    found, notes = read_embeddings(path, ["y", "x"])
    assert np.allclose(found, [values["y"][0], values["x"].mean(axis=0)], atol=1e-6)
    text = "\n".join(notes)
    assert "is stamped 'random weights'" in text
    assert "embeddings of 6 cells were averaged over 3 images" in text
    assert "embeddings of 1 image not asked for were not used" in text


BROKEN = VALUES.copy()
BROKEN[2, 1] = np.nan
HOLE = [[1.0, None], [1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"field": IDS, "embedding": lists(BROKEN)}, "embeddings of 1 image: b; make them anew"),
        (
            {"field": IDS, "embedding": lists(HOLE)},
            "not finite in embeddings of 1 image: c; ",
        ),
        ({"field": IDS, "embedding": lists(HOLE, pa.list_(pa.float32(), 2))}, "1 image: c; make"),
        ({"field": IDS, "embedding": lists([None, *VALUES[1:]])}, "no embedding in row 1"),
        ({"field": IDS, "embedding": lists([None, *VALUES[1:]], FIXED)}, "no embedding in row 1"),
        ({"field": IDS, "embedding": lists([[1.0], *VALUES[1:]])}, "embeddings of 1 to 4 numbers"),
        ({"field": IDS, "embedding": lists([[], [], []])}, "holds lists of null"),
        ({"field": IDS, "embedding": ["x"] * 3}, "the column 'embedding' holds string, not lists"),
        ({"field": IDS, "embedding": pa.array([["x"]] * 3)}, "lists of string, not of numbers"),
        ({"field": IDS, "n": [1.0, 2, 3]}, "no column 'embedding', nor numbered columns of floats"),
        ({"name": IDS, "embedding": lists()}, "no column field, id or image among name, embedding"),
        ({"field": ["c", None, "b"], "embedding": lists()}, "no 'field' in row 2"),
        ({"field": ["c", "a", "z"], "embedding": lists()}, "no embedding of 1 of 3 images: b; the"),
        (
            {"field": ["C", "A", "B"], "embedding": lists()},
            "of 3 of 3 images: c, a, b; did you",
        ),
        ({"field": ["c", "a", "a"], "embedding": lists()}, "no embedding of 1 of 3 images: b"),
        (
            {"field": [*IDS, "a"], "embedding": lists([*VALUES, VALUES[0]])},
            "1 image with more than one row, and no column 'cell'",
        ),
        (
            {"field": [*IDS, "a"], "cell": [0, 0, 0, 1], "embedding": lists([*VALUES, VALUES[0]])},
            "a has a row of the whole image (cell 0) beside others",
        ),
        ({"field": pa.array([], pa.string()), "embedding": pa.array([], FIXED)}, "no row in it"),
    ],
)
def test_messages(tmp_path, columns, words):
    path = written(tmp_path, columns)
    with pytest.raises(HpazooError) as caught:
        read_embeddings(path, IDS)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_no_parquet(tmp_path):
    for content in (b"", b"field,embedding\na,1\n", b"PAR1" + b"\xff" * 50 + b"PAR1"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(HpazooError, match="cannot be read as Parquet"):
            read_embeddings(tmp_path / "x", IDS)
    whole = written(tmp_path, FORMS["lists"]).read_bytes()
    (tmp_path / "x").write_bytes(whole[:40] + b"\xaa" * 40 + whole[80:])
    with pytest.raises(HpazooError, match=r"cannot be read as Parquet|missing or not finite"):
        read_embeddings(tmp_path / "x", IDS)
    with pytest.raises(HpazooError, match=r"no file .*gone\.parquet; a Parquet file was expected"):
        read_embeddings(tmp_path / "gone.parquet", IDS)
    with pytest.raises(HpazooError, match="is a folder"):
        read_embeddings(tmp_path, IDS)


def test_where_a_splitter_takes_them_from(tmp_path):
    named = {"type": "cosine-groups", "embeddings": "e.parquet"}
    assert file_of_embeddings(named, tmp_path) == tmp_path / "e.parquet"
    assert file_of_embeddings(named | {"embeddings": "a-model"}, tmp_path) is None
    assert file_of_embeddings("multilabel-stratified", tmp_path) is None
