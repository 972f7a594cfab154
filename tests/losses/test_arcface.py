import math

import numpy as np
import pytest
import torch

from hpazoo.errors import ComponentError
from hpazoo.heads import heads
from hpazoo.losses.arcface import Arcface
from hpazoo.regions import Regions

torch.set_num_threads(1)


def naive(cosines, own, margin, scale):
    total = 0.0
    for row, group in zip(cosines, own, strict=True):
        angle = math.acos(row[group])
        row = row.copy()
        if angle + margin < math.pi:
            row[group] = math.cos(angle + margin)
        else:
            row[group] = row[group] - margin * math.sin(margin)
        shares = np.exp(scale * row)
        total -= math.log(shares[group] / shares.sum())
    return total / len(cosines)


@pytest.mark.parametrize("margin", [0.0, 0.3, 0.5, 1.5])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_is_the_formula(margin, scale):
    g = np.random.default_rng(0)
    cosines, own = g.uniform(-1, 1, (200, 6)), g.integers(0, 6, 200)
    found = Arcface(6, margin=margin, scale=scale)(torch.tensor(cosines), torch.tensor(own))
    assert found.item() == pytest.approx(naive(cosines, own, margin, scale))


def test_by_hand():
    """A right angle to both of two centres, margin 30 degrees: cosines -1/2 and 0."""
    found = Arcface(2, margin=math.pi / 6, scale=2.0)(torch.zeros(1, 2), torch.tensor([1]))
    assert found.item() == pytest.approx(math.log(1 + math.e))


def test_the_nearer_the_better_all_around():
    """Falls with the cosine everywhere; in full where angle and margin pass half a turn."""
    loss = Arcface(2)
    nearness = torch.linspace(-1, 1, 401, dtype=torch.float64)
    values = []
    for near in nearness:
        cosines = torch.stack([near, near * 0])[None].requires_grad_()
        values.append(loss(cosines, torch.tensor([0])))
        values[-1].backward()
        if near < -math.cos(0.5):
            assert cosines.grad[0, 0] == pytest.approx(-30)
    assert (torch.stack(values).diff() < 0).all()


def test_other_groups_have_no_margin():
    cosines = torch.tensor([[0.9, 0.2, -0.3]])
    plain = Arcface(3, margin=0.0)
    steep = torch.autograd.functional.jacobian(lambda x: plain(x, torch.tensor([0])), cosines)
    share = (30 * cosines).softmax(1)
    share[0, 0] -= 1
    torch.testing.assert_close(steep, 30 * share)


def test_learns_groups_from_the_head():
    torch.manual_seed(0)
    head = heads.build({"type": "arcface", "hidden": 16, "embedding": 4, "dropout": 0.0}, 8, 3)
    own = torch.arange(3).repeat(8)
    features = torch.randn(3, 8)[own][..., None, None] + 0.3 * torch.randn(24, 8, 2, 2)
    loss, steps = Arcface(3), torch.optim.Adam(head.parameters(), 0.01)
    values = []
    for _ in range(60):
        cosines, _ = head(features, Regions.whole(24, (2, 2)))
        value = loss(cosines, own)
        steps.zero_grad()
        value.backward()
        steps.step()
        values.append(value.item())
    assert values[-1] < 0.1 < 5 < values[0]
    assert (cosines.argmax(1) == own).all()


def test_one_group_is_nothing_to_tell_apart():
    with pytest.raises(ComponentError, match="arcface: the model has 1 groups, and 2 or more"):
        Arcface(1)
