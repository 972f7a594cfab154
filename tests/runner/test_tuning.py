"""A blend whose weights are fitted where the truth is known, and refused where it was seen."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import hpazoo
from hpazoo.checkpoints.cards import OWN_CARDS
from hpazoo.checkpoints.save import save_checkpoint
from hpazoo.fields import CHANNELS

MODELS = """\
models:
  a: {backbone: small-resnet, head: avg-max, input: {size: 64, normalize: hpa-2018}}
  b: {backbone: small-resnet, head: avg, input: {size: 64, normalize: none}}
members:
  - {model: a, strategy: gap-mask}
  - {model: b, strategy: gap-mask}
"""
DRAWN = f"""\
hpazoo: 1
name: drawn
classes: hpa-2021
images: {{type: synthetic, fields: 8, size: 128, seed: 3}}
masks: provided
{MODELS}
ensemble: tuned
"""
SEEN = ("5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0", "5fb643ee-bb99-11e8-b2b9-ac1f6b6435d0")
"""Two training images of 2018 and 2021."""


def run(tmp_path: Path, text: str, **options: object) -> hpazoo.runner.finished.Run:
    spec = tmp_path / "spec.yaml"
    spec.write_text(text, encoding="utf-8")
    return hpazoo.run(spec, out=tmp_path / "run", data=tmp_path, **options)


def locked(tmp_path: Path) -> dict[str, object]:
    return yaml.safe_load((tmp_path / "run" / "run.lock.yaml").read_text())["lock"]


def test_weights_are_fitted_to_drawn_cells(tmp_path: Path) -> None:
    run(tmp_path, DRAWN, random_weights=True)
    tuned = locked(tmp_path)["tuned"]
    assert set(tuned["weights"]) == {"a+gap-mask", "b+gap-mask"}
    assert sum(tuned["weights"].values()) == pytest.approx(1)
    assert "cells" in tuned["objective"]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "gain over equal weights" in log


def test_it_is_scored_beside_its_members(tmp_path: Path) -> None:
    done = run(tmp_path, DRAWN + "metrics: [cell-map]\n", random_weights=True)
    (found,) = done.evaluations
    assert {one.member for one in found.beside} == {"a+gap-mask", "b+gap-mask"}


def test_the_blend_has_the_weights_of_the_lock(tmp_path: Path) -> None:
    text = DRAWN.replace("ensemble: tuned", "ensemble: {type: tuned, adopt: always}")
    made = run(tmp_path, text, random_weights=True).predictions
    weights = locked(tmp_path)["tuned"]["weights"]
    for name, share in weights.items():
        text = text.replace(
            f"{name[0]}, strategy: gap-mask",
            f"{name[0]}, strategy: gap-mask, weight: {max(share, 1e-9)}",
        )
    mean = text.replace("ensemble: {type: tuned, adopt: always}", "ensemble: mean")
    other = tmp_path / "other"
    other.mkdir()
    again = run(other, mean, random_weights=True).predictions
    columns = made.columns[9:-1]
    assert np.abs(made[columns].to_numpy() - again[columns].to_numpy()).max() < 1e-6


@pytest.fixture
def seen_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A spec over two images that the weights of model a were trained on."""
    rng = np.random.default_rng(0)
    for name in SEEN:
        for channel in CHANNELS:
            file = tmp_path / "images" / f"{name}_{channel}.png"
            file.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(file), rng.integers(0, 255, (96, 96), np.uint8))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["ID", "Label"], [SEEN[0], "8|5|0"], [SEEN[1], "14|0"]])
    config = {"backbone": "small-resnet", "input": {"size": 64, "normalize": "hpa-2018"}}
    for name, head in (("a", "avg-max"), ("b", "avg")):
        model = hpazoo.build_model({**config, "head": head}, "hpa-2021", seed=name)
        save_checkpoint(model, tmp_path / f"{name}.safetensors", {"trained_on": DATA[name]})
    monkeypatch.delenv(OWN_CARDS, raising=False)
    text = DRAWN.replace(
        "{type: synthetic, fields: 8, size: 128, seed: 3}",
        "{type: hpa-files, root: images, labels: labels.csv}",
    )
    text = text.replace("masks: provided", "masks: whole-field").replace(
        "normalize: none", "normalize: hpa-2018"
    )
    for name in DATA:
        text = text.replace(f"  {name}: {{", f"  {name}: {{checkpoint: ./{name}.safetensors, ")
    return text


DATA = {"a": ["hpa2021-train"], "b": []}


def test_nothing_left_out_is_refused(tmp_path: Path, seen_images: str) -> None:
    with pytest.raises(hpazoo.HpazooError, match="nothing was left out") as error:
        run(tmp_path, seen_images)
    assert "model 'a'" in str(error.value)
    assert "hpa2021-train" in str(error.value)
    assert not (tmp_path / "run" / "members").exists(), "said before anything is predicted"


def test_what_training_will_see_is_foreseen(tmp_path: Path) -> None:
    """Refused before anything is trained: two folds together see every image."""
    learns = "train: {folds: 2, augment: []}"
    text = DRAWN
    for how in ("hpa-2018", "none"):
        text = text.replace(f"normalize: {how}}}", f"normalize: {how}}}, {learns}")
    text += """
training:
  images: [{type: synthetic, fields: 12, size: 128, seed: 3}]
  splitter: {type: multilabel-stratified, folds: 2}
"""
    with pytest.raises(hpazoo.HpazooError, match="nothing was left out"):
        run(tmp_path, text)
    assert not (tmp_path / "run" / "models").exists()
