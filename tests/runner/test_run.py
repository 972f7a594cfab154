"""Whole runs of a small ensemble on drawn fields."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from pycocotools import mask as coco

import hpazoo
from hpazoo.errors import HpazooError, UsageError
from hpazoo.fields import Input
from hpazoo.imageio import read_label_image
from hpazoo.readers import readers
from hpazoo.runner import run as run_module
from hpazoo.runner.preflight import MissingError
from hpazoo.strategies import strategies
from tests.runner.conftest import outputs_of

CLI = [sys.executable, "-m", "hpazoo", "run"]


def run(spec: Path, out: Path, **options: object) -> run_module.Run:
    options = {"workers": 0, "random_weights": True} | options
    return hpazoo.run(spec, out=out, **options)  # type: ignore[arg-type]


def test_predictions_are_what_the_parts_say(spec_file: Path, tmp_path: Path) -> None:
    """Field by field: views, network, mean over views, weighted blend, correction."""
    import torch

    table = run(spec_file, tmp_path / "out").predictions
    spec = hpazoo.load(spec_file)
    reader = readers.build(spec.resolved["images"], tmp_path)
    network = {"backbone": "densenet121", "head": "avg-max"}
    network["input"] = {"size": 64, "normalize": "hpa-2018"}  # type: ignore[assignment]
    model = hpazoo.build_model(network, "hpa-2021", seed="dense")
    names = list(table.columns[9:28])
    for field_id in reader.ids()[:2]:
        field = reader.read(field_id)
        assert field.masks is not None
        rows = table[table["field"] == field_id]
        size = Input(64, "hpa-2018")
        blend = 0
        for member, weight in zip(spec.members, (1, 3), strict=True):
            values: dict[int, np.ndarray] = {}
            for view in strategies.build(member.strategy).views(field, field.masks, size):
                images = torch.from_numpy(view.pixels[None].astype(np.float32) / 255)
                regions = None
                if view.labels is not None:
                    grid = model.grid(*images.shape[2:])
                    regions = hpazoo.Regions.from_masks([view.labels], grid=grid, over="cell")
                with torch.inference_mode():
                    p = torch.sigmoid(model(images, regions)).numpy()
                values |= dict(zip(view.cells.tolist(), p, strict=True))
            blend = blend + weight * np.stack([values[cell] for cell in rows["cell"]])
        expected = blend / 4
        expected[:, :18] *= 1 - expected[:, 18:]
        np.testing.assert_allclose(rows[names].to_numpy(), expected, atol=2e-6)


def test_files_of_a_run(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(spec_file, out)
    assert done.exit_code == 0
    assert {path.name for path in done.outputs} == set(outputs_of(out))
    table = done.predictions
    assert list(table.columns[:9]) == [
        "field", "cell", "y0", "x0", "y1", "x1", "area", "touches_border", "locations",
    ]  # fmt: skip
    assert (table["stamp"] == "random weights").all()
    assert table[["field", "cell"]].equals(table.sort_values(["field", "cell"])[["field", "cell"]])
    submission = pd.read_csv(out / "submission.csv")
    for row in submission.itertuples():
        masks = read_label_image(out / "masks" / f"{row.ID}.png")
        words = str(row.PredictionString).split(" ")
        cells = table.loc[table["field"] == row.ID, "cell"].tolist()
        assert len(words) == 3 * 19 * len(cells)
        for number, cell in enumerate(cells):
            text = zlib.decompress(base64.b64decode(words[3 * 19 * number + 2]))
            decoded = coco.decode({"size": [row.ImageHeight, row.ImageWidth], "counts": text})
            assert np.array_equal(decoded.astype(bool), masks == cell)


def test_workers_make_no_difference(spec_file: Path, tmp_path: Path) -> None:
    run(spec_file, tmp_path / "none")
    run(spec_file, tmp_path / "two", workers=2)
    assert outputs_of(tmp_path / "none") == outputs_of(tmp_path / "two")


def test_a_lock_repeats_its_run(spec_file: Path, tmp_path: Path) -> None:
    run(spec_file, tmp_path / "first")
    lock = tmp_path / "first" / "run.lock.yaml"
    again = hpazoo.run(lock, out=tmp_path / "second")
    assert again.remarks == ()
    assert outputs_of(tmp_path / "first") == outputs_of(tmp_path / "second")
    assert (tmp_path / "second" / "run.lock.yaml").read_bytes() == lock.read_bytes()


def test_a_lock_notices_what_changed(spec_file: Path, tmp_path: Path) -> None:
    run(spec_file, tmp_path / "first")
    lock = tmp_path / "first" / "run.lock.yaml"
    text = lock.read_text(encoding="utf-8").replace("seed: 3", "seed: 4")
    changed = tmp_path / "changed.yaml"
    changed.write_text(text, encoding="utf-8")
    again = hpazoo.run(changed, out=tmp_path / "second")
    assert again.exit_code == 1
    remarks = again.remarks
    assert any(remark.startswith("the images are not those of the lock") for remark in remarks)
    assert any(remark.startswith("predictions.csv differs") for remark in remarks)


def test_a_finished_run_is_not_repeated(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.stem != "log"}

    def refuse(*_: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr("hpazoo.runner.networks.load", refuse)
    run(spec_file, out)
    after = {path: path.stat().st_mtime_ns for path in before}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"run.lock.yaml", "set-aside.jsonl"}


def test_only_what_changed_is_made_again(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(spec_file, out)
    kept = out / "members" / "dense+gap-mask" / "part-00000.parquet"
    other = out / "members" / "dense+gridify" / "part-00000.parquet"
    moments = kept.stat().st_mtime_ns, other.stat().st_mtime_ns
    run(spec_file, out, settings=["members.1.strategy.crop=48"])
    assert kept.stat().st_mtime_ns == moments[0]
    assert other.stat().st_mtime_ns != moments[1]
    assert (out / "old/1/members/dense+gridify/part-00000.parquet").is_file()
    assert (out / "old/1/predictions.csv").is_file()
    run(spec_file, out, fresh=True)
    assert not (out / "old").exists()


def test_stages_in_two_steps(spec_file: Path, tmp_path: Path) -> None:
    run(spec_file, tmp_path / "whole")
    out = tmp_path / "steps"
    run(spec_file, out, until="segment")
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["masks"]
    run(spec_file, out)
    assert outputs_of(out) == outputs_of(tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_at_any_moment_it_goes_on(spec_file: Path, tmp_path: Path) -> None:
    """kill -9 again and again; the files are those of an undisturbed run."""
    settings = ["images.fields=20"]
    run(spec_file, tmp_path / "whole", settings=settings, workers=1)
    out = tmp_path / "killed"
    arguments = [str(spec_file), "--out", str(out), "--random-weights", "--set", settings[0]]
    command = [*CLI, *arguments, "--workers", "1", "--quiet"]
    parts = out / "members"
    for wanted in (0, 1, 2):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if (out / "masks").is_dir() and len(list(parts.rglob("part-*.parquet"))) >= wanted:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False).returncode == 0
    assert outputs_of(out) == outputs_of(tmp_path / "whole")


def test_killed_while_its_first_lock_was_written(spec_file: Path, tmp_path: Path) -> None:
    """The half-written lock is not taken for a file of the user's."""
    out = tmp_path / "killed"
    (out / "masks").mkdir(parents=True)
    (out / "log.txt").touch()
    (out / ".run.lock.17087.part.yaml").write_text("hpazoo: 1\nname: sm", encoding="utf-8")
    run(spec_file, out, until="segment")
    assert (out / "run.lock.yaml").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".part.yaml").touch()
    with pytest.raises(HpazooError, match="holds files, but no run of hpazoo"):
        run(spec_file, tmp_path / "mine", until="segment")


