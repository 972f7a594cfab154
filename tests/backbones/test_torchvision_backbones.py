import pytest
import torch
from torch.nn import functional

from hpazoo.backbones import backbones
from hpazoo.errors import ComponentError

torch.set_num_threads(1)
DENSENET = [(7, 2, 3), (3, 2, 1), (2, 2, 0), (2, 2, 0), (2, 2, 0)]
INCEPTION = [(3, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 1, 0), *[(3, 2, 0)] * 3]
RESNET = {
    "bestfitting": [(7, 2, 3), (2, 2, 0), *[(3, 2, 1)] * 3],
    "torchvision": [(7, 2, 3), (3, 2, 1), *[(3, 2, 1)] * 3],
}
# (kernel, stride, padding) of everything that changes the size, from the papers; then the centre of
# position 0 and the step, counted by hand.
KNOWN = {
    "densenet121": ("densenet121", DENSENET, (14.5, 32)),
    "densenet121-large": (
        {"type": "densenet121", "large": True},
        [*DENSENET, (2, 2, 0)],
        (30.5, 64),
    ),
    "inception-v3": ("inception-v3", INCEPTION, (37.5, 32)),
    **{
        f"resnet{depth}-{stem}": (
            {"type": f"resnet{depth}", "stem": stem},
            RESNET[stem],
            {"bestfitting": (1.5, 32), "torchvision": (0.5, 32)}[stem],
        )
        for depth, stem in (
            (18, "bestfitting"),
            (18, "torchvision"),
            (34, "bestfitting"),
            (50, "torchvision"),
        )
    },
}


@pytest.fixture(scope="module", params=KNOWN)
def known(request):
    config, layers, centres = KNOWN[request.param]
    torch.manual_seed(0)
    return backbones.build(config, 4).eval(), layers, centres


def sizes_of(layers, size):
    """Size of a map after the pooling and convolution layers alone, on a thin image."""
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) // stride + 1
    return size


def test_grid_follows_the_layers_at_every_size(known):
    backbone, layers, _ = known
    for size in range(backbone.min_size, 2100):
        assert backbone.grid(size, 99) == (sizes_of(layers, size), sizes_of(layers, 99))
    assert backbone.grid(backbone.min_size, backbone.min_size) == (1, 1)
    assert min(backbone.grid(backbone.min_size - 1, 99)) < 1
    assert type(backbone).min_size <= backbone.min_size


def test_grid_is_that_of_the_real_map(known):
    """All remainders of the stride: the sides step through them at different paces."""
    backbone, _, (_, step) = known
    with torch.inference_mode():
        for remainder in range(0, step, 9):
            height = backbone.min_size + remainder
            width = backbone.min_size + (remainder * 5) % step
            features = backbone(torch.rand(1, 4, height, width))
            assert features.shape == (1, backbone.features, *backbone.grid(height, width))


def test_one_pixel_less_than_the_least_size_gives_no_map(known):
    backbone, _, _ = known
    size = backbone.min_size - 1
    with pytest.raises(RuntimeError), torch.inference_mode():
        backbone(torch.rand(1, 4, size, 99))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("densenet121", {384: 12, 512: 16, 768: 24}),
        ("densenet121-large", {1024: 16, 1536: 24}),
        ("inception-v3", {1024: 30, 384: 10}),
        ("resnet34-bestfitting", {256: 8, 384: 12}),
        ("resnet50-torchvision", {256: 8, 384: 12}),
    ],
)
def test_published_grids(name, expected):
    backbone = backbones.build(KNOWN[name][0], 4)
    assert {size: backbone.grid(size, size)[0] for size in expected} == expected


def mirrored_weights(backbone):
    """Every kernel the mean of itself and its mirror image, from left to right."""
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim == 4:
                parameter.copy_((parameter + parameter.flip(3)) / 2)


def test_centres_by_mirroring(known):
    """With mirrored kernels, the map of a mirrored image is the mirrored map exactly where the
    centres of the first and of the last position are as far from the borders as each other.
    """
    backbone, _, centres = known
    assert backbone.centres == centres
    first, step = centres
    mirrored_weights(backbone.double())
    width = int(2 * first + 3 * step)
    with torch.inference_mode():
        for more in (0, 2):
            images = torch.randn(1, 4, backbone.min_size, width + more, dtype=torch.float64)
            features, turned = backbone(images), backbone(images.flip(3)).flip(3)
            assert features.shape[3] == 4
            same = torch.allclose(features, turned, rtol=1e-6, atol=1e-9)
            assert same == (more == 0), f"{more} px more"
    backbone.float()


