"""Lists of ids: what is read from which file, and what is said of files that are no lists."""

import csv

import pytest

from hpazoo.atlas_ids import NearIds, bare_id
from hpazoo.errors import HpazooError
from hpazoo.readers._field_names import channel_of
from hpazoo.readers._id_list import read_id_list


def ids(tmp_path, content: bytes | str, name: str = "list.txt") -> list[str]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_id_list(path)


@pytest.mark.parametrize(
    "content",
    [
        "b\na",
        "a\r\nb\r\n",
        "a\rb\r",
        "\n\n  a\t\n\n b \n\n",
        "b\na\nb\n",
        "ID\na\nb",
        '"Id"\n"a"\n"b"\n',
        "\ufeffid\na\nb\n",
        "\ufeffb\na\n".encode("utf-16-le"),
        "ID\tLabel\na\t1\nb\t2\n".encode("utf-16"),
        "ID,Label\nb,8|5\na,0\n",
        "Id,Target\r\na,16 0\r\n\r\nb,1\r\n",
        ",ID,Cellline,Label\n0,a,U-2 OS,1\n1,b,,\n",
        "Label\tid\n1\ta\n2\tb\n",
        "Label;ID\n1,5;a\n2,5;b\n",
        'Label, "x,y" ,ID\n1,"2,\n3",a\n"4 ""5""",6,b\n',
        "ID,Label\na,1\na,2\nb,1\n",
        "field,cell,area\na,1,9\na,2,9\nb,1,9\n",
        "field,ID\nx,a\ny,b\n",
        "ID,\na\nb\n",
    ],
)
def test_two_ids(tmp_path, content):
    assert ids(tmp_path, content) == ["a", "b"]


def test_ids_keep_what_belongs_to_them(tmp_path):
    assert ids(tmp_path, 'ID\n"a,b"\nx;y\nZ 1\nµ\n') == ["Z 1", "a,b", "x;y", "µ"]


def test_long_cells_of_a_submission(tmp_path):
    limit = csv.field_size_limit()
    row = "x,2048,2048," + "0 1 eNoLCAgIMAEABJkBdQ== " * 20_000
    assert ids(tmp_path, "ID,ImageWidth,ImageHeight,PredictionString\n" + row) == ["x"]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("hpa2021_sample_submission.csv", 559, "0040581b-f1f2-4fbe-b043-b6bfea5404bb"),
        ("hpa_public_excl_0_16.csv", 27066, "1000_E11_2"),
        ("hpa2018_train.csv", 31072, "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0"),
        ("hpa2018_external.csv", 74606, "17809_623_C10_2"),
        ("hpa2021_train.csv", 21806, "5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0"),
    ],
)
def test_tables_of_the_competitions(shared, name, count, first):
    found = read_id_list(shared / "data" / "labels" / name)
    assert len(found) == count
    assert first in found
    assert found == sorted(set(found))


