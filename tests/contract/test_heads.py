"""What every head keeps to: it answers for regions as the naive way of tests/naive.py does."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpazoo.errors import UsageError
from hpazoo.heads import heads
from hpazoo.parameters import parameters_of
from hpazoo.regions import Regions
from tests import naive
from tests.contract.names import built_in

torch.set_num_threads(1)
FEATURES, CLASSES = 6, 5

SAID = {
    "arcface": [{"hidden": 16, "embedding": 7}],
    "attention": [{}, {"grid": 4}],
    "gem": [{}, {"learn": False, "power": 1}, {"power": 8.5, "eps": 0.01}],
}
"""Keywords to build a head with, where it has variants or its defaults are large."""

NAMES = [name for name in built_in(heads) if "feature-map" in heads.get(name).needs]
"""A head for something else than feature maps keeps to a contract of its own."""

CONFIGS = [{"type": name, **said} for name in NAMES for said in SAID.get(name, [{}])]


def make(config, dtype=torch.float64, features=FEATURES, classes=CLASSES):
    """A head in evaluation whose every tensor counts: no zeros and no ones."""
    torch.manual_seed(5)
    head = heads.build(config, features, classes).to(dtype).eval()
    for name, value in head.state_dict().items():
        if value.is_floating_point() and name != "p":
            value.uniform_(0.5, 1.5) if (value > 0).all() else value.normal_(0, 0.7)
    return head


def maps(batch, *grid, shift=0.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(batch + sum(grid))
    return torch.randn(batch, FEATURES, *grid, generator=generator, dtype=dtype) + shift


def some_regions(count, batch, grid, over, *, seed=0, soft=True):
    """An empty region, two full ones, sparse and dense ones, in mixed order of images."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand((count, *grid), generator=g, dtype=torch.float64)
    if not soft:
        weights = weights.round()
    keep = torch.rand((count, 1, 1), generator=g)
    weights = weights * (torch.rand((count, *grid), generator=g) < keep)
    for i, value in zip(range(count), (0.0, 1.0, 0.5), strict=False):
        weights[i] = value
    return Regions(weights, torch.randint(0, batch, (count,), generator=g), over=over)


def reference(config, head, features, regions):
    weights = regions.weights.to(features.dtype)
    return naive.HEADS[config["type"]](head, features, weights, regions.image, regions.over)


def assert_same(found, expected, tolerance=1e-9):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def config(request):
    return request.param


@pytest.fixture(params=["grid", "cell"])
def over(request):
    return request.param


@pytest.mark.parametrize("name", built_in(heads))
def test_parameters_follow_the_grammar_and_are_documented(name):
    for parameter in parameters_of(heads.get(name)):
        assert parameter.doc, parameter.name


def test_every_head_has_a_naive_definition():
    assert set(NAMES) == set(naive.HEADS)


