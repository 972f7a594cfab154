"""`attention`: its own grid, its closed forms and its auxiliary part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpazoo.heads import heads
from hpazoo.regions import Regions
from tests import naive

torch.set_num_threads(1)
FEATURES, CLASSES = 6, 5


def make_head(**options):
    torch.manual_seed(5)
    head = heads.build({"type": "attention", **options}, FEATURES, CLASSES).double().eval()
    for value in head.parameters():
        value.data.normal_(0, 0.7)
    return head


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_regions(count, batch, grid, over, seed=0):
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand((count, *grid), generator=g, dtype=torch.float64)
    keep = torch.rand((count, 1, 1), generator=g)
    weights = weights * (torch.rand((count, *grid), generator=g) < keep)
    for i, value in zip(range(count), (0.0, 1.0, 0.5), strict=False):
        weights[i] = value
    return Regions(weights, torch.randint(0, batch, (count,), generator=g), over=over)


def assert_equal_to_naive(head, features, regions, tolerance=1e-9):
    expected = naive.attention(head, features, regions.weights, regions.image, regions.over)
    for ours, theirs in zip(head(features, regions), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(
    ("target", "grid"), [(4, (4, 4)), (7, (3, 4)), (3, (7, 5)), (6, (4, 9)), (1, (5, 5))]
)
@pytest.mark.parametrize("shift", [0.0, -9.0, 9.0])
def test_a_grid_of_its_own_equals_the_naive_definition(target, grid, over, shift):
    head, features = make_head(grid=target), maps(3, FEATURES, *grid) + shift
    assert_equal_to_naive(head, features, some_regions(20, 3, grid, over))
    ones = Regions(torch.ones(3, *grid), [0, 1, 2], over=over)
    plain = head(features, Regions.whole(3, grid))
    for a, b in zip(plain, head(features, ones), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    over=st.sampled_from(["grid", "cell"]),
    target=st.none() | st.integers(1, 6),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    batch=st.integers(1, 3),
    count=st.integers(0, 7),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 1 << 20),
)
def test_drawn_cases_equal_the_naive_definition(over, target, size, batch, count, scale, seed):
    features = scale * maps(batch, FEATURES, *size, seed=seed)
    regions = some_regions(count, batch, size, over, seed)
    assert_equal_to_naive(make_head(grid=target), features, regions, 1e-8)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize("grid", [None, 3])
def test_a_region_without_weight_gets_the_bias(over, grid):
    head = make_head(grid=grid)
    empty = Regions(torch.zeros(1, 4, 5), [0], over=over)
    logits, _ = head(maps(1, FEATURES, 4, 5), empty)
    torch.testing.assert_close(logits[0], head.logit.bias)


def test_on_an_auxiliary_map():
    head = make_head(grid=3)
    with pytest.raises(RuntimeError, match="no auxiliary"):
        head.auxiliary_logits(maps(1, 4, 5, 5))
    head.add_auxiliary(4)
    head.double()
    features = maps(2, 4, 5, 5)
    alone = head.auxiliary
    alone.grid = None
    ones = torch.ones(2, 5, 5, dtype=torch.float64)
    expected, _ = naive.attention(alone, features, ones, torch.arange(2), "grid")
    torch.testing.assert_close(head.auxiliary_logits(features), expected)
