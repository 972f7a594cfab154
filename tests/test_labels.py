"""Tables of labels: every form there is read alike, and whatever is wrong is said with its line."""

import os
import time

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.labels import LabelTable, read_labels, union

OLD, NEW = class_list("hpa-2018"), class_list("hpa-2021")
PER_CLASS = ",".join(NEW.names)


def table(tmp_path, content, classes=NEW, **options):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_labels(path, classes, **options)


def marks(*shown):
    return ",".join("01"[index in shown] for index in range(len(NEW)))


@pytest.mark.parametrize(
    "content",
    [
        "ID,Label\nb,8|5\na,0\n",
        "Id,Target\r\nb,8 5\r\na,0\r\n",
        "\ufeffid;labels\nb;5|8\na;0\n",
        "ID\tLabel\nb\t5|8|5\na\t0\n".encode("utf-16"),
        ",ID,Cellline,Label,Labels_list\n0,b,U-2 OS,8|5,[8|5]\n1,a,A-431,0,[0]\n",
        'field,locations\nb,Nuclear bodies|Intermediate filaments\n"a",Nucleoplasm\n',
        'ID,Label\nb,"5, 8"\n\na,0\n',
        "ID,Label\nb,5;8\na,0\n",
        "ID,Label\nb,8|5\na,0\nb,5|8\n",
        f"ID,{PER_CLASS}\nb,{marks(5, 8)}\na,{marks(0)}\n",
        f"ID,{PER_CLASS.upper()}\nb,{marks(5, 8).replace('0', 'false')}\na,{marks(0)}\n",
        f"ID,{','.join(map(str, range(19)))}\nb,{marks(5, 8).replace('1', '1.0')}\na,{marks(0)}\n",
    ],
)
def test_forms(tmp_path, content):
    found = table(tmp_path, content)
    assert found.ids == ("b", "a")
    assert [np.flatnonzero(row).tolist() for row in found.labels] == [[5, 8], [0]]
    assert found.named(0) == "Nuclear bodies|Intermediate filaments"
    assert found.source.endswith("labels.csv")


def test_other_columns_are_kept(tmp_path):
    found = table(tmp_path, ",ID,Cellline,Label,n\n0,b,U-2 OS,8,1\n1,a,,0\n")
    assert found.columns == {"Cellline": ("U-2 OS", ""), "n": ("1", "")}
    turned = found.take([1], "a note")
    assert (turned.ids, turned.columns["Cellline"], turned.notes) == (("a",), ("",), ("a note",))
    assert turned.labels.sum() == 1


def test_labels_of_a_run_are_its_called_locations(tmp_path):
    """fields.csv has a column per class too, which counts cells."""
    found = table(
        tmp_path, f"field,cells,locations,{PER_CLASS}\nx,9,Cytosol,{','.join(['3'] * 19)}\n"
    )
    assert found.named(0) == "Cytosol"


def test_another_list_is_mapped_and_losses_are_counted(tmp_path):
    content = "Id,Target\nall,15 27\nsome,15 25\nkept,8 9 21\n"
    found = table(tmp_path, content, written_in=OLD)
    assert found.ids == ("some", "kept")
    assert [found.named(row) for row in (0, 1)] == [
        "Cytosol",
        "Plasma membrane|Vesicles and punctate cytosolic patterns",
    ]
    assert found.notes[0] == "labels written in hpa-2018 were mapped to hpa-2021"
    assert found.notes[1].startswith("1 image left out")
    assert found.notes[1].endswith("1 more lost some of their labels so")
    with pytest.raises(HpazooError, match="no image has a label that hpa-2021 knows"):
        table(tmp_path, "Id,Target\nx,15\n", written_in=OLD)
    with pytest.raises(UsageError, match="no map of classes leads there"):
        table(tmp_path, "Id,Target\nx,15\n", OLD, written_in=NEW)


def test_excluded_classes(tmp_path):
    content = "ID,Label\na,0|1\nb,16\nc,1\n"
    found = table(tmp_path, content, exclude=["Nucleoplasm", "Cytosol"])
    assert found.ids == ("c",)
    assert found.notes == ("2 images with Nucleoplasm or Cytosol left out of 3",)
    with pytest.raises(HpazooError, match="every image has Nucleoplasm"):
        table(tmp_path, "ID,Label\na,0\n", exclude=["Nucleoplasm"])
    with pytest.raises(UsageError, match="did you mean 'Cytosol'"):
        table(tmp_path, content, exclude=["Cytosl"])


