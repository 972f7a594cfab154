"""`arcface`: the tensors of the published network, cosines, and no classes at all."""

import json
import warnings

import pytest
import torch

from hpazoo.heads import heads
from hpazoo.regions import Regions

torch.set_num_threads(1)


def test_its_tensors_are_those_of_the_published_network(shared):
    text = (shared / "checkpoints/keys/bf_resnet50_ml_c12815.json").read_text()
    shapes = {entry["key"]: entry["shape"] for entry in json.loads(text)["entries"]}
    with torch.device("meta"):
        head = heads.build("arcface", 2048, 12815)
    for key, value in head.state_dict().items():
        theirs = "arc_margin_product.weight" if key == "weight" else key
        assert list(value.shape) == shapes[theirs], key


@pytest.fixture
def head():
    torch.manual_seed(0)
    return heads.build({"type": "arcface", "hidden": 9, "embedding": 4}, 6, 5).eval()


def test_logits_are_cosines_of_embedding_and_centres(head):
    features = torch.randn(3, 6, 4, 5)
    logits, embedding = head(features, Regions.whole(3, (4, 5)))
    for i in range(3):
        for k in range(5):
            cosine = torch.nn.functional.cosine_similarity(embedding[i], head.weight[k], 0)
            torch.testing.assert_close(logits[i, k], cosine)
    with torch.no_grad():
        head.weight.copy_(17 * embedding[:1])
    assert torch.allclose(head(features, Regions.whole(3, (4, 5)))[0][0], torch.ones(5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1e-5, 3e4])
def test_lengths_that_halves_cannot_hold(head, dtype, scale):
    """The square of 300 is infinite in 16 bits, that of .0001 is 0."""
    head = head.to(dtype)
    with torch.no_grad():
        head.bn3.bias.copy_(torch.tensor([1.0, -1.0, 0.5, 0.25]) * scale)
        head.bn3.weight.zero_()
    logits, _ = head(torch.randn(2, 6, 3, 3).to(dtype), Regions.whole(2, (3, 3)))
    assert logits.isfinite().all()
    assert (logits.abs() <= 1.01).all()
    if scale:
        expected = torch.nn.functional.cosine_similarity(
            head.bn3.bias.double()[None], head.weight.double(), 1
        )
        torch.testing.assert_close(logits[0].double(), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("training", [False, True])
def test_no_classes_give_an_embedding_only(training):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = heads.build("arcface", 6, 0).train(training)
        logits, embedding = head(torch.randn(3, 6, 4, 4), Regions.whole(3, (4, 4)))
        (logits.sum() + embedding.square().sum()).backward()
    assert logits.shape == (3, 0)
    assert embedding.shape == (3, 512)