def test_a_dead_worker_is_a_message(spec_file: Path, tmp_path: Path) -> None:
    from hpazoo.runner.feed import Feed
    from hpazoo.runner.worker import Job, Task

    job = Job(tmp_path, {"type": "no such reader"}, {"type": "provided"}, tmp_path, ())
    with (
        Feed(workers=1) as feed,
        pytest.raises(HpazooError, match=r"worker stopped at field 'a'.*What is done is kept"),
    ):
        for _, messages in feed.serve(job, [Task("a", True, ())]):
            list(messages)


def test_bad_fields_are_set_aside(tmp_path: Path, spec_file: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (4, 90, 130), np.uint8)
    for field in ("bad", "good", "lone"):
        for channel, pixels in zip(("red", "green", "blue", "yellow"), noise, strict=True):
            cv2.imwrite(str(images / f"{field}_{channel}.png"), pixels)
    (images / "bad_green.png").write_bytes((images / "bad_green.png").read_bytes()[:500])
    (images / "lone_blue.png").unlink()
    out = tmp_path / "out"
    done = run(spec_file, out, images=images, settings=["masks=watershed"])
    assert done.exit_code == 3
    rows = [json.loads(line) for line in (out / "set-aside.jsonl").read_text().splitlines()]
    assert [row["field"] for row in rows] == ["bad", "lone"]
    assert "bad_green.png" in rows[0]["reason"]
    assert "lone_blue" in rows[1]["reason"]
    assert set(pd.read_csv(out / "fields.csv")["field"]) == {"good"}


