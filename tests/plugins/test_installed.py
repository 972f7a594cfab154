"""Plugins as people have them: distributions that pip installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpazoo.registry import KINDS

MODULE = '''\
"""One small component of every kind, most of them a built-in one under another name."""

from hpazoo.backbones.densenet121 import Densenet121
from hpazoo.heads.avg_max import AvgMax
from hpazoo.readers.synthetic import Synthetic
from hpazoo.segmenters.provided import Provided
from hpazoo.strategies.gap_mask import GapMask


class Reader(Synthetic):
    """Draw two fields."""

    def __init__(self, data, *, seed: int = 0) -> None:
        super().__init__(data, fields=2, size=128, seed=seed)


class Segmenter(Provided):
    """Cells of the reader."""


class Backbone(Densenet121):
    """DenseNet."""

    def __init__(self, channels) -> None:
        super().__init__(channels)


class Head(AvgMax):
    """Average and maximum."""

    def __init__(self, features, classes) -> None:
        super().__init__(features, classes)


class Strategy(GapMask):
    """Gap-Mask."""

    def __init__(self) -> None:
        super().__init__(over="cell")


class Ensemble:
    """Largest of all."""

    uses_weights = False

    def blend(self, probabilities, weights):
        return probabilities.max(axis=0)


class Postprocessor:
    """Half of everything."""

    def __init__(self, classes, data) -> None:
        self.classes = classes

    def correct(self, probabilities, seen):
        return probabilities / 2


class Writer:
    """Count the cells."""

    def __init__(self, classes, *, file: str = "count.txt") -> None:
        self.file = file

    def write(self, folder, results, stamp):
        path = folder / self.file
        path.write_text(str(sum(len(result.cells) for result in results)))
        return [path]


class Other:
    """Something for a kind that no spec uses yet."""
'''

ROLES = {
    "readers": "Reader",
    "segmenters": "Segmenter",
    "backbones": "Backbone",
    "heads": "Head",
    "strategies": "Strategy",
    "ensembles": "Ensemble",
    "postprocessors": "Postprocessor",
    "writers": "Writer",
}

SPEC = """\
hpazoo: 1
name: foreign
classes: hpa-2021
images: {type: acme.part, seed: 5}
masks: acme.part
models:
  net: {backbone: acme.part, head: acme.part, input: {size: 64, normalize: none}}
members: [{model: net, strategy: acme.part}]
ensemble: acme.part
postprocess: [acme.part]
outputs: [table, {type: acme.part, file: cells.txt}]
"""


def install(target: Path, name: str, entry_points: dict[str, list[str]], **files: str) -> None:
    """Have pip build and install a distribution called `name`."""
    source = target.parent / f"source-{name}"
    source.mkdir()
    modules = "\n".join(f"    {module}" for module in files)
    points = "\n".join(
        f"{group} =\n" + "\n".join(f"    {line}" for line in lines)
        for group, lines in entry_points.items()
    )
    (source / "setup.cfg").write_text(
        f"[metadata]\nname = {name}\nversion = 1.0\n[options]\npy_modules =\n{modules}\n"
        f"[options.entry_points]\n{points}\n"
    )
    (source / "setup.py").write_text("from setuptools import setup\nsetup()\n")
    for module, text in files.items():
        (source / f"{module}.py").write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--target", str(target), str(source)]
    subprocess.run(pip, check=True, capture_output=True)


def hpazoo(
    site: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpazoo", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())])},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin with a component of every kind."""
    site = tmp_path_factory.mktemp("all") / "site"
    points = {
        f"hpazoo.{kind}": [f"acme.part = acme_parts:{ROLES.get(kind, 'Other')}"] for kind in KINDS
    }
    install(site, "acme-parts", points, acme_parts=MODULE)
    return site


def test_every_kind_is_listed_without_import(site: Path) -> None:
    lines = hpazoo(site, "plugins").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(KINDS)
    assert all(line.endswith("acme-parts 1.0  listed") for line in lines)


def test_every_kind_loads(site: Path) -> None:
    lines = hpazoo(site, "plugins", "--load").stdout.splitlines()
    assert len(lines) == len(KINDS)
    assert all(line.endswith("loaded") for line in lines)


def test_an_ensemble_of_nothing_but_plugins_runs(site: Path, tmp_path: Path) -> None:
    spec = tmp_path / "foreign.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    done = hpazoo(site, "run", str(spec), "--random-weights", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert int((tmp_path / "out" / "cells.txt").read_text()) == len(rows) - 1 > 0
    lock = (tmp_path / "out" / "run.lock.yaml").read_text(encoding="utf-8")
    assert "strategies/acme.part: acme-parts 1.0" in lock


def test_parameters_of_a_plugin_are_checked(site: Path, tmp_path: Path) -> None:
    spec = tmp_path / "foreign.yaml"
    spec.write_text(SPEC.replace("seed: 5", "sed: 5"), encoding="utf-8")
    done = hpazoo(site, "validate", str(spec))
    assert done.returncode == 2
    assert "foreign.yaml:4:27: unknown key 'sed' for reader 'acme.part'" in done.stderr
    assert "did you mean 'seed'?" in done.stderr


