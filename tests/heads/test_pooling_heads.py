"""`avg-max` and `attention` against the definitions of tests/naive.py."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpazoo.errors import ComponentError, UsageError
from hpazoo.heads import heads
from hpazoo.regions import Regions
from tests import naive

torch.set_num_threads(1)
FEATURES, CLASSES = 6, 5


def make_head(name, dtype=torch.float64, features=FEATURES, **options):
    torch.manual_seed(5)
    head = heads.build({"type": name, **options}, features, CLASSES).to(dtype).eval()
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if (value > 0).all() else value.normal_(0, 0.7)
    return head


def reference(head, features, regions):
    function = naive.attention if hasattr(head, "attention") else naive.avg_max
    return function(head, features, regions.weights.to(features.dtype), regions.image, regions.over)


def assert_equal_to_naive(head, features, regions, tolerance=1e-9):
    found, expected = head(features, regions), reference(head, features, regions)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def some_regions(count, batch, grid, over, seed=0, soft=True):
    """Sparse, dense, empty and full regions, in mixed order of images."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand((count, *grid), generator=g, dtype=torch.float64)
    if not soft:
        weights = weights.round()
    keep = torch.rand((count, 1, 1), generator=g)
    weights = weights * (torch.rand((count, *grid), generator=g) < keep)
    for i, value in zip(range(count), (0.0, 1.0, 0.5), strict=False):
        weights[i] = value
    return Regions(weights, torch.randint(0, batch, (count,), generator=g), over=over)


HEADS = [
    ("avg-max", {}, (5, 7)),
    ("attention", {}, (5, 7)),
    ("attention", {"grid": 4}, (4, 4)),
    ("attention", {"grid": 7}, (3, 4)),
    ("attention", {"grid": 3}, (7, 5)),
    ("attention", {"grid": 6}, (4, 9)),
]


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("name", "options", "grid"), HEADS)
@pytest.mark.parametrize("shift", [0.0, -9.0, 9.0])
def test_any_region_equals_the_naive_definition(name, options, grid, over, shift):
    head = make_head(name, **options)
    features = torch.randn(3, FEATURES, *grid, dtype=torch.float64) + shift
    for soft in (True, False):
        assert_equal_to_naive(head, features, some_regions(20, 3, grid, over, soft=soft))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["avg-max", "attention"]),
    over=st.sampled_from(["grid", "cell"]),
    target=st.none() | st.integers(1, 6),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    batch=st.integers(1, 3),
    count=st.integers(0, 7),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 1 << 20),
)
def test_drawn_cases_equal_the_naive_definition(
    name, over, target, size, batch, count, scale, seed
):
    head = make_head(name, **({"grid": target} if name == "attention" else {}))
    g = torch.Generator().manual_seed(seed)
    features = scale * torch.randn(batch, FEATURES, *size, generator=g, dtype=torch.float64)
    regions = some_regions(count, batch, size, over, seed)
    assert_equal_to_naive(head, features, regions, 1e-8)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("name", "options", "grid"), HEADS)
def test_ones_equal_the_plain_forward(name, options, grid, over):
    head = make_head(name, **options)
    features = torch.randn(3, FEATURES, *grid, dtype=torch.float64)
    ones = Regions(torch.ones(3, *grid), [0, 1, 2], over=over)
    plain, by_ones = head(features, Regions.whole(3, grid)), head(features, ones)
    for a, b in zip(plain, by_ones, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("name", "options", "grid"), HEADS)
def test_an_empty_region_gets_the_answer_to_a_map_of_zeros(name, options, grid, over):
    head = make_head(name, **options)
    features = torch.randn(1, FEATURES, *grid, dtype=torch.float64)
    empty = Regions(torch.zeros(1, *grid), [0], over=over)
    answer = head(torch.zeros_like(features), Regions.whole(1, grid))
    for a, b in zip(head(features, empty), answer, strict=True):
        torch.testing.assert_close(a, b)
    if name == "attention":
        torch.testing.assert_close(head(features, empty)[0][0], head.logit.bias)


@pytest.mark.parametrize("name", ["avg-max", "attention"])
def test_no_regions_give_no_rows(name):
    head = make_head(name)
    none = Regions(torch.zeros(0, 3, 3), [])
    logits, embedding = head(torch.randn(2, FEATURES, 3, 3, dtype=torch.float64), none)
    assert logits.shape == (0, CLASSES)
    assert embedding.shape == (0, FEATURES)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize("name", ["avg-max", "attention"])
