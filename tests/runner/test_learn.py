"""From a spec to trained folds; the trainings themselves run in the test's own process."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import hpazoo
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.checkpoints.save import save_checkpoint
from hpazoo.errors import HpazooError, UsageError
from hpazoo.fields import CHANNELS
from hpazoo.runner.finished import Run
from hpazoo.runner.options import Options
from hpazoo.runner.preflight import MissingError
from hpazoo.runner.run import run
from hpazoo.runner.stages import LAST, Stage
from hpazoo.training import fit as fit_module
from hpazoo.training.job import Job
from hpazoo.training.telling import Voice
from tests.training import jobs

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice; `main` does the same


@pytest.fixture(autouse=True, scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with jobs.plugin(tmp_path_factory.mktemp("plugin")):
        yield


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings that were launched, by name; they run here."""
    found: list[str] = []

    def launch(job: Job, say: Any, *, check: bool = False, environment: Any = None) -> None:
        (fit_module.check if check else fit_module.fit)(job, Voice(None))
        found.append(job.name)

    monkeypatch.setattr("hpazoo.training.train.launch", launch)
    return found


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own, and take longer than these trainings."""
    monkeypatch.setattr("hpazoo.runner.run.evaluate_left_out", lambda *_: [])
    monkeypatch.setattr("hpazoo.runner.score.evaluate_left_out", lambda *_: [])
    monkeypatch.setattr("hpazoo.training.split_files.write_plot", lambda r, path: path.touch())


def spec(**changes: Any) -> dict[str, Any]:
    """A model to be trained on two folds of drawn images; `train` and others can differ."""
    recipe = {"epochs": 1, "folds": 2, "batch_size": 4, "accumulate": 1, "augment": ["d4"]}
    made: dict[str, Any] = {
        "hpazoo": 1,
        "name": "small",
        "classes": "hpa-2021",
        "models": {
            "m": {
                "backbone": "test.small",
                "head": "avg-max",
                "input": {"size": 64, "normalize": "hpa-2018"},
                "train": recipe | {"loss": "bce"} | changes.pop("train", {}),
            }
        },
        "training": {
            "images": [{"type": "synthetic", "fields": 24, "size": 128, "seed": 3}],
            "splitter": {"type": "multilabel-stratified", "folds": 2},
        },
    }
    made["models"]["m"] |= changes.pop("model", {})
    made["training"] |= changes.pop("training", {})
    return made | changes


def done(
    folder: Path, data: dict[str, Any], *, until: Stage = LAST, out: str = "run", **options: Any
) -> Run:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    how = {"data": folder, "workers": 0, "device": "cpu"} | options
    return run(hpazoo.load(file), folder / out, Options(**how), until=until)


def log(folder: Path, out: str = "run") -> str:
    return (folder / out / "log.txt").read_text(encoding="utf-8")


def fields(folder: Path, names: list[str], labels: dict[str, str]) -> dict[str, Any]:
    """A folder of images and a table of labels, as a reader."""
    (folder / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        for channel in CHANNELS:
            pixels = rng.integers(0, 255, (64, 64)).astype(np.uint8)
            cv2.imwrite(str(folder / "images" / f"{name}_{channel}.png"), pixels)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("ID", "Label"), *labels.items()])
    return {"type": "hpa-files", "root": "images", "labels": "labels.csv"}


def folds(folder: Path, of: dict[str, int]) -> dict[str, str]:
    with (folder / "folds.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("field", "fold"), *of.items()])
    return {"type": "from-file", "file": "folds.csv"}


def test_trained_once(tmp_path: Path, launched: list[str]) -> None:
    first = done(tmp_path, spec())
    assert first.exit_code == 0
    assert launched == ["model 'm'", "m, fold 0", "m, fold 1"]
    models = tmp_path / "run" / "models" / "m"
    files = [models / f"fold-{number}.safetensors" for number in range(2)]
    assert set(files) <= set(first.outputs)
    before = [file.read_bytes() for file in files]
    card = read_card(files[0]) or {}
    assert card["trained_on"]["images"] == 12 and set(card["metrics"]) == {"loss", "map"}
    assert card["classes"]["name"] == "hpa-2021" and card["training"]["epochs"] == 1
    with (tmp_path / "run" / "run.lock.yaml").open(encoding="utf-8") as lock:
        assert len(yaml.safe_load(lock)["lock"]["checkpoints"]["m"]) == 2
    # the same again, with other options: nothing is trained
    launched.clear()
    done(tmp_path, spec())
    done(tmp_path, spec(), workers=2)
    assert not launched and "m, fold 1: trained already" in log(tmp_path)
    # weights that something else has changed are no longer those that were trained
    damaged = bytearray(before[1])
    damaged[-8] ^= 255
    files[1].write_bytes(damaged)
    done(tmp_path, spec())
    assert "m, fold 1" in launched and "m, fold 0" not in launched
    assert "m, fold 1: its files are not as they were written: trained again" in log(tmp_path)
    assert [file.read_bytes() for file in files] == before
    # as the message of a damaged file promises: what is removed is made again
    answers = models / "fold-0" / "left-out.parquet"
    whole = answers.read_bytes()
    answers.unlink()
    done(tmp_path, spec())
    assert launched.count("m, fold 0") == 1 and answers.read_bytes() == whole
    launched.clear()
    assert [file.read_bytes() for file in files] == before
    # in another folder, from this one
    done(tmp_path, spec(), out="other", reuse=tmp_path / "run")
    assert launched == []
    other = tmp_path / "other" / "models" / "m"
    assert [(other / file.name).read_bytes() for file in files] == before
    assert (other / "fold-1" / "left-out.parquet").exists()
    # another recipe: the old files are kept, the new ones are new
    launched.clear()
    done(tmp_path, spec(train={"epochs": 2, "folds": 1}), reuse=tmp_path / "other")
    assert launched == ["model 'm'", "m, fold 0"]
    assert files[0].read_bytes() != before[0] and files[1].read_bytes() == before[1]
    assert (models / "old" / "fold-0.1" / "fold-0.safetensors").read_bytes() == before[0]
    assert "lies in" in log(tmp_path) and "is not taken" in log(tmp_path)


def test_a_fold_is_a_checkpoint(tmp_path: Path) -> None:
    """Of another spec: to predict with, and to begin from."""
    done(tmp_path, spec(train={"folds": 1}))
    file = "run/models/m/fold-0.safetensors"
    data = spec(
        images={"type": "synthetic", "fields": 2, "size": 128},
        masks="provided",
        members=[{"model": "m", "strategy": "gap-mask"}],
    )
    del data["training"], data["models"]["m"]["train"]
    data["models"]["m"]["checkpoint"] = file
    assert done(tmp_path, data, out="predicted").fields == 2
    done(tmp_path, spec(train={"start": file, "folds": 1}), out="further")
    card = read_card(tmp_path / "further" / "models" / "m" / "fold-0.safetensors") or {}
    assert card["parent"] == file


def test_unreadable_images_are_set_aside(tmp_path: Path) -> None:
    names = [f"image{number}" for number in range(10)]
    labels = {name: str(number % 2) for number, name in enumerate(names)}
    reader = fields(tmp_path, names, labels)
    (tmp_path / "images" / "image3_green.png").write_bytes(b"no image")
    found = done(tmp_path, spec(training={"images": [reader]}, train={"folds": 1}))
    assert found.exit_code == 3
    assert [record.id for record in found.set_aside] == ["image3"]
    assert "set aside image3:" in log(tmp_path)
    card = read_card(tmp_path / "run" / "models" / "m" / "fold-0.safetensors") or {}
    assert card["trained_on"]["images"] in (4, 5)
    for name in names:
        (tmp_path / "images" / f"{name}_red.png").write_bytes(b"none either")
    with pytest.raises(HpazooError, match="none of the 10 images to learn from can be read: "):
        done(tmp_path, spec(training={"images": [reader]}), out="none")


def test_labels_that_do_not_join(tmp_path: Path, launched: list[str]) -> None:
    reader = fields(tmp_path, ["a", "b"], {"c": "0", "d": "1"})
    with pytest.raises(MissingError, match=r"none of its 2 ids has an image"):
        done(tmp_path, spec(training={"images": [reader]}))
    assert not launched and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fold", "recipe", "message"),
    [
        ("001122", {"folds": 4}, "trained on 4 folds, but the split has 3"),
        ("000011", {}, "fold 0: all images of Nuclear membrane are in the fold that validates"),
        ("100000", {"folds": 1}, r"fold 0: 1 of 6 images to learn from, and 2 are the least"),
    ],
)
def test_folds_that_teach_nothing(
    fold: str, recipe: dict[str, Any], message: str, tmp_path: Path, launched: list[str]
) -> None:
    names = [f"image{number}" for number in range(6)]
    reader = fields(tmp_path, names, {name: "01"[index < 3] for index, name in enumerate(names)})
    splitter = folds(tmp_path, {name: int(fold[index]) for index, name in enumerate(names)})
    with pytest.raises(HpazooError, match=message):
        done(tmp_path, spec(training={"images": [reader], "splitter": splitter}, train=recipe))
    assert launched == ["model 'm'"], "tried with one batch, and no fold begun"


def test_one_image_only(tmp_path: Path) -> None:
    reader = fields(tmp_path, ["a"], {"a": "0"})
    with pytest.raises(HpazooError, match="1 labelled images cannot fill 2 folds"):
        done(tmp_path, spec(training={"images": [reader]}))


def test_classes_that_nothing_shows_are_said(tmp_path: Path) -> None:
    names = [f"image{number}" for number in range(8)]
    reader = fields(tmp_path, names, {name: "01"[i % 2] for i, name in enumerate(names)})
    done(tmp_path, spec(training={"images": [reader]}, train={"folds": 1}))
    assert "no image to learn from shows Nucleoli, Nucleoli fibrillar center" in log(tmp_path)


@pytest.mark.parametrize("kind", ["network", "head", "damaged"])
def test_a_start_that_does_not_fit(kind: str, tmp_path: Path, launched: list[str]) -> None:
    made = {"backbone": "test.small", "head": "avg-max", "input": {"size": 64, "normalize": "none"}}
    if kind == "network":
        made["backbone"] = {"type": "resnet18", "stem": "torchvision"}
    if kind == "head":
        made["head"] = "max"
    file = tmp_path / "start.safetensors"
    save_checkpoint(hpazoo.build_model(made, "hpa-2018"), file, {"title": "start"})
    if kind == "damaged":
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(HpazooError, match=r"start\.safetensors"):
        done(tmp_path, spec(train={"start": "start.safetensors"}))
    assert not launched and not (tmp_path / "run" / "cache").exists()


@pytest.mark.parametrize(("stem", "other"), [("torchvision", "bestfitting")])
def test_a_start_with_another_stem(stem: str, other: str, tmp_path: Path) -> None:
    """Which has the same tensors."""
    made = {"head": "avg-max", "input": {"size": 64, "normalize": "none"}}
    theirs = made | {"backbone": {"type": "resnet18", "stem": other}}
    file = tmp_path / "start.safetensors"
    save_checkpoint(hpazoo.build_model(theirs, "hpa-2021"), file, {"title": "start"})
    data = spec(train={"start": file.name}, model={"backbone": {"type": "resnet18", "stem": stem}})
    with pytest.raises(HpazooError, match=rf"stem: {other}.* in the file, .*stem: {stem}"):
        done(tmp_path, data)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpazoo.runner.learn.free_space", lambda folder: 100_000)
    with pytest.raises(HpazooError, match=r"24 images at 64 px 0\.0 GB.*--cache"):
        done(tmp_path, spec())


def test_reuse_of_what_is_no_run(tmp_path: Path, launched: list[str]) -> None:
    with pytest.raises(UsageError, match="no folder of a run that trained"):
        done(tmp_path, spec(), reuse=tmp_path / "nowhere")
    assert not launched


def test_stages_and_options_are_heeded(tmp_path: Path, launched: list[str]) -> None:
    data = spec(
        images={"type": "synthetic", "fields": 3, "size": 128},
        masks="provided",
        members=[{"model": "m", "strategy": "gap-mask"}],
        train={"folds": 1},
    )
    only = done(tmp_path, data, until="split")
    assert not launched and (tmp_path / "run" / "folds.csv").exists() and only.fields == 0
    done(tmp_path, data, until="train")
    assert launched == ["model 'm'", "m, fold 0"] and "split: made already" in log(tmp_path)
    launched.clear()
    both = done(tmp_path, data, limit=2)
    assert both.fields == 2 and not launched
    assert "a training takes all 24 images, whatever --limit says" in log(tmp_path)
    assert done(tmp_path, data, out="random", random_weights=True).stamp == "random weights"
    without = {key: value for key, value in data.items() if key != "members"}
    done(tmp_path, without, out="none", random_weights=True)
    assert "nothing is trained, since --random-weights" in log(tmp_path, "none")
    assert not launched


def test_it_learns_what_its_checkpoint_would_have_told(tmp_path: Path) -> None:
    done(tmp_path, spec(train={"folds": 1}, model={"checkpoint": "mine.safetensors"}))
    assert "model 'm' is trained: no 'mine.safetensors' is to be had" in log(tmp_path)


def test_a_component_of_the_session(tmp_path: Path) -> None:
    from hpazoo.losses import losses

    @hpazoo.register("losses", "mine.loss")
    class Loss:
        """Nothing is wrong."""

        needs = ("labels",)

        def __init__(self, classes: int) -> None:
            pass

        def __call__(self, logits: Any, targets: Any) -> Any:
            return logits.sum() * 0

    try:
        with pytest.raises(MissingError, match=r"losses/mine\.loss was registered by this Python"):
            done(tmp_path, spec(train={"loss": "mine.loss"}))
    finally:
        del losses._added["mine.loss"]
        losses._components = None


def antibodies(folder: Path) -> dict[str, Any]:
    names = [f"{ab}_{ab % 7 + 1}_A{ab % 5 + 1}_{f}" for ab in range(100, 106) for f in (1, 2, 3)]
    labels = {name: str(int(name.split("_")[0]) % 2) for name in names}
    return fields(folder, [*names, "other"], labels | {"other": "1"})


def test_metric_learning_makes_the_folds(tmp_path: Path, launched: list[str]) -> None:
    data = spec(training={"images": [antibodies(tmp_path)]}, train={"folds": 2})
    data["training"]["splitter"] = {"type": "cosine-groups", "embeddings": "alike", "folds": 2}
    data["models"]["alike"] = {
        "backbone": "test.small",
        "head": {"type": "arcface", "hidden": 16, "embedding": 8},
        "input": {"size": 64, "normalize": "none"},
        "train": {"epochs": 1, "batch_size": 4, "accumulate": 1, "loss": "arcface"},
    }
    done(tmp_path, data, until="split")
    assert launched == ["model 'alike'", "alike, fold 0"]
    assert "tells 6 antibodies apart; 1 of 19 images are of none" in log(tmp_path)
    card = read_card(tmp_path / "run" / "models" / "alike" / "fold-0.safetensors") or {}
    assert card["trained_on"]["images"] == 18 and card["classes"]["name"] == "antibodies"
    found = json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))
    assert found
    launched.clear()
    done(tmp_path, data)
    assert launched == ["model 'm'", "m, fold 0", "m, fold 1"]


def test_ids_without_antibodies(tmp_path: Path, launched: list[str]) -> None:
    reader = fields(tmp_path, ["a", "b", "c"], {"a": "0", "b": "1", "c": "0"})
    data = spec(training={"images": [reader]}, train={"loss": "arcface", "augment": ["d4"]})
    data["models"]["m"]["head"] = "arcface"
    with pytest.raises(HpazooError, match=r"of 3 images only 0 have an antibody in their id"):
        done(tmp_path, data)
    assert not launched
