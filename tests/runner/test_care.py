"""What a run must never do: lose, mix up or hide anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import hpazoo
from hpazoo.errors import HpazooError, UsageError
from hpazoo.imageio import label_image_suffix, write_label_image
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.folder import RunFolder
from tests.runner.conftest import outputs_of
from tests.runner.test_run import run

PLUGIN = """\
import hpazoo

@hpazoo.register("strategies", "mine.halves")
class Halves:
    "The field at half the size."
    needs = ("regions",)
    over = "cell"

    def __init__(self, *, factor: int = 2) -> None:
        self.factor = factor

    def views(self, field, masks, size):
        from hpazoo.strategies.gap_mask import GapMask
        half = size._replace(size=size.size // self.factor)
        yield from GapMask().views(field, masks, half)
"""


def test_fresh_removes_only_what_runs_write(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    (out / "notes.txt").write_text("mine")
    (out / "masks" / "x").touch()
    run(spec_file, out, fresh=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "masks" / "x").exists()


def test_a_log_does_not_make_a_run(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "project"
    (out / "src").mkdir(parents=True)
    (out / "log.txt").touch()
    with pytest.raises(UsageError, match="no run of hpazoo"):
        run(spec_file, out, fresh=True)
    assert (out / "src").is_dir()


def test_an_outdated_table_is_never_returned(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    settings = ["members.1.strategy=cell-crop"]
    stopped = run(spec_file, out, settings=settings, until="predict")
    with pytest.raises(HpazooError, match="stopped before its outputs"):
        _ = stopped.predictions
    assert not (out / "predictions.csv").exists()
    assert (out / "old/1/predictions.csv").is_file()


def test_a_lost_mask_is_found_again(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    before = outputs_of(out)
    next((out / "masks").glob("*.png")).unlink()
    (out / "predictions.csv").unlink()
    run(spec_file, out)
    assert outputs_of(out) == before


def test_a_damaged_part_says_how_it_is_mended(spec_file: Path, tmp_path: Path) -> None:
    """Its pages carry checksums: no other numbers, and no traceback."""
    out = tmp_path / "out"
    run(spec_file, out)
    before = outputs_of(out)
    part = next((out / "members").rglob("*.parquet"))
    damaged = bytearray(part.read_bytes())
    damaged[40:60] = bytes(20)
    part.write_bytes(damaged)
    (out / "predictions.csv").unlink()
    for _ in range(2):
        with pytest.raises(HpazooError, match=f"(?s){part.name} cannot be read .*; remove it"):
            run(spec_file, out)
    part.unlink()
    run(spec_file, out)
    assert outputs_of(out) == before


def test_a_lock_that_cannot_be_read_loses_nothing(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    before, part = outputs_of(out), next((out / "members").rglob("*.parquet"))
    made = part.stat().st_mtime_ns
    (out / "run.lock.yaml").write_bytes(b"\xff\x00: [")
    with pytest.raises(UsageError, match="holds files, but no run"):
        run(spec_file, out, fresh=True)
    run(spec_file, out)
    assert outputs_of(out) == before and part.stat().st_mtime_ns == made
    assert (out / "old/1/run.lock.yaml").is_file()


def test_trouble_that_passed_is_tried_again(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Synthetic.read

    def no_memory(self: Synthetic, field_id: str) -> object:
        if field_id.endswith("A2_1"):
            raise MemoryError("none left")
        return whole(self, field_id)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Synthetic, "read", no_memory)
        aside = run(spec_file, out).set_aside
    assert [record.set_aside for record in aside] == ["unexpected MemoryError: none left"]
    assert "Traceback" in (out / "log.txt").read_text(encoding="utf-8")
    assert run(spec_file, out).set_aside == ()
    run(spec_file, tmp_path / "undisturbed")
    assert outputs_of(out) == outputs_of(tmp_path / "undisturbed")


def test_one_process_a_folder(spec_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    folder = RunFolder(tmp_path / "out")
    folder.prepare(fresh=False)
    code = f"import hpazoo; hpazoo.run({str(spec_file)!r}, out={str(folder.path)!r}, workers=0)"
    code = code.replace("workers=0", "workers=0, random_weights=True")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another hpazoo is working on" in done.stderr
    folder.release()
    assert run(spec_file, folder.path).exit_code == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("limit", 0),
        ("workers", -1),
        ("batch_size", 0),
        ("precision", "fp16"),
        ("device", "meta"),
        ("device", "nonsense"),
        ("until", "foo"),
    ],
)
def test_options_are_checked(spec_file: Path, tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(UsageError):
        run(spec_file, tmp_path / "out", **{option: value})
    assert not (tmp_path / "out").exists()


def test_nothing_is_imported_from_the_current_folder(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tifffile.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    run(spec_file, tmp_path / "out", workers=1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_components_of_ones_own(
    spec_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file given with --plugin works in the workers too, and its digest is part of the keys."""
    plugin = tmp_path / "halves.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    command = [sys.executable, "-m", "hpazoo", "run", str(spec_file), "--random-weights"]
    command += ["--out", str(tmp_path / "out"), "--workers", "1", "--quiet"]
    command += ["--set", "members.0.strategy={type: mine.halves, factor: 1}"]
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    assert without.returncode == 2
    assert "no installed package provides the strategy 'mine.halves'" in without.stderr
    command += ["--plugin", str(plugin)]
    assert subprocess.run(command, check=False).returncode == 0
    run(spec_file, tmp_path / "plain")
    part = "members/{}/part-00000.parquet"
    import pandas as pd

    ours = pd.read_parquet(tmp_path / "out" / part.format("dense+mine.halves"))
    theirs = pd.read_parquet(tmp_path / "plain" / part.format("dense+gap-mask"))
    assert np.array_equal(ours["Cytosol"], theirs["Cytosol"])
    plugin.write_text(PLUGIN.replace("half the size", "any size"), encoding="utf-8")
    assert subprocess.run(command, check=False).returncode == 0
    assert (tmp_path / "out" / "old" / "1").is_dir()


def _write_field(folder: Path, name: str, shape: tuple[int, int]) -> None:
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (4, *shape), np.uint8)
    for channel, pixels in zip(("red", "green", "blue", "yellow"), noise, strict=True):
        cv2.imwrite(str(folder / f"{name}_{channel}.png"), pixels)