def test_a_whole_map_of_negative_features_keeps_its_maximum(name, over):
    """Only a region with an outside has zeros to be clamped by."""
    head = make_head(name)
    features = -1 - torch.rand(1, FEATURES, 3, 3, dtype=torch.float64)
    weights = torch.ones(2, 3, 3)
    weights[1, 0, 0] = 0
    regions = Regions(weights, [0, 0], over=over)
    assert (regions.max(features)[0] < 0).all()
    assert (regions.max(features)[1] == 0).all()
    assert_equal_to_naive(head, features, regions)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("name", "options", "grid"), HEADS)
def test_gradients_equal_those_of_the_naive_definition(name, options, grid, over):
    head = make_head(name, **options)
    other = copy.deepcopy(head)
    features = torch.randn(2, FEATURES, *grid, dtype=torch.float64, requires_grad=True)
    twin = features.detach().clone().requires_grad_()
    regions = some_regions(9, 2, grid, over)
    pull = torch.randn(9, CLASSES, dtype=torch.float64)
    (head(features, regions)[0] * pull).sum().backward()
    (reference(other, twin, regions)[0] * pull).sum().backward()
    torch.testing.assert_close(features.grad, twin.grad, rtol=1e-8, atol=1e-10)
    theirs = dict(other.named_parameters())
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        torch.testing.assert_close(parameter.grad, theirs[key].grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.parametrize("name", ["avg-max", "attention"])
def test_parts_of_any_size_give_the_same(name, over, count, monkeypatch):
    """Regions are worked through in parts; a part is at least one region."""
    head = make_head(name)
    features = torch.randn(2, FEATURES, 4, 4, dtype=torch.float64)
    regions = some_regions(count, 2, (4, 4), over)
    at_once = head(features, regions)
    monkeypatch.setattr("hpazoo.regions._GATHERED", 50)
    for a, b in zip(head(features, regions), at_once, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize("name", ["avg-max", "attention"])
def test_memory_does_not_grow_with_maps_times_regions(name, over):
    """2000 regions of 64 features on 24 x 24 would be 295 MB of copies."""
    head = make_head(name, torch.float32, 64)
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
    assert_equal_to_naive(head, features, Regions(weights[:30], [0] * 30, over=over), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("name", "options", "grid"), HEADS)
def test_halves(name, options, grid, over, dtype):
    head = make_head(name, torch.float32, **options)
    features = torch.randn(2, FEATURES, *grid)
    regions = some_regions(6, 2, grid, over)
    expected, _ = head(features, regions)
    logits, embedding = head.to(dtype)(features.to(dtype), regions)
    assert logits.dtype == embedding.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.3)


@pytest.mark.parametrize("name", ["avg-max", "attention"])
@pytest.mark.parametrize("over", ["grid", "cell"])
def test_autocast(name, over):
    head = make_head(name, torch.float32)
    features = torch.randn(2, FEATURES, 4, 4)
    regions = some_regions(6, 2, (4, 4), over)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = head(features, regions)
    torch.testing.assert_close(logits.float(), head(features, regions)[0], rtol=0.1, atol=0.3)


@pytest.mark.parametrize("name", ["avg-max", "attention"])
def test_regions_that_do_not_fit_are_refused(name):
    head = make_head(name)
    features = torch.randn(2, FEATURES, 3, 4, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"grid of 4 x 4, the feature maps on 3 x 4.*model\.grid"):
        head(features, Regions(torch.ones(1, 4, 4), [0]))
    with pytest.raises(UsageError, match="lies in image 2, but the batch holds 2"):
        head(features, Regions(torch.ones(1, 3, 4), [2]))
    with pytest.raises(UsageError, match=r"feature maps are \(B, F, h, w\)"):
        head(features[0], Regions(torch.ones(1, 3, 4), [0]))


def test_attention_on_an_auxiliary_map():
    head = make_head("attention", grid=3)
    with pytest.raises(RuntimeError, match="no auxiliary"):
        head.auxiliary_logits(torch.randn(1, 4, 5, 5, dtype=torch.float64))
    head.add_auxiliary(4)
    head.double()
    maps = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    logits = head.auxiliary_logits(maps)
    alone = head.auxiliary
    alone.grid = None
    expected, _ = naive.attention(
        alone, maps, torch.ones(2, 5, 5, dtype=torch.float64), torch.arange(2), "grid"
    )
    torch.testing.assert_close(logits, expected)


def test_unknown_option():
    with pytest.raises(ComponentError, match="attention"):
        heads.build({"type": "attention", "gird": 30}, 4, 2)
