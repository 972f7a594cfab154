"""The code of docs/writing-plugins.md is the code that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpazoo.cli import templates
from hpazoo.registry import KINDS


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
