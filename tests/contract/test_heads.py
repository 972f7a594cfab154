"""What every head keeps to."""

import pytest
import torch

from hpazoo.heads import heads
from hpazoo.parameters import parameters_of
from hpazoo.regions import Regions
from tests.contract.names import built_in

torch.set_num_threads(1)
FEATURES, CLASSES = 8, 5


@pytest.fixture(params=built_in(heads))
def name(request):
    return request.param


@pytest.fixture
def head(name):
    torch.manual_seed(0)
    return heads.build(name, FEATURES, CLASSES).eval()


def regions(weights, image, over="grid"):
    return Regions(torch.as_tensor(weights, dtype=torch.float32), image, over=over)


class TestHeads:
    def test_parameters_follow_the_grammar_and_are_documented(self, name):
        for parameter in parameters_of(heads.get(name)):
            assert parameter.doc, parameter.name

    def test_needs_and_gives(self, head):
        assert set(head.needs) <= {"feature-map", "auxiliary-map"}
        assert isinstance(head.gives, tuple)

    def test_whole_images(self, head):
        features = torch.randn(3, FEATURES, 4, 6)
        logits, embedding = head(features, Regions.whole(3, (4, 6)))
        assert logits.shape == (3, CLASSES)
        assert embedding.ndim == 2
        assert len(embedding) == 3

    @pytest.mark.parametrize("over", ["grid", "cell"])
    def test_rows_follow_the_regions(self, head, over):
        if "regions" not in head.gives:
            pytest.skip("answers for whole images only")
        features = torch.randn(3, FEATURES, 4, 4)
        weights, image = torch.rand(7, 4, 4), torch.tensor([2, 0, 1, 1, 0, 2, 2])
        together = head(features, regions(weights, image, over))
        for i in range(7):
            alone = head(features[image[i] : image[i] + 1], regions(weights[i : i + 1], [0], over))
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("over", ["grid", "cell"])
    def test_the_region_of_ones_is_the_image_and_an_empty_one_the_map_of_zeros(self, head, over):
        if "regions" not in head.gives:
            pytest.skip("answers for whole images only")
        features, whole = torch.randn(1, FEATURES, 5, 4), Regions.whole(1, (5, 4))
        both = torch.stack([torch.ones(5, 4), torch.zeros(5, 4)])
        found = head(features, regions(both, [0, 0], over))
        expected = head(features, whole), head(torch.zeros_like(features), whole)
        for i, answer in enumerate(expected):
            for a, b in zip(found, answer, strict=True):
                torch.testing.assert_close(a[i : i + 1], b, rtol=1e-5, atol=1e-5)

    def test_no_regions(self, head):
        if "regions" not in head.gives:
            pytest.skip("answers for whole images only")
        logits, embedding = head(torch.randn(1, FEATURES, 2, 2), regions(torch.ones(0, 2, 2), []))
        assert logits.shape == (0, CLASSES)
        assert len(embedding) == 0

    def test_it_trains_and_leaves_the_map_alone(self, head):
        head.train()
        features = torch.randn(4, FEATURES, 4, 4, requires_grad=True)
        before = features.detach().clone()
        head(features, Regions.whole(4, (4, 4)))[0].square().sum().backward()
        assert torch.equal(features.detach(), before)
        assert features.grad is not None
        assert all(parameter.grad is not None for parameter in head.parameters())
