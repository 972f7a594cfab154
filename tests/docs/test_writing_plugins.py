"""The code of docs/writing-plugins.md is the code that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpazoo.cli import templates
from hpazoo.registry import KINDS

SPEC = """\
hpazoo: 1
classes: hpa-2021
images: {type: synthetic, fields: 2, size: 128}
models:
  net:
    backbone: {type: resnet18, stem: torchvision}
    head: avg
    input: {size: 64, normalize: none}
    train: {loss: lab.brier, augment: [lab.dim]}
members: [{model: net, strategy: gap-mask}]
training:
  images: [{type: hpa-files, root: train, labels: train.csv}]
  splitter: lab.by-day
"""
CHECK = """
import torch
from hpazoo.augmentations import Example
assert Brier(2)(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])) == 0.25
bright = Example(np.full((4, 2, 2), 200, np.uint8), np.zeros(2, np.float32))
rng = np.random.default_rng(0)
assert {int(Dim(None).apply(bright, rng).pixels.max()) for _ in range(20)} == {100, 200}
hits = Hits("", np.array([1, 2]), np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]))
assert hits.values().tolist() == [1.0, 0.5]
assert np.isnan(hits.values(np.array([0, 3]))[0])
"""


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "writing-plugins.md").read_text(encoding="utf-8")


def test_the_component_is_the_one_that_new_makes(page: str) -> None:
    made = templates.PLUGIN["PACKAGE/median.py"]
    shown = re.findall(r"```python\n(.*?)```", page, re.S)[0]
    body = shown[shown.index("class Median") :]
    # the page leaves out an annotation that only a type checker wants
    made = made.replace("        median: np.ndarray = ", "        return ")
    made = made.replace("axis=0)\n        return median.astype", "axis=0).astype")
    assert body == made[made.index("class Median") :]


def test_the_entry_point_is_the_one_that_new_makes(page: str) -> None:
    shown = re.findall(r"```ini\n(.*?)```", page, re.S)[0]
    made = templates.PLUGIN["setup.cfg"].replace("NAME", "lab").replace("PACKAGE", "hpazoo_lab")
    assert shown in made


def test_the_notebook_code_runs(page: str, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", page, re.S)[1]
    check = "\nt = run.predictions\nassert not t['Cytosol'].between(0.0001, 0.5).any(), t\n"
    done = subprocess.run(
        [sys.executable, "-c", code + check],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_kinds_of_the_table_exist(page: str) -> None:
    kinds = re.findall(r"^\| ([a-z]+) \|", page, re.M)
    assert set(kinds) - {"kind"} <= set(KINDS)
    assert len(kinds) >= 8


def hpazoo(line: str, folder: Path) -> str:
    """What a command says, in a process of its own, since it brings components."""
    words = [sys.executable, "-m", *line.split()]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def parts(page: str, tmp_path: Path) -> Path:
    """A folder with the page's file of parts and what its commands name."""
    code = re.findall(r"```python\n(.*?)```", page, re.S)[2]
    (tmp_path / "parts.py").write_text(code, encoding="utf-8")
    days = [f"{name},{number % 3},{number % 4}" for number, name in enumerate("abcdefghijkl")]
    (tmp_path / "train.csv").write_text("\n".join(["ID,Label,day", *days, ""]), encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "check.py").write_text(code + CHECK, encoding="utf-8")
    truth = "ID,Label\nsynthetic_0-1_A1_1,0|3\nsynthetic_0-1_A1_2,18\n"
    (tmp_path / "truth.csv").write_text(truth, encoding="utf-8")
    return tmp_path


def test_a_reader_of_ones_own(page: str, tmp_path: Path) -> None:
    """Its cells are scored, coloured, and cut out to be learned from."""
    code = re.findall(r"```python\n(.*?)```", page, re.S)[3]
    (tmp_path / "disks.py").write_text(code, encoding="utf-8")
    (line,) = re.findall(r"^hpazoo run drawn-cells .+", page, re.M)
    said = hpazoo(line, tmp_path)
    assert "24 true and 24 predicted cells" in said
    assert "  runs/disks/pictures/disks_0_0.png and 3 more" in said
    check = (
        f"{code}\nfrom pathlib import Path\nfrom hpazoo.classes import class_list\n"
        "from hpazoo.readers import readers\n"
        f"reader = readers.build({{'type': 'cell-crops', 'of': 'lab.disks', 'labels': 'cell', "
        "'size': 32}, Path())\n"
        "table = reader.labels(class_list('hpa-2021'))\n"
        "assert len(table) == 24 and set(table.columns) == {'well', 'field'}\n"
        "assert reader.read(table.ids[0]).pixels.shape == (4, 32, 32)\n"
    )
    words = [sys.executable, "-c", check]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_splitter_of_ones_own(page: str, parts: Path) -> None:
    (line,) = re.findall(r"^hpazoo split .+", page, re.M)
    said = hpazoo(line, parts)
    assert "12 images in 2 folds of 6" in said
    assert "4 groups, each in one fold" in said


@pytest.mark.slow
def test_parts_for_training_and_scores(page: str, parts: Path) -> None:
    """The spec that names them runs, a metric scores, and each does what it says."""
    line = "hpazoo run spec.yaml --plugin parts.py"
    assert line in page
    hpazoo(f"{line} --random-weights --out runs/mine --quiet", parts)
    (line,) = re.findall(r"^hpazoo evaluate .+", page, re.M)
    assert "lab.first-guess: " in hpazoo(line, parts)
    words = [sys.executable, "check.py"]
    done = subprocess.run(words, cwd=parts, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
