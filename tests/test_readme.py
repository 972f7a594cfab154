"""The README shows what really happens."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpazoo.spec import load
from tests.docs.pages import DOCS, cli, shows

BROKEN = """\
hpazoo: 1
name: broken
classes: hpa-2021
images: {type: hpa-files, root: my-images}
models:
  net:
    backbone: inception-v3
    head: {type: attention, gird: 30}
    input: {size: 1024, normalize: per-image}
members:
  - {model: net, strategy: gapmask}
"""


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def block(readme: str, title: str) -> str:
    match = re.search(rf"<!-- {re.escape(title)} -->\n```\w+\n(.*?)```", readme, re.S)
    assert match, title
    return match[1]


def command(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", *arguments.split()]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_spec_is_the_shipped_one(readme: str, root: Path) -> None:
    shown = block(readme, "file: specs/quickstart.yaml")
    assert shown == (root / "specs" / "quickstart.yaml").read_text(encoding="utf-8")


def agrees(found: str, shown: str) -> bool:
    """Line for line, where `...` stands for any lines.

    Numbers may differ a little, since processors round differently.
    """
    number = re.compile(r"\d+\.\d+|(?<= )\.\d+")
    rows, gap = iter(line.rstrip() for line in found.strip().splitlines()), False
    for wanted in (line.rstrip() for line in shown.strip().splitlines()):
        if wanted == "...":
            gap = True
            continue
        for row in rows:
            same = number.sub("#", row) == number.sub("#", wanted)
            pairs = zip(number.findall(row), number.findall(wanted), strict=same)
            if same and all(abs(float(one) - float(two)) <= 0.02 for one, two in pairs):
                break
            if not gap:
                return False
        else:
            return False
        gap = False
    return gap or next(rows, None) is None


def test_sample_output(readme: str, tmp_path: Path) -> None:
    line = "hpazoo run drawn-cells --out runs/drawn-cells"
    done = command(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert agrees(done.stdout, block(readme, f"output: {line}")), done.stdout


def test_how_samples_are_compared() -> None:
    assert agrees("a 0.50\nb\nc 0.1", "a 0.51\n...\nc 0.1")
    assert not agrees("a 0.50\nb", "a 0.53\nb")
    assert not agrees("a 0.50\nb\nc", "a 0.50\nc")
    assert not agrees("a 0.50\nb\nc", "a 0.50\nb")
    assert not agrees("a 0.50", "a 0.50\n...\nb")


def test_what_the_quickstart_is_said_to_give(readme: str) -> None:
    """Training takes minutes; what is shown of it must at least be what its card promises."""
    shown = block(readme, "end of: hpazoo run quickstart --out runs/quickstart")
    line = r"^cell-map (0\.\d+) .*, by chance (0\.\d+)\n  alone: .*, whole (0\.\d+)$"
    found = re.search(line, shown, re.M)
    assert found
    value, chance, whole = map(float, found.groups())
    assert value > 0.30 and value > 3 * chance and value > whole
    assert re.search(r"^  runs/quickstart/pictures/synthetic_2-\S+\.png and 3 more$", shown, re.M)
    assert (DOCS / "pictures" / "quickstart.jpg").is_file()


def test_the_message(readme: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    done = command("hpazoo validate broken.yaml", tmp_path)
    assert done.returncode == 2
    assert done.stderr == block(readme, "output: hpazoo validate broken.yaml")


@pytest.mark.slow
def test_the_split_of_the_public_table(
    readme: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, to the last number."""
    shown = block(readme, "output: hpazoo split hpa2018_external.csv --classes hpa-2018")
    table = shared / "data" / "labels" / "hpa2018_external.csv"
    monkeypatch.chdir(tmp_path)
    code, said = cli(["hpazoo", "split", str(table), "--classes", "hpa-2018"])
    assert code == 0
    assert shows(said, f"{shown}...\n")
    rows = {" ".join(row.split()) for row in said.splitlines()}
    assert {" ".join(row.split()) for row in shown.splitlines()} - rows == {"..."}


def test_the_spec_that_trains(readme: str, tmp_path: Path) -> None:
    file = tmp_path / "my-spec.yaml"
    file.write_text(block(readme, "spec"), encoding="utf-8")
    assert load(file).models["net"].recipe is not None


def test_every_dependency_has_its_line(readme: str, root: Path) -> None:
    """And every component that the tables of dependencies name is there."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    asked = re.findall(r"^([\w.-]+)>=", config["options"]["install_requires"], re.M)
    tables = readme.partition("| asked for | used | why |")[2].partition("\n## ")[0].casefold()
    rows = " ".join(
        row.split("|")[1] + row.split("|")[2] for row in re.findall(r"^\|.+", tables, re.M)
    )
    assert len(asked) > 15
    assert [name for name in asked if name.casefold() not in rows] == []


def test_the_python_code_runs(readme: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "synthetic_4-1_A1_1" in done.stdout