def test_everything_missing_at_once(tmp_path: Path, spec_file: Path) -> None:
    settings = ["models.dense.checkpoint=weights/*.pth", "images.type=hpa-files"]
    settings += ["images={type: hpa-files, root: nowhere}", "masks=watershed"]
    with pytest.raises(MissingError) as error:
        hpazoo.run(spec_file, settings=settings, out=tmp_path / "out")
    assert len(error.value.items) == 2
    assert "nowhere" in str(error.value)
    assert "weights/*.pth" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_an_unavailable_card_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="never published") as error:
        hpazoo.run("hpa2021-6th", settings=["images=synthetic"], out=tmp_path / "out")
    assert str(error.value).count("--set models.") == 3


def test_a_spec_that_cannot_run_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "hpazoo: 1\nclasses: hpa-2021\nmodels:\n"
        "  a: {backbone: densenet121, head: avg-max, input: {size: 64, normalize: none}}\n",
        encoding="utf-8",
    )
    with pytest.raises(hpazoo.SpecError) as error:
        hpazoo.run(path)
    keys = [problem.message.split("'")[1] for problem in error.value.problems]
    assert keys == ["images", "members"]


def test_a_folder_of_other_things_is_left_alone(spec_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter-1.txt").write_text("precious")
    for fresh in (False, True):
        with pytest.raises(UsageError, match="holds files, but no run"):
            run(spec_file, out, fresh=fresh)
    assert (out / "chapter-1.txt").read_text() == "precious"


def test_the_lock_says_how(spec_file: Path, tmp_path: Path) -> None:
    run(spec_file, tmp_path / "out")
    lock = yaml.safe_load((tmp_path / "out" / "run.lock.yaml").read_text(encoding="utf-8"))
    assert lock["members"][1]["strategy"] == {
        "type": "gridify", "crop": 32, "background": "keep", "snap": None,
    }  # fmt: skip
    assert lock["lock"]["options"]["random_weights"] is True
    assert set(lock["lock"]["outputs"]) == set(outputs_of(tmp_path / "out"))


def test_missing_masks_are_found_before_the_run(spec_file: Path, tmp_path: Path) -> None:
    settings = ["masks={type: label-images, root: nowhere}"]
    with pytest.raises(MissingError, match=r"none of the 5 fields has any.*nowhere"):
        run(spec_file, tmp_path / "out", settings=settings)


def test_a_lock_refuses_other_weights(spec_file: Path, tmp_path: Path) -> None:
    import torch

    network = {"backbone": "densenet121", "head": "avg-max"}
    network["input"] = {"size": 64, "normalize": "hpa-2018"}  # type: ignore[assignment]
    weights = tmp_path / "w.pth"
    for seed in ("one", "two"):
        state = hpazoo.build_model(network, "hpa-2021", seed=seed).state_dict()
        torch.save({"state_dict": state}, weights)
        if seed == "one":
            settings = [f"models.dense.checkpoint={weights}"]
            run(spec_file, tmp_path / "first", settings=settings, random_weights=False)
    lock = tmp_path / "first" / "run.lock.yaml"
    with pytest.raises(
        HpazooError, match="weights or other files are not those that the lock names"
    ) as error:
        hpazoo.run(lock, out=tmp_path / "second")
    assert "model 'dense'" in str(error.value)
    assert hpazoo.run(lock, out=tmp_path / "second", until="segment").exit_code == 0


def test_two_thousand_cells(tmp_path: Path) -> None:
    """Through files, Gap-Mask, crops, and all outputs; every cell once, in time."""
    side, step = 460, 10
    labels = np.zeros((side, side), np.int32)
    for number in range(46 * 46):
        row, column = divmod(number, 46)
        labels[step * row : step * row + 9, step * column : step * column + 9] = 3 * number + 1
    noise = np.random.default_rng(0)
    for channel in ("red", "green", "blue", "yellow"):
        plane = noise.integers(0, 256, (side, side), np.uint8)
        cv2.imwrite(str(_folder(tmp_path / "images") / f"many_{channel}.png"), plane)
    np.save(_folder(tmp_path / "masks") / "many.npy", labels)
    spec = tmp_path / "many.yaml"
    spec.write_text(MANY, encoding="utf-8")
    done = hpazoo.run(spec, out=tmp_path / "out", data=tmp_path, workers=0, random_weights=True)
    assert done.exit_code == 0 and done.cells == 46 * 46
    table = done.predictions
    assert table["cell"].tolist() == np.unique(labels)[1:].tolist()
    assert table["Cytosol"].between(0, 1, inclusive="neither").all()
    assert read_label_image(done.folder / "label-images" / "many.png").max() == 3 * 2115 + 1


MANY = """\
hpazoo: 1
classes: hpa-2021
images: {type: hpa-files, root: images, pixel_size: null}
masks: {type: label-images, root: masks}
models:
  net:
    backbone: {type: resnet18, stem: torchvision}
    head: avg
    input: {size: 64, normalize: none}
members:
  - {model: net, strategy: gap-mask, views: flips}
ensemble: rank-mean
postprocess: [suppress-border]
outputs: [table, kaggle-submission, label-images]
"""


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