ONE_PER_LINE = "; a text file with one id per line, or a CSV or TSV with a column ID, was expected"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ": there is no id in it" + ONE_PER_LINE),
        ("\n \r\n", ": there is no id in it"),
        ("ID\n", ": there is no id in it"),
        ("ID,Label\n\n", ": there is no id in it"),
        ("\nName,Label\nx,1\n", ", line 2: no column ID among Name, Label" + ONE_PER_LINE),
        (",Name\n0,x\n", ", line 1: no column ID among (unnamed), Name"),
        ("x,1\ny,2\n", ", line 1: no column ID among x, 1"),
        ("ID,Label,Id\nx,1,y\n", ", line 1: 2 columns of ids among ID, Label, Id; keep one"),
        ("Label,ID\n1,x\n2\n", ", line 3: no ID in this row; give it one or remove the row"),
        ("Label,ID\n1,x\n2, \n", ", line 3: no ID in this row"),
        ('ID,Label\nx,1\ny,"2\nz,3\n', ", line 4: not a table that can be read (unexpected end"),
        ('ID,Label\nx,"1"2\n', ", line 2: not a table that can be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ": PNG; a text file with one id per line"),
        (b"PK\x03\x04\x14\0\0\0xl/workbook.xml", ": a zip archive, as workbooks"),
        (b"a\0b", ": a binary file; a text"),
        ("ID\nKöln_1\n".encode("latin-1"), ": not UTF-8 text ("),
        (b"\xff\xd8\xff\xe0JFIF", ": JPEG ("),
        (b"\xff\xfea\0b", ": not UTF-8 text ("),
        ("ok\n" + "word " * 60, ", line 2: 299 characters, beginning with 'word word word"),
        ("a\x07b\n", r", line 1: 'a\x07b' has characters that no id has"),
        ('ID,n\n"a\nb",1\n', r", line 3: 'a\nb' has characters"),
        ("x\ntrain/y_red.png\n", ", line 2: 'train/y_red.png' is a path; an id is the name of"),
        ("x\ntrain/y_red.png\n", "folder, channel and suffix; did you mean 'y'?"),
        ("C:\\data\\1_A1_1_blue_red_green.jpg", "did you mean '1_A1_1'?"),
        ("../../../etc/passwd", ", line 1: '../../../etc/passwd' is a path"),
        ("ID,n\n/x,1\n", ", line 2: '/x' is a path"),
    ],
)
def test_messages(tmp_path, content, words):
    with pytest.raises(HpazooError) as caught:
        ids(tmp_path, content)
    assert type(caught.value) is HpazooError
    assert str(caught.value).startswith(str(tmp_path / "list.txt"))
    assert words in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(HpazooError, match=r"no file .*gone\.csv; a text file .* \(--data\)"):
        read_id_list(tmp_path / "gone.csv")
    with pytest.raises(HpazooError, match="is a folder; a text file with one id"):
        read_id_list(tmp_path)
    with pytest.raises(HpazooError, match="cannot be read: Not a directory"):
        (tmp_path / "x").write_text("")
        read_id_list(tmp_path / "x" / "y")


FIVE_PARTS = "36228_1717_A7_17_cr57f520543a39a"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("800_A6_1_blue.jpg", ("800_A6_1", "blue")),
        ("35_800_A6_1_RED.PNG", ("35_800_A6_1", "red")),
        (f"{FIVE_PARTS}_green.tif.gz", (FIVE_PARTS, "green")),
        (f"{FIVE_PARTS}_green_red.tif.gz", None),
        ("800_A6_1_blue_red_green.jpg", None),
        ("800_A6_1_blue_red_green_yellow.jpg", None),
        ("800_A6_1_segmentation.png", None),
        ("800_A6_1_red.txt", None),
        ("_red.png", None),
    ],
)
def test_names_of_files(name, known):
    assert channel_of(name) == known


@pytest.mark.parametrize(
    "text",
    ["x", "x.png", "x_red.png", "a/b/x_green.tif.gz", "x_blue_red_green.jpg", "x_cell_mask.npy"],
)
def test_bare_ids(text):
    assert bare_id(text) == "x"
    assert bare_id(".png") == ".png"


FOUND = ["800_A6_1", "35_801_B2_3", "1717_A7_17", "9_1718_A7_17_cr57f520543a39a", "ABC-def"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("800_A6_1_red", "800_A6_1"),
        ("800_A6_1.jpg", "800_A6_1"),
        ("800_a6_1", "800_A6_1"),
        ("35_800_A6_1", "800_A6_1"),
        ("801_B2_3", "35_801_B2_3"),
        ("36228_1717_A7_17_cr57f520543a39a_green.png", "1717_A7_17"),
        ("9_1718_A7_17", "9_1718_A7_17_cr57f520543a39a"),
        ("1718_A7_17", "9_1718_A7_17_cr57f520543a39a"),
        ("abc-DEF", "ABC-def"),
    ],
)
def test_what_was_meant(wanted, meant):
    assert NearIds(FOUND).hint(wanted) == f"; did you mean '{meant}'?"


@pytest.mark.parametrize("wanted", ["800_A6_2", "800_A7_1", "ABC-deg", "A6_1", "", "cr57f"])
def test_another_field_is_not_what_was_meant(wanted):
    assert NearIds(FOUND).hint(wanted) == ""