def test_a_short_table_in_a_longer_list_is_doubted(tmp_path):
    rows = "".join(f"x{row},{row % 19}\n" for row in range(1000))
    assert (
        "as if the table were written in hpa-2021"
        in table(tmp_path, "ID,Label\n" + rows, OLD).notes[0]
    )
    assert not table(tmp_path, "ID,Label\n" + rows).notes


EXPECTED = "a table of images was expected: a column ID, and one of their labels"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ": the file is empty; " + EXPECTED),
        ("\n \n", ": the file is empty"),
        ("ID,Label\n\n", ": there is no image in it; " + EXPECTED),
        ("a,0\n", ", line 1: no column ID among a, 0; " + EXPECTED),
        ("ID,PredictionString\na,0 1 eN\n", "no column of labels among ID, PredictionString; "),
        ("ID,Label,field,id\na,0,b,c\n", "2 columns of ids among"),
        ("ID,Label,Target\na,0,0\n", "2 columns of labels (Label, Target); keep one"),
        ("field,cell,locations\na,1,Cytosol\n", "a table of cells, with a column 'cell'; "),
        (
            "ID,Cytosol,Negative\na,1,0\n",
            "columns for 2 of the 19 classes of hpa-2021, none",
        ),
        (f"ID,{PER_CLASS}\na,{marks(1)[:-1]}2\n", "'2' in the column 'Negative', neither 0 nor 1"),
        (f"ID,{PER_CLASS}\na,{marks()}\n", "1 image without labels, line 2 (a); give"),
        ("ID,Label\na,0\nb,\nc, \n", "2 images without labels, line 3 (b), 4 (c); give them"),
        ("ID,Label\na,0\n,1\n", "no id in 1 row, line 3; give"),
        ("ID,Label\na,0\na,1\n", "1 image with two different sets of labels: a (lines 2 and 3)"),
        ("ID,Label\na,0\nb,Cytosl\n", "'Cytosl', did you mean 'Cytosol'? (line 3)"),
        ("ID,Label\na,Lysosomes\n", "'Lysosomes', a class of hpa-2018 (line 2)"),
        ("ID,Label\na,0||1\n", "a separator with no label beside it (line 2)"),
        ("ID,Label\na,[18]\n", "'[18]' (line 2)"),
        ("ID,Label\na,-1\n", "'-1' (line 2)"),
        ("ID,Label\na,1.5\n", "'1.5' (line 2)"),
        ("ID,Label\na," + "9" * 5000 + "\n", "hpa-2021 (0 to 18) does not have, in 1 row: 99999"),
        ("ID,Label\na,0\nb,25\nc,25|27\n", "in 2 rows: 25 (line 3 and 1 more)"),
        ("ID,Label\nx/a,0\n", ", line 2: 'x/a' is a path; an id is the name"),
        ("ID,Label\na,0,1\n", ", line 2: 3 cells under 2 columns; put text"),
        ('ID,Label\na,"0\n', "not a table that can be read"),
        (b"\x89PNG\r\n\x1a\n\0", ": PNG; " + EXPECTED),
        ("ID,Label\nKöln,1\n".encode("latin-1"), ": not UTF-8 text ("),
    ],
)
def test_messages(tmp_path, content, words):
    with pytest.raises(HpazooError) as caught:
        table(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "labels.csv"))
    assert words in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(HpazooError) as caught:
        table(tmp_path, "ID,Label\n,0\na,99\nb,\nc,1\nc,2\n")
    text = str(caught.value)
    assert text.count("\n  and: ") == 3
    assert all(line in text for line in ("line 2", "line 3", "line 4", "lines 5 and 6"))


def test_the_list_that_fits_is_named(tmp_path):
    content = "ID,Label\na,0\nb,27\n"
    with pytest.raises(HpazooError, match="written in hpa-2018, say so: 'labels_in: hpa-2018'"):
        table(tmp_path, content)
    with pytest.raises(HpazooError) as caught:
        table(tmp_path, "ID,Label\na,0\nb,28\n")
    assert "written in" not in str(caught.value)
    with pytest.raises(HpazooError, match="written in hpa-2021, leave 'labels_in' or '--in' out"):
        table(tmp_path, "ID,Label\na,Negative\n", written_in=OLD)


