import pytest
import torch

from hpazoo.backbones import backbones

torch.set_num_threads(1)
VARIANTS = ["densenet121", {"type": "densenet121", "large": True}, "inception-v3"]


def sizes_of(layers, size):
    """Size of a map after the pooling and convolution layers alone, on a thin image."""
    for layer in layers:
        size = (size + 2 * layer[2] - layer[0]) // layer[1] + 1
    return size


# (kernel, stride, padding) of everything that changes the size, from the papers.
DENSENET = [(7, 2, 3), (3, 2, 1), (2, 2, 0), (2, 2, 0), (2, 2, 0)]
INCEPTION = [(3, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 1, 0), *[(3, 2, 0)] * 3]
LAYERS = [DENSENET, [*DENSENET, (2, 2, 0)], INCEPTION]


@pytest.mark.parametrize(("config", "layers"), list(zip(VARIANTS, LAYERS, strict=True)))
def test_grid_follows_the_layers_at_every_size(config, layers):
    backbone = backbones.build(config, 4)
    for size in range(backbone.min_size, 2100):
        assert backbone.grid(size, 99) == (sizes_of(layers, size), sizes_of(layers, 99))
    assert backbone.grid(backbone.min_size, backbone.min_size) == (1, 1)
    assert min(backbone.grid(backbone.min_size - 1, backbone.min_size - 1)) < 1


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("remainder", range(0, 64, 9))
def test_grid_is_that_of_the_real_map(config, remainder):
    backbone = backbones.build(config, 4).eval()
    height, width = backbone.min_size + remainder, backbone.min_size + (remainder * 5) % 64
    with torch.inference_mode():
        features = backbone(torch.rand(1, 4, height, width))
    assert features.shape == (1, backbone.features, *backbone.grid(height, width))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (VARIANTS[0], {384: 12, 512: 16, 768: 24}),
        (VARIANTS[1], {1024: 16, 1536: 24}),
        (VARIANTS[2], {1024: 30, 384: 10}),
    ],
)
def test_published_grids(config, expected):
    backbone = backbones.build(config, 4)
    assert {size: backbone.grid(size, size)[0] for size in expected} == expected


def test_the_auxiliary_map_of_inception_at_1024():
    backbone = backbones.build("inception-v3", 4)
    with torch.device("meta"):
        _, auxiliary = backbone.to("meta").with_aux(torch.empty(1, 4, 1024, 1024))
    assert auxiliary.shape == (1, 768, 62, 62)


@pytest.mark.parametrize("config", VARIANTS)
def test_random_weights_keep_the_size_of_activations(config):
    """Sensible initialisation: features are neither 0 nor huge in evaluation."""
    torch.manual_seed(0)
    backbone = backbones.build(config, 4).eval()
    with torch.inference_mode():
        features = backbone(torch.randn(1, 4, 150, 150))
    assert 1e-3 < features.mean() < 1e3


def test_large_halves_after_the_stem_and_adds_no_parameters():
    plain, large = (backbones.build(config, 4) for config in VARIANTS[:2])
    assert list(plain.state_dict()) == list(large.state_dict())
    names = [name for name, _ in large.layers.named_children()]
    assert names.index("pool_large") == names.index("pool0") + 1
