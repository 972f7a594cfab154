"""What every backbone keeps to."""

import pytest
import torch

from hpazoo.backbones import backbones
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=built_in(backbones))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(name):
    torch.manual_seed(0)
    return backbones.build(name, 4).eval()


class TestBackbones:
    def test_parameters_follow_the_grammar_and_are_documented(self, name):
        for parameter in parameters_of(backbones.get(name)):
            assert parameter.doc, parameter.name

    def test_gives(self, backbone):
        assert "feature-map" in backbone.gives
        assert ("auxiliary-map" in backbone.gives) == (backbone.aux_features is not None)

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
    def test_any_number_of_channels(self, name, channels):
        other = backbones.build(name, channels).eval()
        with torch.inference_mode():
            other(torch.rand(1, channels, other.min_size, other.min_size))

    def test_images_of_a_batch_do_not_mix_in_evaluation(self, backbone):
        images = torch.rand(2, 4, backbone.min_size, backbone.min_size)
        with torch.inference_mode():
            torch.testing.assert_close(
                backbone(images)[1:], backbone(images[1:]), rtol=1e-3, atol=1e-4
            )

    def test_torch_seeds_the_weights(self, name, backbone):
        torch.manual_seed(0)
        again = backbones.build(name, 4).state_dict()
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, again[key]), key

    def test_it_trains(self, name):
        model = backbones.build(name, 4).train()
        size = model.min_size + 32
        features, auxiliary = model.with_aux(torch.rand(2, 4, size, size))
        (features.mean() + (0 if auxiliary is None else auxiliary.mean())).backward()
        assert all(p.grad is not None for p in model.parameters())
