"""The wheel carries what a checkout has, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files that git knows, as from a fresh clone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=False)
    if names.returncode:
        pytest.skip("not a git checkout")
    for name in names.stdout.splitlines():
        if (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((root / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


def test_files(wheel: Path, root: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {path.relative_to(root).as_posix() for path in (root / "hpazoo").rglob("*.py")}
    expected.add("hpazoo/py.typed")
    for folder, pattern in (
        ("specs", "*.yaml"),
        ("registry", "*.yaml"),
        ("registry", "*.json"),
        ("registry", "*.bin"),
        ("registry", "*.safetensors"),
    ):
        expected |= {f"hpazoo/data/{folder}/{path.name}" for path in (root / folder).glob(pattern)}
    assert names == expected


def test_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, it finds its specs and its registry."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import hpazoo; from hpazoo.cli import main\n"
        f"assert hpazoo.__file__.startswith({str(site)!r})\n"
        "from hpazoo.checkpoints.cache.store import local_files\n"
        "from hpazoo.checkpoints.cards import find_card\n"
        "(weights,) = local_files(find_card('drawn-small-resnet'))\n"
        f"assert str(weights).startswith({str(site)!r})\n"
        "main(['validate', 'quickstart', 'drawn-cells', 'hpa2021-6th'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fine") == 3
