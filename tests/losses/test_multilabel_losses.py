"""Losses of labels against formulas written out for one image, one class and one item at a time."""

import math

import numpy as np
import pytest
import torch

from hpazoo.losses import losses

torch.set_num_threads(1)


def value(config, logits, targets):
    logits = torch.as_tensor(logits, dtype=torch.float64)
    return losses.build(config, logits.shape[1])(logits, torch.as_tensor(targets)).item()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def naive_bce(logits, targets):
    return np.array(
        [
            [
                -t * math.log(sigmoid(x)) - (1 - t) * math.log(sigmoid(-x))
                for x, t in zip(*row, strict=True)
            ]
            for row in zip(logits, targets, strict=True)
        ]
    )


def naive_focal(logits, targets, gamma):
    total = 0.0
    for row, labels in zip(logits, targets, strict=True):
        for x, t in zip(row, labels, strict=True):
            p = sigmoid(x)
            total -= t * (1 - p) ** gamma * math.log(p)
            total -= (1 - t) * p**gamma * math.log(1 - p)
    return total / len(logits)


def jaccard_distance(wrong, members):
    """1 - |truth and called| / |truth or called| when the items `wrong` are called wrongly."""
    truth = {i for i, member in enumerate(members) if member}
    called = truth ^ set(wrong)
    return 1 - len(truth & called) / len(truth | called) if truth | called else 0.0


def naive_lovasz(scores, members):
    """Lovasz extension by its definition: a sum over the items by falling error."""
    errors = [1 - x if member else 1 + x for x, member in zip(scores, members, strict=True)]
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total = 0.0
    for k, i in enumerate(order):
        step = jaccard_distance(order[: k + 1], members) - jaccard_distance(order[:k], members)
        total += max(0.0, errors[i]) * step
    return total


def naive_symmetric(logits, targets):
    columns = list(zip(logits.T, targets.T.astype(bool), strict=True))
    return np.mean([naive_lovasz(x, t) + naive_lovasz(-x, ~t) for x, t in columns]) / 2


def naive_hard_log(logits, targets):
    means = []
    for x, t in zip(logits.T, targets.T, strict=True):
        positive, negative = np.flatnonzero(t > 0), np.flatnonzero(t <= 0)
        n = len(negative)
        kept = min(n, len(positive) + max(2, n // 2), n * 7 // 10 + 2)
        hardest = sorted(negative, key=lambda i: -x[i])[:kept]
        counted = [*positive, *hardest]
        means.append(naive_bce(x[counted, None], t[counted, None]).mean())
    return np.mean(means)


def draw(images, classes=5, share=0.3, seed=0):
    g = np.random.default_rng(seed)
    targets = (g.random((images, classes)) < share).astype(np.float32)
    return 2 * g.standard_normal((images, classes)), targets


SHARES = [0.0, 0.1, 0.5, 1.0]
SIZES = [1, 2, 3, 4, 10, 33]


@pytest.mark.parametrize("images", SIZES)
@pytest.mark.parametrize("share", SHARES)
def test_formulas(images, share):
    logits, targets = draw(images, share=share)
    bestfitting = naive_focal(logits, targets, 2) + naive_symmetric(logits, targets)
    expected = {
        "bce": naive_bce(logits, targets).mean(),
        "focal": naive_focal(logits, targets, 2),
        "symmetric-lovasz": naive_symmetric(logits, targets),
        "hard-log": naive_hard_log(logits, targets),
        "bestfitting": (bestfitting + naive_hard_log(logits, targets)) / 2,
    }
    found = {name: value(name, logits, targets) for name in expected}
    assert found == pytest.approx(expected, rel=1e-6)


def test_by_hand():
    """Two images, one class, shown by the first; logits 2 and 0."""
    logits, targets = [[2.0], [0.0]], [[1.0], [0.0]]
    p = sigmoid(2.0)
    assert value("bce", logits, targets) == pytest.approx((-math.log(p) + math.log(2)) / 2)
    focal = (-((1 - p) ** 2) * math.log(p) + 0.25 * math.log(2)) / 2
    assert value("focal", logits, targets) == pytest.approx(focal)
    # Errors -1 and 1. The wrong negative makes 1 of 2: .5; as set of negatives it is all of it: 1.
    assert value("symmetric-lovasz", logits, targets) == pytest.approx((0.5 + 1) / 2)
    # per image, the first is right beyond its margin, the second wrong: (0 + 1) / 2
    assert value({"type": "symmetric-lovasz", "per": "image"}, logits, targets) == 0.5


def test_lovasz_per_image_ranks_the_classes():
    logits, targets = draw(6, 9)
    found = value({"type": "symmetric-lovasz", "per": "image"}, logits, targets)
    assert found == pytest.approx(naive_symmetric(logits.T, targets.T))


def test_lovasz_of_a_shared_target_is_that_of_as_many_whole_ones():
    """Four images alike, one of them positive, are four with a target of a quarter."""
    levels = [-1.5, 0.3, 0.9]
    shares = [0.25, 0.5, 1.0]
    whole = [[float(k < 4 * share)] for share in shares for k in range(4)]
    logits = [[x] for x in levels for _ in range(4)]
    mixed = value("symmetric-lovasz", [[x] for x in levels], [[s] for s in shares])
    assert mixed == pytest.approx(value("symmetric-lovasz", logits, whole), rel=1e-6)


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_a_soft_target_is_what_the_two_labels_cost_on_the_average(name):
    logits, _ = draw(4)
    parts = [value(name, logits, np.full(logits.shape, t, np.float32)) for t in (0.0, 0.25, 1.0)]
    assert parts[1] == pytest.approx(0.75 * parts[0] + 0.25 * parts[2], rel=1e-6)


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_smoothing_is_a_share_of_one_half(name):
    logits, targets = draw(8)
    found = value({"type": name, "smoothing": 0.2}, logits, targets)
    softer = np.where(targets > 0, 0.9, 0.1)
    assert found == pytest.approx(value(name, logits, softer), rel=1e-6)
    assert found != pytest.approx(value(name, logits, targets), rel=1e-2)


def test_focal_without_gamma_is_the_sum_of_cross_entropies():
    logits, targets = draw(8)
    found = value({"type": "focal", "gamma": 0.0}, logits, targets)
    assert found == pytest.approx(5 * value("bce", logits, targets))


def test_hard_log_leaves_easy_negatives_out():
    logits = torch.linspace(-5, 5, 20, dtype=torch.float64)[:, None].requires_grad_()
    targets = torch.zeros(20, 1)
    targets[3] = 1
    losses.build("hard-log", 1)(logits, targets).backward()
    # 19 negatives: 1 + max(2, 9) of them, the highest; and the positive
    assert logits.grad.flatten().nonzero().flatten().tolist() == [3, *range(10, 20)]


@pytest.mark.parametrize("negatives", range(90))
def test_how_many_negatives_is_the_originals_number(negatives):
    """Theirs is int(.7 n) in floating point, which is one less at 90, 170, ..."""
    for positives in (0, 1, 5, 100):
        if not negatives + positives:
            continue
        logits = torch.linspace(-1, 1, negatives + positives)[:, None].requires_grad_()
        targets = torch.zeros(negatives + positives, 1)
        targets[:positives] = 1
        losses.build("hard-log", 1)(logits, targets).backward()
        at_least = max(2, int(0.5 * negatives))
        theirs = min(negatives, positives + at_least, int(0.7 * negatives) + 2)
        assert int((logits.grad[positives:] != 0).sum()) == theirs