class TestHeads:
    def test_needs_and_gives(self, config):
        head = make(config)
        assert set(head.needs) <= {"feature-map", "auxiliary-map"}
        assert "regions" in head.gives

    @pytest.mark.parametrize("shift", [0.0, -9.0, 9.0])
    def test_any_region_equals_the_naive_definition(self, config, over, shift):
        """Also for maps without a positive value, where an outside counts as 0."""
        head, features = make(config), maps(3, 5, 7, shift=shift)
        for soft in (True, False):
            regions = some_regions(20, 3, (5, 7), over, soft=soft)
            found = head(features, regions)
            assert found[0].shape == (20, CLASSES)
            assert_same(found, reference(config, head, features, regions))

    def test_gradients_equal_those_of_the_naive_definition(self, config, over):
        head = make(config)
        other = copy.deepcopy(head)
        features = maps(2, 4, 3).requires_grad_()
        twin = features.detach().clone().requires_grad_()
        regions = some_regions(9, 2, (4, 3), over)
        found, expected = head(features, regions), reference(config, other, twin, regions)
        pulls = [torch.randn_like(values) for values in found]
        for answer in (found, expected):
            sum((a * pull).sum() for a, pull in zip(answer, pulls, strict=True)).backward()
        torch.testing.assert_close(features.grad, twin.grad, rtol=1e-8, atol=1e-9)
        assert features.grad.isfinite().all()
        theirs = dict(other.named_parameters())
        for key, parameter in head.named_parameters():
            assert parameter.grad is not None, key
            torch.testing.assert_close(parameter.grad, theirs[key].grad, rtol=1e-8, atol=1e-9)

    def test_an_empty_region_gets_the_answer_to_a_map_of_zeros(self, config, over):
        head, features = make(config), maps(1, 5, 4)
        empty = Regions(torch.zeros(1, 5, 4), [0], over=over)
        answer = head(torch.zeros_like(features), Regions.whole(1, (5, 4)))
        assert_same(head(features, empty), answer, 1e-12)

    @pytest.mark.parametrize("shift", [0.0, -9.0])
    def test_the_region_of_ones_is_the_image(self, config, over, shift):
        """Training sees whole images, prediction cells; a cell may cover everything."""
        head, features = make(config), maps(3, 5, 4, shift=shift)
        ones = Regions(torch.ones(3, 5, 4), [0, 1, 2], over=over)
        plain = head(features, Regions.whole(3, (5, 4)))
        assert_same(head(features, ones), plain, 1e-12)
        assert plain[1].ndim == 2

    def test_rows_follow_the_regions(self, config, over):
        """Any order, and no matter what lies beside a region: other rows, other images."""
        head, features = make(config), maps(3, 4, 4)
        regions = some_regions(12, 3, (4, 4), over)
        together = head(features, regions)
        order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
        moved = Regions(regions.weights[order], regions.image[order], over=over)
        assert_same(head(features, moved), [values[order] for values in together], 1e-12)
        backwards = Regions(regions.weights, 2 - regions.image, over=over)
        assert_same(head(features.flip(0), backwards), together, 1e-12)
        for i in range(12):
            one = regions.image[i : i + 1]
            alone = head(features[one], Regions(regions.weights[i : i + 1], [0], over=over))
            assert_same([values[i : i + 1] for values in together], alone, 1e-12)

    def test_no_regions_give_no_rows(self, config, over):
        head, none = make(config), Regions(torch.zeros(0, 3, 2), [], over=over)
        logits, embedding = head(maps(2, 3, 2), none)
        whole = head(maps(2, 3, 2), Regions.whole(2, (3, 2)))
        assert logits.shape == (0, CLASSES)
        assert embedding.shape == (0, whole[1].shape[1])

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_halves(self, config, over, dtype):
        """As near as the rounding of weights and features lets it be."""
        head = make(config, torch.float32).to(dtype)
        features = maps(2, 5, 7, dtype=torch.float32).to(dtype)
        regions = some_regions(6, 2, (5, 7), over)
        exact = copy.deepcopy(head).double()
        with torch.inference_mode():
            found = head(features, regions)
            expected = reference(config, exact, features.double(), regions)
        for values, true in zip(found, expected, strict=True):
            assert values.dtype == dtype
            error = float((values.double() - true).abs().max() / true.abs().max())
            assert error < 16 * torch.finfo(dtype).eps

    def test_autocast(self, config, over):
        head, features = make(config, torch.float32), maps(2, 4, 4, dtype=torch.float32)
        regions = some_regions(6, 2, (4, 4), over)
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = head(features, regions)
        expected = head(features, regions)[0]
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(logits.float() / scale, expected / scale, rtol=0, atol=0.1)

    def test_memory_does_not_grow_with_maps_times_regions(self, config, over):
        """2000 regions of 64 features on 24 x 24 would be 295 MB of copies."""
        head = make(config, torch.float32, 64)
        features = torch.randn(1, 64, 24, 24)
        weights = torch.zeros(2000, 24, 24)
        weights[torch.arange(2000), torch.arange(2000) % 24, torch.arange(2000) % 23] = 0.5
        weights[:20] = 1
        regions = Regions(weights, torch.zeros(2000, dtype=torch.int64), over=over)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.numel() * tensor.element_size()) or tensor,
            lambda tensor: tensor,
        ):
            logits, _ = head(features, regions)
        assert logits.shape == (2000, CLASSES)
        assert max(sizes) < 20e6
        few = Regions(weights[:30], [0] * 30, over=over)
        assert_same(head(features, few), reference(config, head, features, few), 1e-3)

    def test_parts_of_any_size_give_the_same(self, config, over, monkeypatch):
        """Regions are worked through in parts; a part is at least one region."""
        head, features = make(config), maps(2, 4, 4)
        regions = some_regions(60, 2, (4, 4), over)
        at_once = head(features, regions)
        monkeypatch.setattr("hpazoo.regions._GATHERED", 50)
        assert_same(head(features, regions), at_once, 1e-12)

    def test_it_trains_and_leaves_the_map_alone(self, config):
        head, features = make(config).train(), maps(4, 4, 4).requires_grad_()
        before = features.detach().clone()
        logits, embedding = head(features, Regions.whole(4, (4, 4)))
        (logits.square().sum() + embedding.square().sum()).backward()
        assert torch.equal(features.detach(), before)
        assert features.grad is not None
        assert all(parameter.grad is not None for parameter in head.parameters())

    def test_torch_seeds_the_weights(self, config):
        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(heads.build(config, FEATURES, CLASSES).state_dict())
        for key, value in states[0].items():
            assert torch.equal(value, states[1][key]), key

    def test_regions_that_do_not_fit_are_refused(self, config):
        head, features = make(config), maps(2, 3, 4)
        with pytest.raises(UsageError, match=r"grid of 4 x 4, the feature maps on 3 x 4.*model"):
            head(features, Regions(torch.ones(1, 4, 4), [0]))
        with pytest.raises(UsageError, match="lies in image 2, but the batch holds 2"):
            head(features, Regions(torch.ones(1, 3, 4), [2]))
        with pytest.raises(UsageError, match=r"feature maps are \(B, F, h, w\)"):
            head(features[0], Regions(torch.ones(1, 3, 4), [0]))


@settings(max_examples=60, deadline=None)
@given(
    config=st.sampled_from(CONFIGS),
    over=st.sampled_from(["grid", "cell"]),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    batch=st.integers(1, 3),
    count=st.integers(0, 7),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 1 << 20),
)
def test_drawn_cases_equal_the_naive_definition(config, over, size, batch, count, scale, seed):
    head, g = make(config), torch.Generator().manual_seed(seed)
    features = scale * torch.randn(batch, FEATURES, *size, generator=g, dtype=torch.float64)
    regions = some_regions(count, batch, size, over, seed=seed)
    assert_same(head(features, regions), reference(config, head, features, regions), 1e-8)
