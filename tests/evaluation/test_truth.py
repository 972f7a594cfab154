"""Truth files in their three forms, and what can be wrong with them."""

import numpy as np
import pandas as pd
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.evaluation.reader_truth import truth_of
from hpazoo.evaluation.truth import read_truth
from hpazoo.fields import Field
from hpazoo.readers import readers
from tests.evaluation.material import CLASSES, cells, write_masks, write_rows, write_submission

OF_2018 = class_list("hpa-2018")
HEADER = "field,cell,locations"
LABELS = cells((2, 3, 9, 20), (10, 3, 20, 20), (22, 0, 30, 11))


def named(rows: np.ndarray) -> list[str]:
    return ["|".join(CLASSES.names[k] for k in np.flatnonzero(row)) for row in rows]


def problem(path, written=None, masks=None) -> str:
    with pytest.raises(HpazooError) as caught:
        read_truth(path, CLASSES, written, masks)
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (HEADER, ["x,2,Nucleoli|Cytosol", "x,1,Negative"]),
        ("ID;Cell;Label", ["x;2;16|2", "x;1;18"]),
        ("cell\tnote\timage\tlocations", ["1.0\t?\tx\tNegative", "2\t\tx\tCytosol|Nucleoli"]),
    ],
)
def test_tables_of_cells(tmp_path, header, rows):
    truth = read_truth(write_rows(tmp_path / "t.csv", header, rows), CLASSES)
    found = truth.of("x", None)
    assert list(truth.fields) == ["x"]
    assert found.ids.tolist() == [1, 2]
    assert named(found.truth) == ["Negative", "Nucleoli|Cytosol"]
    assert truth.notes() == []


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_per_class(tmp_path, form):
    """All 0 says that a cell is in none of the classes; nothing at all says nothing."""
    table = pd.DataFrame(0.0, index=range(3), columns=list(CLASSES.names))
    table.loc[0, ["Aggresome", "Nucleoli"]] = 1
    table.loc[2] = np.nan
    table = table.assign(field="x", cell=[4, 5, 6], note="seen")
    path = tmp_path / f"t.{form}"
    table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path)
    truth = read_truth(path, CLASSES)
    found = truth.of("x", None)
    assert found.ids.tolist() == [4, 5]
    assert named(found.truth) == ["Nucleoli|Aggresome", ""]
    assert truth.notes() == ["1 row without any location: these cells count as not annotated"]


def test_parquet_with_lists(tmp_path):
    table = pd.DataFrame({"field": "x", "cell": [7], "locations": [["Nucleoli", "Cytosol"]]})
    table.to_parquet(tmp_path / "t.parquet")
    found = read_truth(tmp_path / "t.parquet", CLASSES).of("x", None)
    assert named(found.truth) == ["Nucleoli|Cytosol"]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    assert "cannot be read as Parquet" in problem(tmp_path / "t.parquet")


def test_rows_of_one_cell(tmp_path):
    """The same said twice counts once; something else is an error with both places."""
    rows = ["x,1,Nucleoli|Cytosol", "x,1,16|2", "y,1,Negative"]
    truth = read_truth(write_rows(tmp_path / "t.csv", HEADER, rows), CLASSES)
    assert truth.notes() == ["1 row said again what another says: counted once"]
    text = problem(write_rows(tmp_path / "t.csv", HEADER, [*rows, "x,1,Cytosol"]))
    assert text.startswith(f"{tmp_path / 't.csv'}: 1 problem\n  line 5: cell 1 of 'x' stands on")
    assert "line 2 with other locations; a cell has one row, its locations joined by |" in text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,1,Nucleolli", "as locations of hpa-2021: 'Nucleolli', did you mean 'Nucleoli'?"),
        ("x,1,19", "line 2: cannot be read as locations of hpa-2021: 19"),
        ("x,1,Lysosomes", "line 2: cannot be read as locations of hpa-2021: 'Lysosomes'"),
        ("x,1,Nucleoli|", "of hpa-2021: a separator with no label beside it"),
        ("x,0,Nucleoli", "line 2: '0' is no id of a cell, a whole number from 1 on"),
        ("x,-1,Nucleoli", "line 2: '-1' is no id of a cell"),
        ("x,1.5,Nucleoli", "line 2: '1.5' is no id of a cell"),
        ("x,99999999999999999999,Nucleoli", "is no id of a cell"),
        (",1,Nucleoli", "line 2: no field in this row"),
        ("x,1", "line 2: 2 values, fewer than there are columns"),
        ("a/x,1,Nucleoli", "'a/x' is a path; an id is the name"),
    ],
)
def test_broken_rows(tmp_path, row, message):
    text = problem(write_rows(tmp_path / "t.csv", HEADER, [row, "y,1,Cytosol"]))
    assert text.startswith(f"{tmp_path / 't.csv'}: 1 problem\n")
    assert message in text