def test_a_field_too_thin_for_a_network_is_set_aside(spec_file: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    _write_field(images, "fine", (96, 120))
    _write_field(images, "thin", (12, 600))
    settings = [
        "masks={type: label-images, root: masks}",
        "members=[{model: dense, strategy: gap-mask}]",
    ]
    (tmp_path / "masks").mkdir()
    for name, shape in (("fine", (96, 120)), ("thin", (12, 600))):
        write_label_image(tmp_path / "masks" / f"{name}.png", np.ones(shape, np.int32))
    out = tmp_path / "out"
    done = run(spec_file, out, images=images, data=tmp_path, settings=settings)
    (record,) = done.set_aside
    assert record.id == "thin"
    assert "strategy 'gap-mask' for 64 px shows it as 1 x 64 px" in record.set_aside
    assert "needs 29 px" in record.set_aside
    assert list(done.predictions["field"]) == ["fine"]


def test_masks_of_an_unfinished_shard_do_not_linger(spec_file: Path, tmp_path: Path) -> None:
    """Ids that fit 16 bit are kept as PNG, larger ones as TIFF: the older file must go."""
    images, masks, out = tmp_path / "images", tmp_path / "masks", tmp_path / "out"
    _write_field(images, "one", (96, 96))
    masks.mkdir()
    settings = ["masks={type: label-images, root: masks}"]
    settings += ["members=[{model: dense, strategy: gap-mask}]"]
    for number, cell in enumerate((5, 70_000)):
        labels = np.zeros((96, 96), np.int32)
        labels[20:60, 20:60] = cell
        for file in masks.iterdir():
            file.unlink()
        write_label_image(masks / f"one{label_image_suffix(labels)}", labels)
        if number:
            (out / "masks" / "part-00000.parquet").unlink()
        done = run(spec_file, out, images=images, data=tmp_path, settings=settings)
        assert list(done.predictions["cell"]) == [cell]
    assert [path.name for path in (out / "masks").glob("one.*")] == ["one.tif"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_polite_end(spec_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hpazoo", "run", str(spec_file), "--random-weights"]
    command += ["--out", str(tmp_path / "out"), "--set", "images.fields=500", "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("members/*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; the same command goes on where it stopped" in said
    assert "Traceback" not in said


def test_a_lock_reads_back_as_it_was_written(spec_file: Path, tmp_path: Path) -> None:
    """Texts that look like numbers to our YAML, though not to PyYAML's."""
    lock = tmp_path / "out" / "run.lock.yaml"
    run(spec_file, lock.parent, settings=["title='1e5'", "name='0o17'"])
    again = hpazoo.load(lock)
    assert again.data["title"] == "1e5"
    assert again.name == "0o17"


def test_the_cure_of_a_message_cures(spec_file: Path, tmp_path: Path) -> None:
    """A field that one member could not see is tried again when the members change, not before."""
    out = tmp_path / "out"
    small = ["members.1.strategy.crop=8"]
    first = run(spec_file, out, settings=small)
    assert len(first.set_aside) == 5
    assert "strategy 'gridify' for 64 px shows it as" in first.set_aside[0].set_aside
    part = out / "masks" / "part-00000.parquet"
    moment = part.stat().st_mtime_ns
    assert len(run(spec_file, out, settings=small).set_aside) == 5
    assert len(run(spec_file, out, until="segment", settings=small).set_aside) == 5
    assert part.stat().st_mtime_ns == moment
    assert run(spec_file, out).set_aside == ()
    run(spec_file, tmp_path / "undisturbed")
    assert outputs_of(out) == outputs_of(tmp_path / "undisturbed")


def test_a_member_catches_up_with_a_field_that_others_refused(tmp_path: Path) -> None:
    """Its part was made while the field was aside, and has no rows for it."""
    text = """\
hpazoo: 1
name: three
classes: hpa-2021
images: {type: synthetic, fields: 1, size: 128}
masks: provided
models:
  a: {backbone: {type: resnet18, stem: torchvision}, head: avg, input: {size: 64, normalize: none}}
  c: {backbone: inception-v3, head: attention, input: {size: 96, normalize: none}}
members: [%s]
"""
    members = {
        "a": "{model: a, strategy: gap-mask}",
        "c": "{model: c, strategy: {type: gridify, crop: 16}}",
        "w": "{model: a, strategy: whole-image}",
    }

    def run(names: str) -> int:
        spec = tmp_path / "three.yaml"
        spec.write_text(text % ", ".join(members[name] for name in names), encoding="utf-8")
        out = tmp_path / "out"
        return hpazoo.run(spec, out=out, workers=0, random_weights=True).exit_code

    assert [run(names) for names in ("acw", "a", "aw", "ac", "aw")] == [3, 0, 0, 3, 0]
