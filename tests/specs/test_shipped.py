"""The shipped specs of published networks, with stand-ins that a server of this computer offers."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import Tensor, nn

import hpazoo
from hpazoo.checkpoints.cards import OWN_CARDS
from hpazoo.cli import main
from hpazoo.imageio import write_label_image
from hpazoo.paths import data_folder
from hpazoo.readers import readers
from hpazoo.runner.preflight import MissingError
from tests.checkpoints.serving import Server, whole

CARDS = yaml.safe_load((data_folder("registry") / "checkpoints.yaml").read_text(encoding="utf-8"))


class Winner(nn.Module):
    """19 probabilities and 2,048 features of a crop of 128 px: means of its channels, mixed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores, self.features = nn.Linear(4, 19), nn.Linear(4, 2048)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        assert image.shape[1:] == (4, 128, 128)
        means = image.mean((2, 3))
        return torch.sigmoid(4 * self.scores(means)), self.features(means)


class Outlines(nn.Module):
    """Maps of background, border and inside: inside is where a channel is bright."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, image: Tensor) -> Tensor:
        inside = 6 * (image[:, self.channel] + 1.2)
        return torch.stack([torch.zeros_like(inside), torch.full_like(inside, -9.0), inside], 1)


def program(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def stand_ins() -> dict[str, bytes]:
    model = {"backbone": "densenet121", "head": "avg-max"}
    network = hpazoo.build_model(model | {"input": {"size": 768, "normalize": "hpa-2018"}}, 28)
    weights = io.BytesIO()
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, weights)
    return {
        "bestfitting-densenet121-768": weights.getvalue(),
        "hpa2021-winner-inception": program(Winner()),
        "hpa-segmentation-cells": program(Outlines(0)),
        "hpa-segmentation-nuclei": program(Outlines(2)),
    }


@pytest.fixture
def offered(
    stand_ins: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The cards as published, but for addresses, digests, and the size of one input."""
    with Server() as server:
        cards = {}
        for name, data in stand_ins.items():
            (file,) = CARDS["cards"][name]["files"]
            source = server.url(f"/{name}/{file['name']}", whole(data))
            found = {"sources": [source], "sha256": hashlib.sha256(data).hexdigest()}
            cards[name] = CARDS["cards"][name] | {"files": [file | found]}
            if "densenet" in name:
                cards[name]["input"] = {"size": 192, "normalize": "hpa-2018"}  # in good time
        path = tmp_path / "cards.yaml"
        path.write_text(yaml.safe_dump({"cards": cards}), encoding="utf-8")
        monkeypatch.setenv(OWN_CARDS, str(path))
        monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One oblong drawn field in Kaggle's files."""
    folder = tmp_path_factory.mktemp("images") / "test"
    drawn = readers.build({"type": "synthetic", "fields": 1, "size": 512}, folder)
    field = drawn.read(drawn.ids()[0])
    for name, plane in zip(("red", "green", "blue", "yellow"), field.pixels, strict=True):
        write_label_image(folder / f"{field.id}_{name}.png", plane[:400])
    return folder


@pytest.mark.parametrize("name", ["bestfitting-2018", "winner-2021", "hpa2021-available"])
def test_fetch_and_run(
    name: str, offered: None, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (data_folder("specs") / f"{name}.yaml").read_text(encoding="utf-8")
    shown = [line.removeprefix("#").strip(" \\") for line in text.splitlines() if line[:2] == "# "]
    command = " ".join(shown)[" ".join(shown).index("hpazoo checkpoints fetch") :].split()
    with pytest.raises(MissingError) as error:
        hpazoo.run(name, images=images, out=tmp_path / "out", workers=0)
    for card in command[3:]:
        assert f"hpazoo checkpoints fetch {card}" in str(error.value)
    with pytest.raises(SystemExit) as stop:
        main(command[1:])
    assert not stop.value.code, capsys.readouterr().err
    run = hpazoo.run(name, images=images, out=tmp_path / "out", workers=0)
    assert run.exit_code == 0 and run.stamp == "" and run.cells > 0
    table = run.predictions
    classes = hpazoo.load(name).resolved["classes"]
    assert table.shape[1] == 9 + {"hpa-2018": 28, "hpa-2021": 19}[classes]
    assert np.isfinite(table.iloc[:, 9:].to_numpy()).all()
    if name == "winner-2021":
        vectors = pd.read_parquet(run.folder / "embeddings-winner+cell-crop.parquet")
        assert np.stack(vectors["embedding"]).shape == (run.cells, 2048)
        assert table["cell"].tolist() == vectors["cell"].tolist()
        assert len(np.unique(table["Cytosol"])) == run.cells
    if name == "bestfitting-2018":
        assert (table["Cytosol"] == table["Cytosol"][0]).all()
    if name == "winner-2021":
        again = hpazoo.run(run.folder / "run.lock.yaml", out=tmp_path / "again")
        assert again.exit_code == 0 and again.remarks == ()
