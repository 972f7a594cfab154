"""The README shows what really happens."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpazoo.spec import load
from tests.docs.pages import cli, shows

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


def test_sample_output(readme: str, tmp_path: Path) -> None:
    """Line for line; numbers may differ a little, since processors round differently."""
    line = "hpazoo run quickstart --random-weights --out runs/quickstart"
    expected = [row.rstrip() for row in block(readme, f"output: {line}").splitlines()]
    done = command(line, tmp_path)
    assert done.returncode == 0, done.stderr
    found = [row.rstrip() for row in done.stdout.strip().splitlines()]
    # the third likeliest of random numbers may be another one elsewhere
    third = re.compile(r"(, [^,]+ \d\.\d+), [^,]+ \d\.\d+$")
    found, expected = ([third.sub(r"\1", row) for row in rows] for rows in (found, expected))
    number = re.compile(r"\d+\.\d+")
    assert [number.sub("#", row) for row in found] == [number.sub("#", row) for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        for one, two in zip(number.findall(row), number.findall(wanted), strict=True):
            assert abs(float(one) - float(two)) <= 0.02


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
    assert "synthetic_1_A1_1" in done.stdout
