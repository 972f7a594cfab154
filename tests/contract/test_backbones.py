"""What every backbone keeps to."""

import pytest
import torch

from hpazoo.backbones import backbones
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

torch.set_num_threads(1)

SAID = {
    "resnet18": [{"stem": "bestfitting"}, {"stem": "torchvision"}],
    "resnet34": [{"stem": "bestfitting"}],
    "resnet50": [{"stem": "torchvision"}],
    "timm": [{"name": "test_vit"}],
}
"""Keywords to build a backbone with, where it needs some."""

# A backbone without a feature map keeps to a contract of its own, tested beside it.
NAMES = [name for name in built_in(backbones) if "feature-map" in backbones.get(name).gives]
CONFIGS = [{"type": name, **said} for name in NAMES for said in SAID.get(name, [{}])]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda c: "-".join(map(str, c.values())))
def config(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(config):
    torch.manual_seed(0)
    return backbones.build(config, 4).eval()


@pytest.mark.parametrize("name", built_in(backbones))
def test_parameters_follow_the_grammar_and_are_documented(name):
    for parameter in parameters_of(backbones.get(name)):
        assert parameter.doc, parameter.name


@pytest.mark.parametrize("name", built_in(backbones))
def test_facts_that_a_spec_is_checked_with(name):
    """The class knows them without being built: what it gives, and a lower bound of sizes."""
    factory = backbones.get(name)
    assert {*factory.gives} <= {"feature-map", "auxiliary-map", "centres", "answers"}
    assert type(factory.min_size) is int and factory.min_size >= 1
    keywords = {parameter.name for parameter in parameters_of(factory)}
    assert set(getattr(factory, "silent", ())) <= keywords


class TestBackbones:
    def test_gives(self, backbone):
        assert "feature-map" in backbone.gives
        assert ("auxiliary-map" in backbone.gives) == (backbone.aux_features is not None)
        assert backbone.min_size >= type(backbone).min_size

    def test_centres(self, backbone):
        """Each step that the image is longer is a position more, with its centre in the image."""
        centres = getattr(backbone, "centres", None)
        assert ("centres" in backbone.gives) == (centres is not None)
        if centres is not None:
            first, step = centres
            assert 0 < first < backbone.min_size
            assert step == int(step) > 0
            for more in range(4):
                side = backbone.min_size + more * int(step)
                assert backbone.grid(side, side) == (1 + more, 1 + more)
                assert first + more * step < side

    def test_what_files_do_not_tell_can_be_asked(self, backbone, config):
        for name in getattr(backbone, "silent", ()):
            assert getattr(backbone, name) == config.get(name, False)

    @pytest.mark.parametrize("extra", [(0, 0), (1, 40), (33, 7)])
    def test_map_is_as_announced(self, backbone, extra):
        height, width = (backbone.min_size + more for more in extra)
        with torch.inference_mode():
            features = backbone(torch.rand(2, 4, height, width))
        assert features.shape == (2, backbone.features, *backbone.grid(height, width))
        assert torch.isfinite(features).all()

    def test_with_aux_gives_the_same_map(self, backbone):
        images = torch.rand(1, 4, backbone.min_size, backbone.min_size + 20)
        before = images.clone()
        with torch.inference_mode():
            alone = backbone(images)
            features, auxiliary = backbone.with_aux(images)
        assert torch.equal(images, before)
        assert torch.equal(features, alone)
        assert (auxiliary is None) == (backbone.aux_features is None)
        if auxiliary is not None:
            assert auxiliary.shape[:2] == (1, backbone.aux_features)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_any_number_of_channels(self, config, channels):
        other = backbones.build(config, channels).eval()
        with torch.inference_mode():
            other(torch.rand(1, channels, other.min_size, other.min_size))

    def test_images_of_a_batch_do_not_mix_in_evaluation(self, backbone):
        images = torch.rand(2, 4, backbone.min_size, backbone.min_size)
        with torch.inference_mode():
            torch.testing.assert_close(
                backbone(images)[1:], backbone(images[1:]), rtol=1e-3, atol=1e-4
            )

    def test_torch_seeds_the_weights(self, config, backbone):
        torch.manual_seed(0)
        again = backbones.build(config, 4).state_dict()
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, again[key]), key

    def test_it_trains(self, config):
        model = backbones.build(config, 4).train()
        size = model.min_size + 32
        features, auxiliary = model.with_aux(torch.rand(2, 4, size, size))
        (features.mean() + (0 if auxiliary is None else auxiliary.mean())).backward()
        assert all(p.grad is not None for p in model.parameters())
