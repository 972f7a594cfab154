"""Views through networks: forms, folds, classes, embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hpazoo.classes import class_list, map_probabilities
from hpazoo.fields import Field, Input, View
from hpazoo.models import Model
from hpazoo.regions import Regions
from hpazoo.runner.networks import Network
from hpazoo.spec.resolution import Model as ModelSpec
from hpazoo.strategies.gap_mask import GapMask
from hpazoo.strategies.whole_image import WholeImage
from hpazoo.views import Views
from hpazoo.views._turns import D4, FLIPS
from hpazoo.views.d4 import D4Views
from hpazoo.views.flips import Flips

TARGET = class_list("hpa-2021")
SPEC = ModelSpec(
    "net", {"type": "densenet121"}, {"type": "avg-max"}, Input(64, "none"), "hpa-2018", None, "max"
)


@pytest.fixture(scope="module")
def view() -> View:
    """Odd and oblong: a cell of one pixel, one along the border, two of some size."""
    labels = np.zeros((97, 131), np.int32)
    labels[5:40, 7:60], labels[60, 100], labels[96, :], labels[50:90, 20:44] = 3, 4, 9, 70_000
    pixels = np.random.default_rng(0).integers(0, 256, (4, 97, 131), np.uint8)
    pixels[:, labels == 3] //= 4
    (shown,) = GapMask().views(Field("odd", pixels), labels, SPEC.input)
    return shown


@pytest.fixture(scope="module")
def network() -> Network:
    """Two folds with random weights of their own."""
    first = Network(SPEC, [], TARGET)
    first.folds += Network(replace(SPEC, name="other"), [], TARGET).folds
    return first


def directly(model: Model, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities of the cells, by rising id."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)[None].astype(np.float32) / 255)
    grid = model.grid(*images.shape[2:])
    with torch.inference_mode():
        regions = Regions.from_masks([np.ascontiguousarray(labels)], grid=grid, over="cell")
        return torch.sigmoid(model(images, regions)).numpy().astype(np.float64)


@pytest.mark.parametrize("blend", ["mean", "max"])
@pytest.mark.parametrize(("kind", "turns"), [(Flips, FLIPS), (D4Views, D4)])
def test_forms_then_folds_then_classes(
    network: Network, view: View, kind: type[Views], turns: tuple, blend: str
) -> None:
    """Each form is pooled where its cells then lie: as if the field itself had been turned."""
    assert view.labels is not None
    forms = kind(blend=blend)  # type: ignore[call-arg]
    (answer,) = network.predict([view], GapMask(), forms, "cpu", "32")
    folds = []
    for model in network.folds:
        each = np.stack([directly(model, t.of(view.pixels), t.of(view.labels)) for t in turns])
        folds.append(getattr(each, blend)(axis=0))
    mean = np.mean(folds, axis=0).astype(np.float32)
    expected = map_probabilities(mean, network.source, TARGET)
    assert answer.probabilities.shape == (4, 19) and answer.embeddings is None
    np.testing.assert_allclose(answer.probabilities, expected, atol=2e-6)
    # and not as if the cells had stayed where they were
    wrong = directly(network.folds[0], np.flip(view.pixels, (1, 2)), view.labels)
    right = directly(network.folds[0], *(np.flip(a, (-2, -1)) for a in (view.pixels, view.labels)))
    assert np.abs(wrong - right).max() > 1e-3


def test_embeddings_are_the_first_folds_and_the_mean_of_the_forms(
    network: Network, view: View
) -> None:
    two = [view, replace(view, pixels=255 - view.pixels)]
    answers = network.predict(two, GapMask(), Flips(), "cpu", "32", embed=True)
    for shown, answer in zip(two, answers, strict=True):
        each = []
        for turn in FLIPS:
            images = torch.from_numpy(turn.of(shown.pixels)[None].astype(np.float32) / 255)
            grid = network.folds[0].grid(*images.shape[2:])
            regions = Regions.from_masks([turn.of(shown.labels)], grid=grid, over="cell")
            with torch.inference_mode():
                each.append(network.folds[0].embed(images, regions).numpy())
        assert answer.embeddings is not None
        np.testing.assert_allclose(answer.embeddings, np.mean(each, axis=0), rtol=1e-4, atol=1e-4)


def test_a_network_without_classes_gives_embeddings_alone(view: View) -> None:
    model = replace(SPEC, classes=None, map_classes=None, head={"type": "arcface"})
    shown = replace(view, labels=None, cells=np.zeros(1, int))
    (answer,) = Network(model, [], TARGET).predict(
        [shown], WholeImage(), None, "cpu", "32", embed=True
    )
    assert answer.probabilities.shape == (1, 0)
    assert answer.embeddings is not None and answer.embeddings.shape == (1, 512)