def test_all_problems_at_once(tmp_path):
    rows = [f"x,{k},Nowhere" for k in range(1, 30)]
    lines = problem(write_rows(tmp_path / "t.csv", HEADER, rows)).splitlines()
    assert lines[0].endswith("29 problems")
    assert lines[-2].strip() == "... and 19 more"
    assert lines[-1] == "mend these rows, or remove them"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("field,cell,nucleoli,cytosol", "columns for 2 of the 19 classes of hpa-2021, none for"),
        ("field,cell,where", "no column of locations among field, cell, where; expected a table"),
        ("well,cell,locations", "no column of fields among well, cell, locations; expected"),
        ("field,cell,cell,locations", "2 columns 'cell'; keep one"),
        ("field,cell,locations,locations", "2 columns 'locations'; keep one"),
        ("field,area", "no column of labels among field, area"),
    ],
)
def test_wrong_columns(tmp_path, header, message):
    row = ",".join(["1"] * len(header.split(",")))
    text = problem(write_rows(tmp_path / "t.csv", header, [row]))
    assert text.startswith(str(tmp_path / "t.csv"))
    assert message in text


def test_no_table_at_all(tmp_path):
    path = tmp_path / "t.csv"
    assert problem(path).startswith(f"there is no file {path}; expected a table of cells (field,")
    assert problem(tmp_path).startswith(f"{tmp_path} is a folder; expected a table of cells")
    path.write_bytes(b"")
    assert problem(path).startswith(f"{path} is empty; expected a table of cells")
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\0")
    assert problem(path).startswith(f"{path}: PNG; expected a table of cells")
    assert "no row says which locations a cell has" in problem(write_rows(path, HEADER, []))
    assert "no row says which" in problem(write_rows(path, HEADER, ["x,1,", "x,2,"]))


def test_another_list_of_classes(tmp_path):
    """What has no counterpart is counted; a table that only another list explains says so."""
    rows = ["x,1,23", "x,2,27", "x,3,27|0", "y,1,Rods & rings"]
    path = write_rows(tmp_path / "t.csv", HEADER, rows)
    assert problem(path).endswith("if the truth is written in hpa-2018, say so: --classes hpa-2018")
    truth = read_truth(path, CLASSES, OF_2018)
    assert list(truth.fields) == ["x"]
    found = truth.of("x", None)
    assert (found.ids.tolist(), named(found.truth)) == ([1, 3], ["Mitochondria", "Nucleoplasm"])
    between = "without counterpart in hpa-2021 (mapped from hpa-2018)"
    assert truth.notes() == [
        "locations written in hpa-2018 were mapped to hpa-2021",
        f"2 cells left out: having only locations {between}",
        f"1 cell lost a location {between}",
    ]
    with pytest.raises(UsageError, match="no map of classes leads from the one to the other"):
        read_truth(path, OF_2018, CLASSES)