def test_the_schema_knows_plugins(site: Path) -> None:
    schema = json.loads(hpazoo(site, "schema").stdout)
    assert "seed" in schema["definitions"]["readers/acme.part"]["properties"]


def test_what_is_wrong_with_plugins_stays_with_them(tmp_path: Path) -> None:
    """Broken, quarrelling and ill-named plugins are said to be so; everything else works."""
    site = tmp_path / "site"
    group = "hpazoo.heads"
    install(site, "one", {group: ["acme.twice = one_part:Part"]}, one_part="class Part: pass")
    install(site, "two", {group: ["acme.twice = two_part:Part"]}, two_part="class Part: pass")
    bad = ["acme.broken = bad_part:Part", "attention = bad_part:Part"]
    bad.append("acme.none = ok_part:Gone")
    install(site, "bad", {group: bad}, bad_part="raise SystemExit(0)", ok_part="")
    unrelated = site / "unrelated-1.0.dist-info"
    unrelated.mkdir()
    (unrelated / "METADATA").write_text("Metadata-Version: 2.1\nName: unrelated\nVersion: 1.0\n")
    (unrelated / "entry_points.txt").write_text("this is [no entry point\nhpazoo.heads = [\n")
    listed = hpazoo(site, "plugins", "--load").stdout
    assert "acme.twice" in listed
    assert "one 1.0 and two 1.0" in listed
    assert "broken" in listed.split("acme.broken")[1].splitlines()[0]
    assert "SystemExit" in listed.split("acme.broken")[1].splitlines()[0]
    assert "Gone" in listed.split("acme.none")[1].splitlines()[0]
    assert "a plugin's name is vendor.name" in listed
    assert "unrelated 1.0" in listed
    assert hpazoo(site, "validate", "quickstart").returncode == 0
    spec = tmp_path / "a.yaml"
    head = "head: {}, input: {{size: 64, normalize: none}}"
    lines = ["hpazoo: 1", "classes: hpa-2021", "x: 1", "models:"]
    for number, name in enumerate(("acme.twice", "acme.broken")):
        lines.append(f"  m{number}: {{backbone: densenet121, {head.format(name)}}}")
    spec.write_text("\n".join(lines), encoding="utf-8")
    done = hpazoo(site, "validate", str(spec))
    assert done.returncode == 2
    assert "a.yaml:3:1: unknown key 'x'" in done.stderr
    assert "claimed by two packages, one 1.0 and two 1.0" in done.stderr
    assert "'acme.broken' (bad 1.0) cannot be used: SystemExit" in done.stderr


def test_a_leftover_egg_info_shadows_nothing(site: Path, tmp_path: Path) -> None:
    stale = tmp_path / "acme_parts.egg-info"
    stale.mkdir()
    (stale / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme-parts\nVersion: 0.1\n")
    (stale / "entry_points.txt").write_text("[hpazoo.heads]\nacme.old = gone:Gone\n")
    done = hpazoo(site, "plugins", cwd=tmp_path)
    assert "acme.part  acme-parts 1.0  listed" in done.stdout
    assert "acme.old" not in done.stdout


def test_a_manifest_spares_the_import(tmp_path: Path) -> None:
    """`hpazoo.json` in the package: specs are checked though the module must not be imported."""
    site = tmp_path / "site"
    install(site, "shy", {"hpazoo.heads": ["shy.head = shy_package.part:Part"]}, unused="")
    package = site / "shy_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    entry = {"summary": "Shy.", "doc": "Shy.", "needs": [], "gives": ["regions"], "facts": {}}
    parameters = {"grid": {"schema": {"type": "integer", "minimum": 1}, "doc": "", "default": 3}}
    manifest = {"heads": {"shy.head": entry | {"parameters": parameters}}}
    (package / "hpazoo.json").write_text(json.dumps(manifest))
    assert "Shy. [shy 1.0]" in hpazoo(site, "list", "heads").stdout
    setting = "models.small.head={type: shy.head, grid: 0}"
    done = hpazoo(site, "validate", "quickstart", "--set", setting)
    assert done.returncode == 2
    assert "'grid' must be at least 1, not 0" in done.stderr


def test_new_plugin_and_spec(tmp_path: Path) -> None:
    """What `hpazoo new` makes installs, passes its test and is listed."""
    empty = tmp_path / "empty"
    assert hpazoo(empty, "new", "plugin", "lab-x", cwd=tmp_path).returncode == 0
    assert hpazoo(empty, "new", "spec", "mine", cwd=tmp_path).returncode == 0
    assert hpazoo(empty, "validate", "mine.yaml", cwd=tmp_path).returncode == 0
    again = hpazoo(empty, "new", "plugin", "lab-x", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--target", str(site), str(tmp_path / "hpazoo-lab-x")]
    subprocess.run(pip, check=True, capture_output=True)
    assert "lab-x.median  Take the median" in hpazoo(site, "list", "ensembles").stdout
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tmp_path / "hpazoo-lab-x" / "tests")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())])},
        cwd=tmp_path / "hpazoo-lab-x" / "tests",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout
