"""The README shows what really happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_python_code_runs(readme: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "synthetic_1_A1_1" in done.stdout
