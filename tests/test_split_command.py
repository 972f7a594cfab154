"""`hpazoo split`: from label tables to folds, and every way to get it wrong."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpazoo.cli import main

ATLAS = [f"{well // 4}_{well % 4}0_A{well + 1}_{side}" for well in range(60) for side in (1, 2)]
OTHERS = [f"image-{row}" for row in range(60)]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["split", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def table(tmp_path, name, ids, classes=19, **columns):
    rng = np.random.default_rng(len(ids))
    rows = [
        [one, "|".join(map(str, rng.choice(classes, 2, replace=False))), *more]
        for one, *more in zip(ids, *columns.values(), strict=True)
    ]
    path = tmp_path / f"{name}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["ID", "Label", *columns], *rows])
    return path


def folds_of(path):
    with path.open(newline="") as file:
        return {row["field"]: int(row["fold"]) for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def test_atlas_ids_are_grouped_by_antibody(tmp_path, capsys):
    path = table(tmp_path, "atlas", ATLAS)
    code, out, err = run(capsys, path, "--classes", "hpa-2021", "--folds", 3)
    assert (code, err) == (0, "")
    folder = tmp_path / "splits" / "atlas"
    assert {file.name for file in folder.iterdir()} == {
        "folds.csv",
        "split.json",
        "split.csv",
        "split.png",
    }
    folds = folds_of(folder / "folds.csv")
    assert list(folds) == sorted(ATLAS)
    of_antibody = {}
    for name, fold in folds.items():
        of_antibody.setdefault(name.partition("_")[0], set()).add(fold)
    assert len(of_antibody) == 15
    assert all(len(found) == 1 for found in of_antibody.values())
    assert set(folds.values()) == {0, 1, 2}
    said = json.loads((folder / "split.json").read_text())
    assert said["splitter"] == {"type": "groups", "by": "antibody", "folds": 3}
    assert [entry["share"] for entry in said["leakage"]] == [0, 0]
    assert "120 images in 3 folds of" in out
    assert "leakage: 0.0 % of 120 validation images share their antibody" in out
    assert "- {type: hpa-files, root: FOLDER, labels: " in out
    assert "splitter: {type: from-file, file: splits/atlas/folds.csv}" in out
    # a split of ours is made anew, the rows' order does not matter, and its own file repeats it
    first = (folder / "folds.csv").read_bytes()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert run(capsys, path, "--classes", "hpa-2021", "--folds", 3)[0] == 0
    assert (folder / "folds.csv").read_bytes() == first
    again = "{type: from-file, file: splits/atlas/folds.csv}"
    code, _, err = run(capsys, path, "--classes", "hpa-2021", "--splitter", again, "--out", "two")
    assert (code, err) == (0, "")
    assert folds_of(tmp_path / "two" / "folds.csv") == folds


def test_a_way_that_leaks_is_not_taken_unasked(tmp_path, capsys):
    path = table(tmp_path, "others", OTHERS, plate=[row % 9 for row in range(60)])
    code, _, err = run(capsys, path, "--classes", "hpa-2021")
    assert code == 2
    assert "60 of 60 ids do not tell the antibody (image-0, image-1, image-10)" in err
    for way in ("cosine-groups", "groups, column: plate}", "multilabel-stratified takes each"):
        assert way in err
    assert "by: well" not in err
    public = table(tmp_path, "public", ["20_A1_1", "20_A1_2", "20_A2_1"])
    _, _, err = run(capsys, public, "--classes", "hpa-2021")
    assert "'{type: groups, by: well}' keeps" in err
    assert "others: alone" not in err
    mixed = table(tmp_path, "mixed", [*ATLAS, "20_A1_1"])
    _, _, err = run(capsys, mixed, "--classes", "hpa-2021")
    assert "1 of 121 ids do not tell the antibody (20_A1_1)" in err
    assert "'{type: groups, by: antibody, others: alone}'" in err
    code, out, _ = run(
        capsys, path, "--classes", "hpa-2021", "--splitter", "multilabel-stratified", "--folds", 4
    )
    assert code == 0
    assert "60 images in 4 folds of 15" in out
    assert "no leakage figure" in out


def test_several_tables_in_several_lists(tmp_path, capsys):
    one = table(tmp_path, "one", ATLAS[:80], classes=15)
    two = table(tmp_path, "two", ATLAS[70:], classes=8)
    lists = ["--classes", "hpa-2021", "--in", "hpa-2018", "--in", "hpa-2021"]
    code, out, err = run(capsys, one, two, *lists)
    assert code == 1
    assert "with one id and different labels" in err
    two = table(tmp_path, "two", ATLAS[80:], classes=8)
    code, out, err = run(capsys, one, two, *lists)
    assert (code, err) == (0, "")
    assert len(folds_of(tmp_path / "splits" / "one+two" / "folds.csv")) == 120
    assert "one.csv: labels written in hpa-2018 were mapped" in out
    assert out.count("labels_in: hpa-2018") == 1


def test_embeddings_measure_or_make_a_split(tmp_path, capsys):
    path = table(tmp_path, "others", OTHERS)
    centres = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(np.repeat(centres, 3, axis=0).ravel(), 64)
    pq.write_table(pa.table({"field": OTHERS, "embedding": vectors}), tmp_path / "e.parquet")
    common = [path, "--classes", "hpa-2021", "--embeddings", "e.parquet", "--splitter"]
    code, out, _ = run(capsys, *common, "multilabel-stratified", "--out", "random")
    assert code == 0
    said = json.loads((tmp_path / "random" / "split.json").read_text())
    assert said["splitter"] == {"type": "multilabel-stratified", "embeddings": "e.parquet"}
    assert said["leakage"][0]["by"] == "embeddings"
    assert said["leakage"][0]["share"] > 0.5
    code, out, err = run(capsys, *common, "cosine-groups", "--out", "grouped")
    assert (code, err) == (0, "")
    said = json.loads((tmp_path / "grouped" / "split.json").read_text())
    assert said["splitter"] == {"type": "cosine-groups", "embeddings": "e.parquet"}
    assert said["leakage"][0]["share"] == 0 < 0.5 < said["leakage"][0]["random_split"]
    assert said["groups"]["count"] == 20
    assert "or, to divide the images that are there anew: splitter: {type: cosine-groups" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone.csv"], 2, "Path 'gone.csv' does not exist"),
        (["."], 1, ". is a folder; a table of images was expected"),
        (["atlas.csv", "--in", "hpa-2020"], 2, "unknown list of classes 'hpa-2020'; did you mean"),
        (["atlas.csv", "--in", "hpa-2018", "--in", "hpa-2021"], 2, "--in is given 2 times for 1"),
        (["atlas.csv", "--splitter", "group"], 2, "unknown splitter 'group'"),
        (["atlas.csv", "--splitter", "{type: groups, bye: well}"], 2, "did you mean 'by'?"),
        (["atlas.csv", "--splitter", "{type: groups"], 2, "--splitter:1:"),
        (["atlas.csv", "--splitter", "[groups]"], 2, "expected the name of a splitter, or a map"),
        (
            ["atlas.csv", "--splitter", "cosine-groups"],
            2,
            "'cosine-groups' needs --embeddings",
        ),
        (
            ["atlas.csv", "--splitter", "{type: cosine-groups, embeddings: resnet}"],
            2,
            "embeddings of 'resnet' are made from images, of which a table has none",
        ),
        (
            ["atlas.csv", "--splitter", "{type: groups, by: well, folds: 4}", "--folds", "5"],
            2,
            "--folds 5 and --splitter, 'folds: 4', contradict",
        ),
        (
            ["atlas.csv", "--splitter", "{type: holdout, share: 0.2}", "--folds", "5"],
            2,
            "splitter 'holdout' has no number of folds",
        ),
        (["atlas.csv", "--folds", "1"], 2, "--folds"),
        (["atlas.csv", "--embeddings", "atlas.csv"], 1, "atlas.csv cannot be read as Parquet"),
        (["atlas.csv", "--out", "full"], 2, "full is not empty and holds no split; choose another"),
        (["atlas.csv", "--out", "atlas.csv"], 2, "atlas.csv"),
        (["atlas.csv", "--out", "atlas.csv/x"], 1, "cannot be written"),
        (["wrong.csv"], 1, "If the table is written in hpa-2018, say so:"),
        ([], 2, "Missing argument 'TABLE...'"),
    ],
)
def test_messages(tmp_path, capsys, arguments, code, words):
    table(tmp_path, "atlas", ATLAS)
    (tmp_path / "wrong.csv").write_text("ID,Label\na,27\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    found, out, err = run(capsys, *arguments, "--classes", "hpa-2021")
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "splits").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