@pytest.mark.parametrize(
    "name",
    [
        "densenet121",
        "densenet121-large",
        "inception-v3",
        "resnet18-bestfitting",
        "resnet18-torchvision",
    ],
)
def test_centres_by_gradients(name, monkeypatch):
    """Where a position looks: the middle, and the centre of mass, of its gradients.

    All weights are alike and averages take the place of maxima: then what a position gives is a sum
    over its receptive field with weights that are symmetric about the centre. The image is wide
    enough for all of it. Together with the mirror test this fixes start and step.
    """
    config, _, (first, step) = KNOWN[name]

    def mean(values, kernel_size, stride=None, padding=0, *rest, **options):
        return functional.avg_pool2d(values, kernel_size, stride, padding)

    monkeypatch.setattr(functional, "max_pool2d", mean)
    backbone = backbones.build(config, 1).eval().double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.fill_(1 / parameter[0].numel() if parameter.ndim == 4 else 1)
    width = 67 * step
    images = torch.ones(1, 1, backbone.min_size, width, dtype=torch.float64, requires_grad=True)
    row = backbone(images).sum((0, 1, 2))
    position = len(row) // 2
    row[position].backward()
    weight = images.grad.sum((0, 1, 2))
    assert float(weight.min()) >= 0
    pixels = torch.arange(width, dtype=torch.float64) + 0.5
    found = float((weight * pixels).sum() / weight.sum())
    assert found == pytest.approx(first + position * step, abs=1e-6)
    seen = weight.nonzero().flatten()
    assert seen[0] > 0 and seen[-1] < width - 1
    assert float(seen[0] + seen[-1] + 1) / 2 == first + position * step


def test_the_auxiliary_map_of_inception_at_1024():
    backbone = backbones.build("inception-v3", 4)
    with torch.device("meta"):
        _, auxiliary = backbone.to("meta").with_aux(torch.empty(1, 4, 1024, 1024))
    assert auxiliary.shape == (1, 768, 62, 62)


@pytest.mark.parametrize("config", [config for config, _, _ in KNOWN.values()], ids=list(KNOWN))
def test_random_weights_keep_the_size_of_activations(config):
    """Sensible initialisation: features are neither 0 nor huge in evaluation."""
    torch.manual_seed(0)
    backbone = backbones.build(config, 4).eval()
    with torch.inference_mode():
        features = backbone(torch.randn(1, 4, 150, 150))
    assert 1e-3 < features.mean() < 1e3


@pytest.mark.parametrize("name", ["densenet121", "resnet18", "resnet34", "resnet50"])
def test_silent_variants_have_the_same_tensors_and_other_maps(name):
    """What `silent` promises, and why it has to be said in a spec."""
    key, values = {"densenet121": ("large", (False, True))}.get(name, ("stem", tuple(RESNET)))
    first, second = (backbones.build({"type": name, key: value}, 4).eval() for value in values)
    assert type(first).silent == (key,)
    assert [getattr(first, key), getattr(second, key)] == list(values)
    shapes = [{k: v.shape for k, v in b.state_dict().items()} for b in (first, second)]
    assert shapes[0] == shapes[1]
    second.load_state_dict(first.state_dict())
    images = torch.rand(1, 4, 128, 128)
    with torch.inference_mode():
        maps = first(images), second(images)
    assert maps[0].shape != maps[1].shape or not torch.allclose(*maps, rtol=0.1)


def test_large_halves_after_the_stem():
    large = backbones.build(KNOWN["densenet121-large"][0], 4)
    names = [name for name, _ in large.layers.named_children()]
    assert names.index("pool_large") == names.index("pool0") + 1


def test_a_stem_must_be_said():
    with pytest.raises(ComponentError, match=r"backbone 'resnet34'.*stem"):
        backbones.build("resnet34", 4)
    with pytest.raises(ComponentError, match="unknown stem 'tochvision'; did you mean 'torchvis"):
        backbones.build({"type": "resnet34", "stem": "tochvision"}, 4)