def of(source, rows, **columns):
    labels = np.zeros((len(rows), len(NEW)), bool)
    for row, shown in enumerate(rows.values()):
        labels[row, shown] = True
    return LabelTable(NEW, tuple(rows), labels, columns, source=source)


def test_union():
    one = of("one.csv", {"a": [1], "1_A1_1": [2], "b": [3]}, line=("x", "y", "z"))
    two = of("two.csv", {"b": [3], "9_1_a1_1_cr0f": [4], "c": [0, 5]})
    joined = union([one, two])
    assert joined.ids == ("a", "1_A1_1", "b", "9_1_a1_1_cr0f", "c")
    assert joined.columns == {"line": ("x", "y", "z", "", "")}
    assert [joined.named(row).count("|") for row in range(5)] == [0, 0, 0, 0, 1]
    again, near = joined.notes
    assert again == "1 image in more than one table, with equal labels: counted once"
    assert near.startswith("1 image most probably there twice, under two ids (1_A1_1 and 9_1_a1_1")
    assert "1 of them with different labels" in near
    other = of("three.csv", {"b": [4]})
    with pytest.raises(HpazooError) as caught:
        union([one, other])
    assert "b (Nucleoli fibrillar center and Nuclear speckles)" in str(caught.value)
    assert "one.csv, three.csv" in str(caught.value)


REAL = [
    ("hpa2018_train.csv", OLD, None, 31072, 12885),
    ("hpa2018_train.csv", NEW, OLD, 31044, 12885),
    ("hpa2018_external.csv", NEW, OLD, 74464, 28073),
    ("hpa2021_train.csv", NEW, None, 21806, 8797),
    ("hpa_public_excl_0_16.csv", NEW, None, 27066, 0),
]


@pytest.mark.parametrize(("name", "classes", "written", "images", "nucleoplasm"), REAL)
def test_real_tables(shared, name, classes, written, images, nucleoplasm):
    begin = time.process_time()
    found = read_labels(shared / "data" / "labels" / name, classes, written_in=written)
    assert time.process_time() - begin < 2
    assert len(found) == images
    assert found.labels[:, 0].sum() == nucleoplasm
    assert found.labels.any(axis=1).all()
    assert len(found.columns) == (2 if "public" in name else 0)


def test_real_tables_in_the_wrong_list_and_together(shared):
    folder = shared / "data" / "labels"
    with pytest.raises(HpazooError, match=r"42756 rows: 25 \(line 5 and 27739 more\).* hpa-2018"):
        read_labels(folder / "hpa2018_external.csv", NEW)
    external = read_labels(folder / "hpa2018_external.csv", NEW, written_in=OLD)
    public = read_labels(folder / "hpa_public_excl_0_16.csv", NEW)
    notes = union([external, public]).notes
    assert notes[-1].startswith("20646 images most probably there twice")
    first = read_labels(folder / "hpa2018_train.csv", NEW, written_in=OLD)
    with pytest.raises(HpazooError, match="571 images with one id and different labels"):
        union([first, read_labels(folder / "hpa2021_train.csv", NEW)])


def test_numbers_that_pandas_made_fractions(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ID,Label\na,3.0\nb,16.0\n")
    table = read_labels(path, NEW)
    assert [table.named(row) for row in (0, 1)] == [NEW.names[3], NEW.names[16]]
    path.write_text("ID,Label\na,3.5\n")
    with pytest.raises(HpazooError, match=r"'3\.5' \(line 2\)"):
        read_labels(path, NEW)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\x03\x04\x14\0", "workbooks of spreadsheets are \\(save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\0", "an old Office file \\(save the sheet"),
        (b"PAR1\x15\0", "Parquet \\(save it as CSV"),
    ],
)
def test_tables_of_other_programs_are_named(tmp_path, head, kind):
    (tmp_path / "t").write_bytes(head)
    with pytest.raises(HpazooError, match=kind):
        read_labels(tmp_path / "t", NEW)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(HpazooError, match="no file but a pipe or a device"):
        read_labels(tmp_path / "t.csv", NEW)
