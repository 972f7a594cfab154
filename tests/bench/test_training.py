"""What the bench says of training is true of small networks and fields."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import training, training_images
from bench.measure import Effort, Result, Spread, Times, WrongAnswerError
from bench.training import Lesson
from bench.training_images import CLASSES, KINDS, Data
from hpazoo.fields import Input
from hpazoo.losses import losses
from hpazoo.recipe import Recipe
from hpazoo.spec.resolution import Model

SIDE, SIZE = 200, 96
AUGMENT = [{"type": "d4"}, {"type": "crop"}, {"type": "negative-green", "probability": 0.5}]


def lesson(head: str = "avg-max", backbone: str = "resnet18") -> Lesson:
    recipe = Recipe(epochs=2, folds=5, loss={"type": "focal"}, augment=AUGMENT)
    body = {"type": backbone, **({"stem": "torchvision"} if backbone == "resnet18" else {})}
    size = Input(SIZE, "hpa-2018")
    model = Model("small", body, {"type": head}, size, "hpa-2021", None, None, recipe)
    return Lesson(model, recipe, 1.0, 39_098)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE), np.uint8)
    return training_images.drawn(tmp_path_factory.mktemp("drawn") / "fields", pixels)


def test_the_store_and_the_files_give_the_same_batches(data: Data, tmp_path: Path) -> None:
    files = training_images.stored(data, tmp_path, SIZE)
    assert len(set(files)) == len(KINDS)
    assert training.compare(lesson(), data, files) == "pixels and batches equal"
    pixels = np.load(files[3])
    pixels[2, 50, 7] ^= 1
    np.save(files[3], pixels)
    with pytest.raises(WrongAnswerError, match=r"pixels of field3_red\.jpg"):
        training.compare(lesson(), data, files)


def test_a_store_that_is_augmented_otherwise_is_told(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = training_images.stored(data, tmp_path, SIZE)
    other = replace(lesson(), recipe=replace(lesson().recipe, augment=[{"type": "crop"}]))
    plain = training._decoded
    monkeypatch.setattr(training, "_decoded", lambda _, data: plain(other, data))
    with pytest.raises(WrongAnswerError, match="pixels of a batch"):
        training.compare(lesson(), data, files)


@pytest.mark.parametrize(
    ("head", "backbone"), [("avg-max", "resnet18"), ("attention", "inception-v3")]
)
def test_a_step_has_the_loss_of_a_notebook(head: str, backbone: str) -> None:
    one = lesson(head, backbone)
    step, learner = training.network(one)
    pixels = torch.randint(0, 256, (2, 4, SIZE, SIZE), dtype=torch.uint8)
    batch = (pixels, torch.from_numpy(training_images.targets(2)), torch.arange(2))
    assert training.compare_step(learner, batch).startswith("loss ")
    before = {name: value.clone() for name, value in learner.model.named_parameters()}
    step(batch)
    assert all(not torch.equal(value, before[name]) for name, value in _weights(learner.model))
    learner.loss = losses.build({"type": "focal", "gamma": 1.9}, len(CLASSES))
    with pytest.raises(WrongAnswerError, match="loss: differs"):
        training.compare_step(learner, batch)


def _weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, value) for name, value in model.named_parameters() if value.ndim > 1)


def test_a_weight_that_does_not_learn_is_told() -> None:
    _, learner = training.network(lesson())
    learner.model.spare = torch.nn.Linear(2, 2)
    batch = (
        torch.zeros(2, 4, SIZE, SIZE, dtype=torch.uint8),
        torch.zeros(2, len(CLASSES)),
        torch.arange(2),
    )
    with pytest.raises(WrongAnswerError, match="2 weights have no gradient: spare"):
        training.compare_step(learner, batch)


def test_recipes_are_those_of_the_spec_and_the_team() -> None:
    """4/5 of 48,872 images; 39,098 images x 3 epochs x 5 folds in 18,000 s."""
    found = {one.model.name: one for one in training.lessons()}
    assert set(found) == set(training.HOURS)
    assert [one.learned for one in found.values()] == [39_098] * 3
    assert found["densenet121-768"].rate == pytest.approx(39_098 * 15 / 18_000)
    assert found["densenet121-1536"].rate == pytest.approx(18.62, abs=0.01)
    assert found["inception-1024"].rate == pytest.approx(18.10, abs=0.01)
    assert {one.size for one in found.values()} == {768, 1024, 1536}


def test_an_epoch_is_reckoned_from_what_one_image_takes() -> None:
    """Each of 39,098 images .01 s, each of the 9,774 others .02 s, a card of 390,980 / h."""
    seconds = {"naive": [0.1] * 3, "ours": [0.01, 0.02, 0.01], "valid": [0.02] * 3}
    found = training.reckoned(lesson(), Times({**seconds, "network": [2.0] * 3}))
    assert found.naive == pytest.approx(48_872 * 0.1 / 3600)
    assert found.ours == pytest.approx((39_098 * 0.01 + 9_774 * 0.02) / 3600)
    assert found.floor == pytest.approx(39_098 * 2 / 3600)
    assert found.ratio is not None and found.unit == "core h"
    assert found.ratio.value == pytest.approx(108.6 * 0.01, rel=1e-3)
    assert found.ratio.high == pytest.approx(108.6 * 0.015, rel=1e-3)
    assert found.met is False and replace(found, ratio=Spread(1, 1, 1)).met
    assert "without it 10.9 cores" in found.check


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the time of another process")
def test_the_time_of_a_worker_counts(data: Data, tmp_path: Path) -> None:
    files = training_images.stored(data, tmp_path, SIZE) * 60
    one = lesson()
    alone, worked = (
        training._epochs(one, training._images(one, files), workers) for workers in (0, 1)
    )
    spent = []
    for epochs in (alone, worked):
        epochs()
        begin = training_images.processor_time()
        epochs()
        spent.append(training_images.processor_time() - begin)
    assert alone.count == worked.count == len(files) and alone.epoch == 2
    assert spent[1] > 0.8 * spent[0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the time of another process")
def test_a_network_has_four_lines(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_images, "APART", 1e5)
    monkeypatch.setattr(gc, "collect", lambda: 0)  # half a second each, with all that is imported
    found = list(training.results(lesson(), data, tmp_path, Effort(3, True)))
    assert [one.case.partition(":")[2] for one in found[:2]] == [
        " loader",
        " network, crops of 64 px",
    ]
    assert found[2].case == f"store of {SIZE} px: to fill it"
    assert found[3].case.endswith("an epoch of 39098 images, reckoned")
    assert all(one.ours and one.ours > 0 and not one.wrong for one in found)
    assert not any(tmp_path.glob("afresh-*"))
    loading, learning = found[:2]
    assert loading.naive and loading.floor and loading.ours and learning.ours
    # medians of one run on a machine that does other things too: the order of magnitude alone
    assert learning.ratio is not None
    assert learning.ratio.value == pytest.approx(loading.ours / learning.ours, rel=0.7)


def test_systems_that_do_not_tell_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (only,) = training.training(None, Effort(3, True))  # type: ignore[arg-type]
    assert only == Result("training", "", skipped=only.skipped) and "Linux" in only.skipped
