import pytest
import torch

from hpazoo.classes import ClassList
from hpazoo.errors import CheckpointError, ComponentError, UsageError
from hpazoo.fields import Input
from hpazoo.models import build_model
from hpazoo.regions import Regions

torch.set_num_threads(1)
DENSENET = {
    "backbone": "densenet121",
    "head": "avg-max",
    "input": {"size": 64, "normalize": "hpa-2018"},
}
INCEPTION = {
    "backbone": "inception-v3",
    "head": {"type": "attention", "grid": 3},
    "input": {"size": 100, "normalize": "per-image"},
}


@pytest.fixture(scope="module")
def densenet():
    return build_model(DENSENET, 19)


@pytest.fixture(scope="module")
def inception():
    return build_model(INCEPTION, 28)


@pytest.fixture(params=["densenet", "inception"])
def model(request):
    return request.getfixturevalue(request.param)


@torch.inference_mode()
def test_the_public_surface(model):
    images = torch.rand(2, 4, 96, 128)
    grid = model.grid(96, 128)
    features = model.features(images)
    assert features.shape == (2, model.backbone.features, *grid)
    logits = model(images)
    assert logits.shape == (2, len(model.classes))
    regions = Regions(torch.rand(5, *grid), [0, 1, 1, 0, 1])
    by_region = model(images, regions)
    assert by_region.shape == (5, len(model.classes))
    assert model.embed(images, regions).shape == (5, model.backbone.features)
    assert model.embed(images).shape == (2, model.backbone.features)
    read, embedding = model.read(features, regions)
    torch.testing.assert_close(read, by_region)
    assert len(embedding) == 5
    torch.testing.assert_close(model(images, Regions(torch.ones(2, *grid), [0, 1])), logits)
    assert not model.training


@torch.inference_mode()
def test_a_second_call_gives_the_same(model):
    images = torch.rand(1, 4, 96, 96)
    before = images.clone()
    first = model(images)
    assert torch.equal(model(images), first)
    assert torch.equal(images, before)


@torch.inference_mode()
def test_statistics_reach_the_normalisation(inception, densenet):
    images = torch.rand(1, 4, 96, 96)
    statistics = torch.tensor([[[0.1, 0.2]] * 4])
    assert not torch.allclose(inception(images), inception(images, statistics=statistics))
    expected = inception.backbone((images - 0.1) / 0.2)
    torch.testing.assert_close(
        inception.features(images, statistics=statistics), expected, rtol=1e-3, atol=1e-3
    )
    assert torch.equal(densenet(images), densenet(images, statistics=statistics))


@torch.inference_mode()
def test_half_precision(densenet):
    images = torch.rand(1, 4, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = densenet(images, Regions(torch.rand(3, 2, 2), [0] * 3))
    assert torch.isfinite(logits).all()
    halved = build_model(DENSENET, 19).to(torch.bfloat16)
    assert halved(images).dtype == torch.bfloat16


def test_gradients_reach_every_parameter(inception):
    model = build_model(INCEPTION, 3).train()
    images = torch.rand(2, 4, 139, 139)
    features, auxiliary = model.backbone.with_aux(model.prepare(images))
    logits, _ = model.read(features)
    (logits.sum() + model.head.auxiliary_logits(auxiliary).sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_same_seed_gives_the_same_weights(densenet):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    again, other = build_model(DENSENET, 19), build_model(DENSENET, 19, seed="other")
    assert torch.equal(torch.rand(1), expected)
    for key, value in densenet.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert not torch.equal(again.head.logit.weight, other.head.logit.weight)
    assert again.checkpoint is None


def test_classes_by_name_list_and_number():
    assert build_model(DENSENET, "hpa-2021").classes.names[18] == "Negative"
    two = ClassList("mine", ("a", "b"))
    assert build_model(DENSENET, two).head.logit.out_features == 2
    assert len(build_model(DENSENET, 7).classes) == 7
    with pytest.raises(UsageError, match="hpa-2021"):
        build_model(DENSENET, "hpa-2012")


def test_an_auxiliary_head_only_where_there_is_a_map_for_it(inception):
    assert inception.head.auxiliary.logit.in_channels == 768
    plain = build_model(DENSENET | {"head": "attention"}, 3)
    assert plain.head.auxiliary is None


def test_input_may_be_an_input():
    assert build_model(DENSENET | {"input": Input(64, "none")}, 3).input == (64, "none")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": {"size": 28, "normalize": "none"}}, UsageError, "28 x 28 .* needs 29"),
        ({"input": {"size": "768", "normalize": "none"}}, UsageError, "whole number of pixels"),
        ({"input": {"size": 768}}, UsageError, "size: ..., normalize"),
        ({"input": {"size": 64, "normalize": "hpa2018"}}, UsageError, "did you mean 'hpa-2018'"),
        ({"bakcbone": "x"}, UsageError, "unknown key 'bakcbone'.*did you mean 'backbone'"),
        ({"backbone": "densnet121"}, ComponentError, "did you mean 'densenet121'"),
        ({"head": {"type": "attention", "gird": 3}}, ComponentError, "gird"),
        ({"checkpoint": "/nowhere/x.pth"}, CheckpointError, "does not exist"),
    ],
)
def test_what_does_not_build(change, error, message):
    with pytest.raises(error, match=message):
        build_model(DENSENET | change, 19)


@pytest.mark.parametrize("key", ["backbone", "head", "input"])
def test_what_is_lacking(key):
    with pytest.raises(UsageError, match=f"a model needs '{key}'"):
        build_model({k: v for k, v in DENSENET.items() if k != key}, 19)


def test_a_head_that_needs_what_the_backbone_has_not(monkeypatch, densenet):
    monkeypatch.setattr(type(densenet.head), "needs", ("feature-map", "auxiliary-map"))
    with pytest.raises(ComponentError, match="'avg-max' needs a backbone that gives 'auxiliary-m"):
        build_model(DENSENET, 19)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 64, 64), r"\(B, 4, H, W\).*these are \(1, 3, 64, 64\)"),
        (torch.zeros(4, 64, 64), r"these are \(4, 64, 64\)"),
        (torch.zeros(1, 4, 64, 64, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 4, 64, 20), "64 x 20 pixels give no feature map; .* needs 29"),
    ],
)
def test_images_that_are_none(densenet, images, message):
    with pytest.raises(UsageError, match=message):
        densenet(images)


def test_regions_need_a_head_that_gives_them(densenet, monkeypatch):
    monkeypatch.setattr(type(densenet.head), "gives", ())
    with pytest.raises(UsageError, match="whole images only"):
        densenet(torch.zeros(1, 4, 64, 64), Regions(torch.ones(1, 2, 2), [0]))