def test_masks_of_a_table(tmp_path):
    path = write_rows(tmp_path / "t.csv", HEADER, ["x,3,Cytosol", "x,1,Nucleoli"])
    masks = write_masks(tmp_path / "masks", {"x": LABELS})
    truth = read_truth(path, CLASSES, None, masks)
    found = truth.of("x", (32, 32))
    assert not truth.by_ids
    assert found.row.tolist() == [0, 2]
    assert found.shapes.areas.tolist() == [int((k == LABELS).sum()) for k in (1, 2, 3)]
    assert truth.as_json()["masks"]["fields"] == 1
    with pytest.raises(
        HpazooError, match=r"x.png: 32 x 32 .width x height., but the field x is 16"
    ):
        truth.of("x", (32, 16))
    write_rows(path, HEADER, ["x,9,Cytosol", "x,1,Nucleoli"])
    with pytest.raises(HpazooError, match="'x': no mask of cell 9 in its label image, whose cells"):
        read_truth(path, CLASSES, None, masks).of("x", (32, 32))
    (masks / "x.png").write_bytes(b"")
    with pytest.raises(HpazooError, match=r"x.png: the file is empty; PNG, TIFF or npy"):
        truth.of("x", (32, 32))
    (masks / "x.png").unlink()
    with pytest.raises(HpazooError, match="x: no label image in "):
        truth.of("x", (32, 32))
    assert "is a file; give the folder of label images" in problem(path, None, path)
    assert "is not there; give the folder" in problem(path, None, tmp_path / "none")


def test_a_submission_is_a_truth(tmp_path):
    """A mask is one cell with all its classes; its confidences say nothing."""
    one, two = LABELS == 1, LABELS == 2
    said = [(2, 0.5, one), (16, 1, one), (2, 0.1, one), (0, 1, two), (1, 1, LABELS > 9)]
    path = write_submission(tmp_path / "t.csv", {"x": (32, 32, said), "y": (32, 32, [])})
    truth = read_truth(path, CLASSES)
    found = truth.of("x", (32, 32))
    assert named(found.truth) == ["Nucleoli|Cytosol", "Nucleoplasm"]
    assert found.shapes.areas.tolist() == [one.sum(), two.sum()]
    assert len(truth.of("y", None).truth) == 0
    assert truth.notes() == [
        "1 true mask without a pixel dropped",
        "1 true mask said again with the same class: counted once",
    ]
    with pytest.raises(HpazooError, match=r"'x' is 32 x 32 px .width x height. in t.csv, but 64 x"):
        truth.of("x", (32, 64))
    assert "has masks of its own; leave out --truth-masks" in problem(path, None, tmp_path)


def test_image_labels(tmp_path):
    path = write_rows(tmp_path / "t.csv", "ID,Label", ["x,16|2", "y,18"])
    truth = read_truth(path, CLASSES)
    found = truth.of("x", (32, 32))
    assert not truth.cells_known
    assert not found.cells_known
    assert named(found.labels[None]) == ["Nucleoli|Cytosol"]
    assert "says what is true of images, not of cells; leave out" in problem(path, None, tmp_path)
    of_2018 = write_rows(tmp_path / "old.csv", "Id,Target", ["x,23 0", "y,21"])
    assert problem(of_2018).endswith("if it is written in hpa-2018, say so: --classes hpa-2018")
    found = read_truth(of_2018, CLASSES, OF_2018).of("x", None)
    assert named(found.labels[None]) == ["Nucleoplasm|Mitochondria"]
    assert "'Nowhere'" in problem(write_rows(path, "ID,Label", ["x,Nowhere"]))
    write_rows(path, "ID,Label", ["x,16|2", "y,18"])
    pd.read_csv(path).to_parquet(tmp_path / "t.parquet")
    assert "no column 'cell'" in problem(tmp_path / "t.parquet")


def test_what_a_reader_knows(tmp_path):
    config = {"type": "synthetic", "fields": 3, "size": 128, "seed": 3}
    reader = readers.build(config, tmp_path)
    truth = truth_of(reader, config, reader.ids()[:2], CLASSES)
    assert truth is not None
    assert list(truth.fields) == reader.ids()[:2]
    field = reader.read(reader.ids()[1])
    found = truth.of(field.id, field.shape)
    assert 0 < len(found.ids) <= len(found.shapes)
    assert [set(text.split("|")) for text in named(found.truth)] == [
        set(field.truth[cell]) for cell in found.ids.tolist()
    ]
    areas = [int((field.masks == cell).sum()) for cell in found.ids.tolist()]
    assert found.shapes.areas[found.row].tolist() == areas
    (tmp_path / "images").mkdir()
    write_rows(tmp_path / "labels.csv", "ID,Label", ["x,16|2", "y,18"])
    config = {"type": "hpa-files", "root": "images", "labels": "labels.csv"}
    truth = truth_of(readers.build(config, tmp_path), config, ["y", "z"], CLASSES)
    assert list(truth.fields) == ["y"]
    assert named(truth.of("y", None).labels[None]) == ["Negative"]
    config = {"type": "hpa-files", "root": "images", "labels": None}
    assert truth_of(readers.build(config, tmp_path), config, ["y"], CLASSES) is None


