"""One training, in the test's own process: interrupted anywhere, it ends with the same bytes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import HpazooError
from hpazoo.models import build_model
from hpazoo.training import fit as module
from hpazoo.training.fit import check, fit
from hpazoo.training.job import Job, read_left_out
from hpazoo.training.kept import BEFORE, LAST
from hpazoo.training.learner import LearningModel
from hpazoo.training.telling import Voice
from tests.training import jobs

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice; `main` does the same


class Ears(Voice):
    """A voice whose words are kept."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lines: list[str] = []

    def say(self, **words: Any) -> None:
        if "line" in words:
            self.lines.append(words["line"])


class StopError(Exception):
    """Stands for a killed process."""


@pytest.fixture(autouse=True, scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with jobs.plugin(tmp_path_factory.mktemp("plugin")):
        yield


def trained(folder: Path, made: Job, **images: int) -> dict[str, torch.Tensor]:
    made.write(jobs.samples(folder / "images", **images))
    fit(made, Voice(None))
    return jobs.weights(made)


def stopped_at(monkeypatch: pytest.MonkeyPatch, hook: str, epoch: int) -> None:
    """Let the next training end as one that is killed when a hook is called in an epoch."""
    own = getattr(LearningModel, hook)
    calls = []

    def stop(self: LearningModel, *args: Any) -> Any:
        if self.current_epoch == epoch and not calls:
            calls.append(hook)
            raise StopError
        return own(self, *args)

    monkeypatch.setattr(LearningModel, hook, stop)


RECIPES: dict[str, dict[str, Any]] = {
    "plain": {"ema": None},
    "average, frozen first": {"ema": 0.999, "freeze": 1},
    "patience": {"ema": 0.9, "patience": 3, "epochs": 4},
    "more accumulated than there is": {"accumulate": 64, "optimizer": "sgd"},
    "mixed, rare ones more often": {
        "augment": [{"type": "d4"}, {"type": "mixup"}],
        "sample": "rare",
        "schedule": "cosine",
    },
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("hook", "epoch"),
    [("training_step", 1), ("validation_step", 1), ("on_save_checkpoint", 2)],
)
def test_interrupted_it_ends_the_same(
    name: str, hook: str, epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path, jobs.job(tmp_path / "whole", recipe=RECIPES[name]))
    made = jobs.job(tmp_path / "broken", recipe=RECIPES[name])
    with monkeypatch.context() as broken:
        stopped_at(broken, hook, epoch)
        with pytest.raises(StopError):
            trained(tmp_path, made)
    assert not made.file.exists()
    ears = Ears()
    fit(made, ears)
    assert f"goes on after epoch {epoch}" in ears.lines
    assert jobs.equal(jobs.weights(made), whole)
    # and what it says of the images left out is the same
    other = jobs.job(tmp_path / "whole", recipe=RECIPES[name])
    assert np.array_equal(read_left_out(made.left_out)[1], read_left_out(other.left_out)[1])
    assert made.curves.read_bytes() == other.curves.read_bytes()
    assert read_card(made.file) == read_card(other.file)


def test_interrupted_with_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They make batches ahead: those of the right epoch."""
    recipe = RECIPES["mixed, rare ones more often"]
    whole = trained(tmp_path, jobs.job(tmp_path / "whole", recipe=recipe))
    made = jobs.job(tmp_path / "broken", recipe=recipe, workers=2)
    with monkeypatch.context() as broken:
        stopped_at(broken, "training_step", 1)
        with pytest.raises(StopError):
            trained(tmp_path, made)
    fit(made, Voice(None))
    assert jobs.equal(jobs.weights(made), whole)


def test_killed_before_its_weights_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path, jobs.job(tmp_path / "whole", recipe={"ema": 0.5}))
    made = jobs.job(tmp_path / "broken", recipe={"ema": 0.5})
    with monkeypatch.context() as broken:
        broken.setattr(module, "save_checkpoint", lambda *a: (_ for _ in ()).throw(StopError))
        with pytest.raises(StopError):
            trained(tmp_path, made)
    monkeypatch.setattr(module, "_train", lambda *a: pytest.fail("it was trained already"))
    fit(made, Voice(None))
    assert jobs.equal(jobs.weights(made), whole)


@pytest.mark.parametrize("damage", ["cut", "empty", "other training"])
def test_a_damaged_state_is_no_end(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(tmp_path, jobs.job(tmp_path / "whole"))
    made = jobs.job(tmp_path / "broken")
    with monkeypatch.context() as broken:
        stopped_at(broken, "training_step", 2)
        with pytest.raises(StopError):
            trained(tmp_path, made)
    last = made.place / LAST
    if damage == "other training":
        made = replace(made, key="another key")
    else:
        last.write_bytes(last.read_bytes()[: 1000 if damage == "cut" else 0])
    ears = Ears()
    fit(made, ears)
    if damage == "other training":
        assert any("cannot be read: the training begins anew" in line for line in ears.lines)
    else:  # there is the state of the epoch before
        assert "goes on after epoch 1" in ears.lines
    assert jobs.equal(jobs.weights(made), whole)
    assert not last.exists() and not (made.place / BEFORE).exists()


def test_the_best_epoch_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a training whose scores are given: epoch 2 of 5 is the best, and two more are waited."""
    scores = iter([0.3, 0.8, 0.8, 0.1, 0.9])
    monkeypatch.setattr("hpazoo.training.learner._mean_value", lambda *a: next(scores))
    made = jobs.job(tmp_path, recipe={"epochs": 5, "patience": 2, "ema": None})
    states: dict[int, torch.Tensor] = {}
    own = LearningModel.on_save_checkpoint

    def keep(self: LearningModel, checkpoint: dict[str, Any]) -> None:
        states[self.current_epoch] = self.model.head.logit.weight.detach().clone()  # type: ignore
        own(self, checkpoint)

    monkeypatch.setattr(LearningModel, "on_save_checkpoint", keep)
    found = trained(tmp_path, made)
    assert sorted(states) == [0, 1, 2, 3]
    assert torch.equal(found["head.logit.weight"], states[1])
    card = read_card(made.file) or {}
    assert card["training"]["epochs"] == 2
    assert len(made.curves.read_text(encoding="utf-8").splitlines()) == 5
    assert card["metrics"]["map"] == 0.8


def test_it_learns_and_says_so(tmp_path: Path) -> None:
    made = jobs.job(tmp_path, recipe={"epochs": 15, "lr": 0.05, "ema": None, "augment": []})
    made.write(jobs.samples(tmp_path / "images", count=40))
    ears = Ears()
    fit(made, ears)
    card = read_card(made.file) or {}
    assert card["metrics"]["map"] > 0.9
    ids, answers = read_left_out(made.left_out)
    assert ids == [f"image-{index}" for index in range(32, 40)]
    assert (answers[:, :3].argmax(axis=1) == np.arange(32, 40) % 3).all()
    assert len(ears.lines) == 15
    assert ears.lines[0].startswith("epoch 1 of 15: loss 0.")
    assert "left out: loss 0." in ears.lines[0] and ears.lines[0].endswith(" left")
    rows = made.curves.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "epoch,train/loss,valid/loss,valid/map" and len(rows) == 16
    assert float(rows[-1].split(",")[1]) < float(rows[1].split(",")[1]) / 2
    assert list((made.place / "tensorboard").glob("events.*"))
    # the answers are those of the weights in the file, which another model takes
    other = build_model({**made.model, "checkpoint": str(made.file)}, made.class_list)
    samples = jobs.samples(tmp_path / "images", count=40)
    with torch.no_grad():
        pixels = np.stack([np.load(file) for file in samples.files[32:]])
        said = torch.sigmoid(other(torch.from_numpy(pixels).float() / 255))
    assert np.allclose(said.numpy(), answers, atol=1e-5)


def test_diverged_is_said_at_once(tmp_path: Path) -> None:
    made = jobs.job(tmp_path, backbone={"fails": "nan"}, recipe={"epochs": 10000})
    began = time.monotonic()
    with pytest.raises(HpazooError, match=r"diverged: .* in epoch 1, batch 1; take a lower 'lr'"):
        trained(tmp_path, made)
    assert time.monotonic() - began < 20


def test_an_image_of_the_store_is_gone(tmp_path: Path) -> None:
    made = jobs.job(tmp_path)
    made.write(jobs.samples(tmp_path / "images"))
    (tmp_path / "images" / "3.npy").unlink()
    with pytest.raises(HpazooError, match=r"3\.npy, an image of the store, is gone or damaged"):
        fit(made, Voice(None))


@pytest.mark.parametrize(
    ("backbone", "recipe", "message"),
    [
        (
            {"fails": "memory"},
            {},
            r"batch of 4 images of 64 px .* 'batch_size: 2' and 'accumulate: 2'",
        ),
        ({"fails": "allocator"}, {"batch_size": 1}, "not even one image of 64 px fits into memory"),
        ({}, {"batch_size": 1}, "a batch of one image gives the norms .* nothing to go by"),
    ],
)
def test_a_step_on_trial(
    backbone: dict[str, Any], recipe: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(HpazooError, match=message):
        check(jobs.job(tmp_path, backbone=backbone, recipe=recipe), Voice(None))


def test_groups_are_learned_without_any_left_out(tmp_path: Path) -> None:
    made = jobs.job(tmp_path, head={"type": "arcface", "hidden": 16, "embedding": 8})
    recipe = {**made.recipe, "loss": {"type": "arcface"}, "epochs": 8, "lr": 0.02}
    made = replace(made, recipe=recipe, classes=("antibodies", ("a", "b", "c")))
    check(made, Voice(None))
    found = jobs.samples(tmp_path / "images", left_out=0)
    made.write(replace(found, targets=found.targets[:, :3].argmax(axis=1)))
    fit(made, Voice(None))
    card = read_card(made.file) or {}
    assert card["classes"] == {"name": "antibodies", "names": ["a", "b", "c"]}
    assert card["metrics"] == {} and not made.left_out.exists()
    rows = made.curves.read_text(encoding="utf-8").splitlines()
    assert float(rows[-1].split(",")[1]) < float(rows[1].split(",")[1])


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 1 vs 2")

    with monkeypatch.context() as broken:
        broken.setattr("hpazoo.training.kept.torch.save", full)
        with pytest.raises(HpazooError, match=r"last\.ckpt cannot be written: .* make room"):
            trained(tmp_path, jobs.job(tmp_path))


def test_what_is_done_needs_no_images(tmp_path: Path) -> None:
    """Weights are written from the last state alone."""
    made = jobs.job(tmp_path, recipe={"epochs": 1})
    own = trained(tmp_path, made)
    shutil.rmtree(tmp_path / "images")
    assert own and made.left_out.exists()
