import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from hpazoo.classes import ClassList
from hpazoo.fields import Cells
from hpazoo.writers import FieldResult
from hpazoo.writers.embeddings import Embeddings

CLASSES = ClassList("mine", ("Nucleus", "ER"))


def results(*counts):
    noise = np.random.default_rng(0)
    for number, count in enumerate(counts):
        ids = np.arange(count) * 3 + 1
        cells = Cells(ids, np.zeros((count, 4), int), ids, ids > 0)
        said = {
            "cells": (ids, noise.standard_normal((count, 5)).astype(np.float32)),
            "fields": (np.zeros(1, int), noise.standard_normal((1, 3)).astype(np.float32)),
        }
        values = np.zeros((count, 2), np.float32)
        masks = np.zeros((4, 4), int).copy
        yield FieldResult(f"f{number}", 4, 4, None, "", (), cells, values, masks, said)


def test_a_file_per_member_with_a_row_per_cell(tmp_path):
    paths = Embeddings(CLASSES).write(tmp_path, results(2, 0, 4), "")
    assert [path.name for path in paths] == [
        "embeddings-cells.parquet",
        "embeddings-fields.parquet",
    ]
    table = pd.read_parquet(paths[0])
    assert table["field"].tolist() == ["f0"] * 2 + ["f2"] * 4
    assert table["cell"].tolist() == [1, 4, 1, 4, 7, 10]
    expected = np.concatenate([r.embeddings["cells"][1] for r in results(2, 0, 4)])
    assert np.array_equal(np.stack(table["embedding"]), expected)
    assert pd.read_parquet(paths[1])["cell"].tolist() == [0, 0, 0]


def test_one_member_and_a_stamp(tmp_path):
    (path,) = Embeddings(CLASSES, member="fields").write(tmp_path, results(2), "random weights")
    assert path.name == "embeddings-fields.parquet"
    assert pd.read_parquet(path)["stamp"].tolist() == ["random weights"]
    assert pq.read_schema(path).field("embedding").type.list_size == 3