class Knowing:
    """A reader of one field, which says of its cells what it was given."""

    gives = ("masks", "truth")

    def __init__(self, masks, truth):
        self.field = Field("x", np.zeros((4, 32, 32), np.uint8), masks=masks, truth=truth)

    def ids(self):
        return ["x"]

    def stamp(self, field_id):
        return ""

    def read(self, field_id):
        return self.field


@pytest.mark.parametrize(
    ("masks", "truth", "message"),
    [
        (LABELS, {1: ("Cytosol",), 2: ("Nowhere",)}, "'x': cell 2: unknown class 'Nowhere' of hpa"),
        (LABELS, {1: ("Nukleoli",)}, "of hpa-2021; did you mean 'Nucleoli'?"),
        (LABELS, {0: ("Cytosol",)}, "'x': its reader knows cell 0, but gives no mask"),
        (LABELS, {2**70: ("Cytosol",)}, "'x': its reader knows cell 1180591620717411303424, but"),
        (LABELS, {1: None}, "x: reader 'lab.x' says None of cell 1; a tuple of names of"),
        (LABELS, {1: "Cytosol"}, "x: reader 'lab.x' says 'Cytosol' of cell 1; a tuple of names of"),
        (LABELS, {"1": ("Cytosol",)}, "x: reader 'lab.x' gives the truth of a cell '1'; the id of"),
        (LABELS, {1.5: ("Cytosol",)}, "x: reader 'lab.x' gives the truth of a cell 1.5; the id of"),
        (LABELS, None, "x: reader 'lab.x' gives the truth None; a dict is expected, ids of cells"),
        (
            LABELS + 0.4,
            {},
            "'x': the masks of its reader: a label image is (height, width) of whole",
        ),
        (LABELS - 1, {}, "'x': the masks of its reader: labels must lie in 0 .. 2**63 - 1; this"),
        (LABELS.tolist(), {}, "'x': its reader gives no array of masks, so its truth has no place"),
        (None, {}, "'x': its reader gives no array of masks, so its truth has no place"),
    ],
)
def test_what_a_reader_may_not_say(masks, truth, message):
    known = truth_of(Knowing(masks, truth), {"type": "lab.x"}, ["x"], CLASSES)
    with pytest.raises(HpazooError) as caught:
        known.of("x", (32, 32))
    assert message in str(caught.value)


def test_what_a_reader_may_say():
    """Ids of numpy too, and any order and number of cells; not each has to be known."""
    truth = {np.int64(3): ["Nucleoli", "Nucleoli"], 1: {"Cytosol"}}
    known = truth_of(Knowing(LABELS, truth), {"type": "lab.x"}, ["x"], CLASSES)
    found = known.of("x", (32, 32))
    assert found.ids.tolist() == [1, 3]
    assert named(found.truth) == ["Cytosol", "Nucleoli"]
    assert found.row.tolist() == [0, 2]


def test_text_that_parquet_holds_as_bytes(tmp_path):
    table = pd.DataFrame({"field": [b"x"], "cell": [7], "locations": [b"Nucleoli"]})
    table.to_parquet(tmp_path / "t.parquet")
    truth = read_truth(tmp_path / "t.parquet", CLASSES)
    assert named(truth.of("x", None).truth) == ["Nucleoli"]


def test_cells_whose_ids_have_another_name(tmp_path):
    """Advice to keep one row of each image would cost all cells but one."""
    rows = ["x,1,Nucleoli", "x,2,Cytosol", "y,1,Cytosol"]
    text = problem(write_rows(tmp_path / "t.csv", "field,label_id,locations", rows))
    assert text.endswith("If each row is a cell, the column of its id is to be named cell")
    once = problem(write_rows(tmp_path / "t.csv", "field,label_id,locations", ["x,1,Nuclei"]))
    assert "named cell" not in once
