"""What every loss keeps to, run over all that are registered."""

import pickle

import pytest
import torch

from hpazoo.errors import ComponentError, UsageError
from hpazoo.losses import losses
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

torch.set_num_threads(1)
CLASSES = 7

SAID = {
    "bce": [{}, {"smoothing": 0.1}],
    "focal": [{}, {"gamma": 0.0}, {"gamma": 0.5, "smoothing": 0.2}],
    "symmetric-lovasz": [{"per": "class"}, {"per": "image"}],
    "arcface": [{}, {"margin": 0.0, "scale": 1.0}, {"margin": 1.5}],
}
"""Keywords to build a loss with, where it has variants."""

CONFIGS = [{"type": name, **said} for name in built_in(losses) for said in SAID.get(name, [{}])]


@pytest.fixture(params=CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def loss(request):
    return losses.build(request.param, CLASSES)


def batch(loss, images=12, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, CLASSES, generator=g, dtype=torch.float64)
    if loss.needs == ("groups",):
        return logits.tanh().to(dtype), torch.randint(0, CLASSES, (images,), generator=g)
    shown = torch.rand(images, CLASSES, generator=g) < 0.3
    return 3 * logits.to(dtype), shown.to(torch.float32)


def difficult(loss):
    """Logits and targets at the edges of what may come."""
    if loss.needs == ("groups",):
        own = torch.arange(CLASSES)
        for value in (1.0, -1.0, 1.0 + 1e-3, -1.0 - 1e-3, 0.0):
            yield torch.full((CLASSES, CLASSES), value), own
            yield 2 * value * torch.eye(CLASSES) - value, own
        return
    for size in (0.0, 1e-8, 100.0, 1e4):
        for images in (1, 2, 9):
            signs = torch.ones(images, CLASSES)
            signs[:, ::2] = -1
            mixed = (torch.arange(images * CLASSES).reshape(images, CLASSES) % 3 == 0).float()
            for targets in (torch.zeros_like(signs), torch.ones_like(signs), mixed, mixed / 3):
                yield size * signs, targets


@pytest.mark.parametrize("name", built_in(losses))
def test_parameters_follow_the_grammar_and_are_documented(name):
    for parameter in parameters_of(losses.get(name)):
        assert parameter.doc, parameter.name
        assert not parameter.required


class TestLosses:
    def test_a_scalar_of_both(self, loss):
        assert loss.needs in {("labels",), ("groups",)}
        logits, targets = batch(loss)
        kept = logits.clone(), targets.clone()
        value = loss(logits, targets)
        assert value.shape == () and value > 0
        assert torch.equal(logits, kept[0]) and torch.equal(targets, kept[1])

    def test_gradients_are_those_of_the_values(self, loss):
        logits, targets = batch(loss)
        assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())

    def test_following_the_gradient_helps(self, loss):
        logits, targets = batch(loss)
        logits.requires_grad_()
        first = loss(logits, targets)
        for _ in range(50):
            (slope,) = torch.autograd.grad(loss(logits, targets), logits)
            logits = (logits - 0.01 * slope / slope.norm()).detach().requires_grad_()
        assert loss(logits, targets) < first - 1e-3

    def test_the_order_of_images_is_nothing(self, loss):
        logits, targets = batch(loss)
        order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(loss(logits[order], targets[order]), loss(logits, targets))

    def test_edges_are_finite(self, loss):
        for logits, targets in difficult(loss):
            logits.requires_grad_()
            value = loss(logits, targets)
            value.backward()
            assert value.isfinite() and value >= 0
            assert logits.grad.isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_halves_are_reckoned_in_single_precision(self, loss, dtype):
        logits, targets = batch(loss, 64, dtype)
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(logits, targets)
        assert value.dtype == torch.float32
        exact = loss(logits.double(), targets)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)

    def test_what_does_not_fit_is_refused_and_not_stretched(self, loss):
        logits, targets = batch(loss, 4)
        wrong = [(logits, targets[:1]), (logits, targets[..., None]), (logits[:0], targets[:0])]
        for pair in wrong:
            with pytest.raises(UsageError, match=r"expected logits \(images, classes\)"):
                loss(*pair)

    def test_a_copy_in_another_process_is_the_same(self, loss):
        logits, targets = batch(loss)
        assert pickle.loads(pickle.dumps(loss))(logits, targets) == loss(logits, targets)

    @pytest.mark.parametrize("name", built_in(losses))
    def test_a_model_without_classes_is_refused(self, name):
        with pytest.raises(ComponentError, match=f"{name}: the model has 0 (classes|groups)"):
            losses.build(name, 0)
