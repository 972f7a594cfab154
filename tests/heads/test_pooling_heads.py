"""`avg`, `max`, `gem` and `avg-max`: what the contract of all heads does not say."""

import pytest
import torch

from hpazoo.errors import ComponentError
from hpazoo.heads import heads
from hpazoo.regions import Regions

torch.set_num_threads(1)
FEATURES, CLASSES = 6, 5


def make_head(name, **options):
    torch.manual_seed(5)
    return heads.build({"type": name, **options}, FEATURES, CLASSES).double().eval()


def maps(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_plain_heads_are_one_linear_layer():
    """The tensors of torchvision's classifiers, so that published ones fit."""
    for name in ("avg", "max"):
        shapes = {key: tuple(v.shape) for key, v in make_head(name).state_dict().items()}
        assert shapes == {"logit.weight": (CLASSES, FEATURES), "logit.bias": (CLASSES,)}


@pytest.mark.parametrize("name", ["avg", "max", "gem", "avg-max", "arcface"])
def test_dropout_acts_in_training_only(name):
    features, whole = maps(8, FEATURES, 4, 4), Regions.whole(8, (4, 4))
    head = make_head(name, dropout=0.5)
    with torch.no_grad():
        assert torch.equal(head(features, whole)[0], head(features, whole)[0])
        head.train()
        assert not torch.equal(head(features, whole)[0], head(features, whole)[0])
        sure = make_head(name, dropout=0.0).train()
        assert torch.equal(sure(features, whole)[0], sure(features, whole)[0])


@pytest.mark.parametrize("over", ["grid", "cell"])
def test_a_whole_map_of_negative_features_keeps_its_maximum(over):
    """Only a region with an outside has zeros to be clamped by."""
    features = -1 - torch.rand(1, FEATURES, 3, 3, dtype=torch.float64)
    weights = torch.ones(2, 3, 3)
    weights[1, 0, 0] = 0
    _, embedding = make_head("max")(features, Regions(weights, [0, 0], over=over))
    assert torch.equal(embedding[0], features[0].amax((1, 2)))
    assert (embedding[1] == 0).all()


class TestGem:
    @pytest.mark.parametrize("over", ["grid", "cell"])
    def test_it_lies_between_mean_and_maximum(self, over):
        features, weights = maps(2, FEATURES, 5, 4).abs() + 0.1, torch.rand(9, 5, 4).round()
        weights[:, 0, 0] = 1
        regions = Regions(weights, torch.arange(9) % 2, over=over)
        means, largest = regions.mean(features), regions.max(features)
        pooled = [make_head("gem", power=p)(features, regions)[1] for p in (1, 3, 9, 100)]
        torch.testing.assert_close(pooled[0], means, rtol=1e-4, atol=1e-5)
        for less, more in zip(pooled, [*pooled[1:], largest], strict=True):
            assert (more >= less - 1e-12).all()
        torch.testing.assert_close(pooled[-1], largest, rtol=0.1, atol=0)

    @pytest.mark.parametrize("over", ["grid", "cell"])
    @pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e9, 1e30])
    def test_powers_that_leave_the_range_of_numbers(self, over, scale):
        """x^100 of single precision is 0 below .4 and infinite above 2.5."""
        head = make_head("gem", power=100).float()
        features = (scale * maps(2, FEATURES, 5, 4).abs()).float().requires_grad_()
        weights = torch.rand(5, 5, 4)
        weights[0], weights[1], weights[2, 1:] = 0, 1, 0
        regions = Regions(weights, [0, 0, 1, 0, 1], over=over)
        for which in (regions, Regions.whole(2, (5, 4))):
            pooled = head(features, which)[1]
            assert pooled.isfinite().all()
            # 20 positions: the mean of powers is at least a twentieth of the largest
            assert (pooled <= features.amax((2, 3)).max().clamp(min=head.eps) * 1.0001).all()
            pooled.sum().backward()
            assert features.grad.isfinite().all()
            assert head.p.grad.isfinite().all()
            features.grad = head.p.grad = None

    @pytest.mark.parametrize("over", ["grid", "cell"])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_sums_that_halves_cannot_hold(self, over, dtype):
        """bfloat16 counts to 256, and a map has more positions."""
        head = make_head("gem").to(dtype)
        features = torch.full((1, FEATURES, 60, 60), 3.0, dtype=dtype)
        ones = Regions(torch.ones(1, 60, 60), [0], over=over)
        for regions in (ones, Regions.whole(1, (60, 60))):
            _, embedding = head(features, regions)
            torch.testing.assert_close(embedding.float(), torch.full((1, FEATURES), 3.0))

    def test_the_exponent_is_learned_if_asked_for(self):
        assert make_head("gem", power=2.5).state_dict()["p"].tolist() == [2.5]
        assert "p" not in make_head("gem", learn=False).state_dict()
        features, whole = maps(2, FEATURES, 3, 3), Regions.whole(2, (3, 3))
        fixed, learned = make_head("gem", learn=False), make_head("gem")
        assert torch.equal(fixed(features, whole)[0], learned(features, whole)[0])

    @pytest.mark.parametrize("over", ["grid", "cell"])
    def test_a_region_without_weight_is_eps(self, over):
        head = make_head("gem", eps=0.01)
        _, embedding = head(maps(1, FEATURES, 3, 3), Regions(torch.zeros(1, 3, 3), [0], over=over))
        torch.testing.assert_close(embedding, torch.full_like(embedding, 0.01))


@pytest.mark.parametrize("name", ["arcface", "attention", "avg", "avg-max", "gem", "max"])
def test_unknown_options(name):
    with pytest.raises(ComponentError, match=f"{name}.*gird"):
        heads.build({"type": name, "gird": 30}, 4, 2)
