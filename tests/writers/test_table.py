import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hpazoo.classes import ClassList
from hpazoo.geometry import cells_of
from hpazoo.writers import FieldResult
from hpazoo.writers._parquet import ROW_GROUP
from hpazoo.writers.table import CELL_COLUMNS, Table

CLASSES = ClassList("mine", ("Nucleus", "Rods & rings", "ER"))
ODD = ["plain", 'a,b "c"\nd', "carriage\rreturn", "µm 日本", "both\r\nends "]


def result(name, probabilities, **more):
    probabilities = np.asarray(probabilities, np.float32).reshape(-1, 3)
    masks = np.zeros((2 * len(probabilities) + 1, 6), np.int32)
    for row in range(len(probabilities)):
        masks[2 * row, 1:4] = 10 * row + 10
    values = {"pixel_size": None, "sha256": "ab", "notes": ()} | more
    return FieldResult(
        name, *masks.shape, cells=cells_of(masks), probabilities=probabilities, masks=masks.copy,
        **values,
    )  # fmt: skip


def read_csv(path):
    return pd.read_csv(path, keep_default_na=False)


def test_cells(tmp_path):
    cells = [[0.5, 0.49999997, 1e-7], [0.1, 1, 0.9], [0, 0, 0]]
    Table(CLASSES).write(tmp_path, [result("a", cells)], "")
    parquet = pd.read_parquet(tmp_path / "predictions.parquet")
    assert list(parquet) == [*CELL_COLUMNS, *CLASSES.names]
    assert parquet["cell"].tolist() == [10, 20, 30]
    assert parquet[["y0", "x0", "y1", "x1"]].to_numpy().tolist()[1] == [2, 1, 3, 4]
    assert parquet["area"].tolist() == [3, 3, 3]
    assert parquet["touches_border"].tolist() == [True, False, False]
    assert parquet["locations"].tolist() == ["Nucleus", "Rods & rings|ER", ""]
    assert parquet["ER"].dtype == np.float32
    assert np.array_equal(parquet[list(CLASSES.names)].to_numpy(), np.array(cells, np.float32))


def test_csv_and_parquet_say_the_same(tmp_path):
    noise = np.random.default_rng(0).random((400, 3), np.float32)
    noise[::7] **= 20
    Table(CLASSES).write(tmp_path, [result("a", noise)], "")
    parquet = pd.read_parquet(tmp_path / "predictions.parquet")
    text = read_csv(tmp_path / "predictions.csv").astype(dict.fromkeys(CLASSES.names, "float32"))
    assert np.array_equal(text[list(CLASSES.names)], parquet[list(CLASSES.names)])
    assert (
        text.drop(columns=list(CLASSES.names))
        .astype(str)
        .equals(parquet.drop(columns=list(CLASSES.names)).astype(str))
    )


def test_fields(tmp_path):
    results = [
        result("a", [[0.9, 0.1, 0.6], [0.7, 0, 0]], pixel_size=0.08, notes=("one", "two")),
        result("b", []),
    ]
    Table(CLASSES).write(tmp_path, results, "")
    fields = read_csv(tmp_path / "fields.csv")
    start = ["field", "height", "width", "pixel_size", "cells", "locations"]
    assert list(fields) == [*start, *CLASSES.names, "notes", "sha256"]
    assert fields.iloc[0].tolist() == [
        "a",
        5,
        6,
        "0.08",
        2,
        "Nucleus|ER",
        2,
        0,
        1,
        "one; two",
        "ab",
    ]
    assert fields.iloc[1].tolist() == ["b", 1, 6, "", 0, "", 0, 0, 0, "", "ab"]


def test_odd_texts_survive(tmp_path):
    results = [result(name, [[0.5, 0.5, 0.5]], notes=(name,)) for name in ODD]
    Table(CLASSES).write(tmp_path, results, "stamp, too")
    for name in ("fields.csv", "predictions.csv"):
        table = read_csv(tmp_path / name)
        assert table["field"].tolist() == ODD
        assert table["stamp"].tolist() == ["stamp, too"] * 5
        assert list(table)[-1] == "stamp"
    assert read_csv(tmp_path / "fields.csv")["notes"].tolist() == ODD
    parquet = pd.read_parquet(tmp_path / "predictions.parquet")
    assert parquet["field"].tolist() == ODD and list(parquet)[-1] == "stamp"


def test_row_groups_are_equal_and_few_rows_wait_in_memory(tmp_path):
    noise = np.random.default_rng(0).random((700, 3), np.float32)
    pieces = [700] * 12 + [9500 - 700 * 12]
    results = (result(f"{i:02}", np.resize(noise, (n, 3))) for i, n in enumerate(pieces))
    Table(CLASSES, formats=["parquet"]).write(tmp_path, results, "")
    file = pq.ParquetFile(tmp_path / "predictions.parquet")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    assert groups == [ROW_GROUP, ROW_GROUP, 9500 - 2 * ROW_GROUP]
    assert pd.read_parquet(tmp_path / "predictions.parquet")["field"].is_monotonic_increasing


@pytest.mark.parametrize("formats", [["csv"], ["parquet"], ["csv", "parquet"], []])
def test_formats(tmp_path, formats):
    paths = Table(CLASSES, formats=formats).write(tmp_path, [result("a", [[0, 1, 0]])], "")
    names = {path.name for path in paths}
    assert names == {f"predictions.{end}" for end in formats} | {"fields.csv"}
    assert names == {path.name for path in tmp_path.iterdir()}


def test_threshold_is_compared_as_it_is_written(tmp_path):
    Table(CLASSES, threshold=0.3).write(tmp_path, [result("a", [[0.3, 0.29999998, 0.31]])], "")
    assert read_csv(tmp_path / "predictions.csv")["locations"].tolist() == ["Nucleus|ER"]
