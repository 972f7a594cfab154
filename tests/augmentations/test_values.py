"""Augmentations that change what an image shows: brightness, proteins, mixtures."""

import numpy as np
import pytest

from hpazoo.augmentations import Example
from hpazoo.augmentations.gain import Gain
from hpazoo.augmentations.mixup import Mixup
from hpazoo.augmentations.negative_green import NegativeGreen
from hpazoo.augmentations.reference_channel import ReferenceChannel
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import ComponentError

CLASSES = class_list("hpa-2021")
LEVELS = np.broadcast_to(np.arange(256, dtype=np.uint8), (4, 1, 256))


def example(seed=0, shape=(6, 7)):
    g = np.random.default_rng(seed)
    labels = (g.random(19) < 0.4).astype(np.float32)
    return Example(g.integers(1, 256, (4, *shape), np.uint8), labels)


def named(labels):
    return [CLASSES.names[i] for i in np.flatnonzero(labels)]


class TestGain:
    def test_a_factor_per_channel_rounded_and_clipped(self):
        rng = np.random.default_rng(0)
        factors = []
        for _ in range(200):
            seen = Gain(CLASSES, range=0.3).apply(Example(LEVELS, np.zeros(19)), rng).pixels
            for row in seen[:, 0].astype(float):
                factor = np.median(row[50:150] / np.arange(50, 150))
                expected = (factor * np.arange(256)).clip(0, 255)
                assert np.abs(row - expected).max() <= 1.5
                assert (row[1:] >= row[:-1]).all()
                factors.append(factor)
        assert 0.69 < min(factors) < 0.72 and 1.28 < max(factors) < 1.31
        channels = np.reshape(factors, (200, 4))
        assert np.abs(np.corrcoef(channels.T) - np.eye(4)).max() < 0.25

    def test_rounds_to_the_nearest(self):
        class Fixed:
            def uniform(self, low, high, count):
                return np.full(count, 0.5 if low < 1 else 1.0)

        seen = Gain(CLASSES, range=0.5).apply(Example(LEVELS, np.zeros(19)), Fixed()).pixels
        assert np.abs(seen[0, 0] - np.arange(256) / 2).max() <= 0.5
        assert seen[0, 0, 255] in {127, 128} and seen[0, 0, 101] in {50, 51}

    def test_gamma_bends_and_keeps_the_ends(self):
        rng = np.random.default_rng(1)
        bent = Gain(CLASSES, range=0.0, gamma=0.5)
        middles = []
        for _ in range(100):
            seen = bent.apply(Example(LEVELS, np.zeros(19)), rng).pixels[:, 0]
            assert (seen[:, 0] == 0).all() and (seen[:, 255] == 255).all()
            middles += seen[:, 64].tolist()
        # 255 * (64 / 255) ** 1.5 and ** .5
        assert 32 <= min(middles) < 35 and 122 < max(middles) <= 128

    def test_none_is_none(self):
        still = Gain(CLASSES, range=0.0)
        seen = still.apply(Example(LEVELS, np.zeros(19)), np.random.default_rng(0))
        assert np.array_equal(seen.pixels, LEVELS)


class TestNegativeGreen:
    def test_protein_gone_and_the_rest_as_it_was(self):
        given = example()
        seen = NegativeGreen(CLASSES, probability=1.0).apply(given, np.random.default_rng(0))
        assert named(seen.labels) == ["Negative"] and seen.labels.sum() == 1
        assert not seen.pixels[1].any()
        assert np.array_equal(seen.pixels[[0, 2, 3]], given.pixels[[0, 2, 3]])

    def test_what_remains_is_a_share_of_the_protein(self):
        given, rng = example(shape=(40, 40)), np.random.default_rng(0)
        faint = NegativeGreen(CLASSES, probability=1.0, remains=0.2)
        shares = []
        for _ in range(200):
            seen = faint.apply(given, rng)
            shares.append(seen.pixels[1].sum() / given.pixels[1].sum())
            assert np.abs(seen.pixels[1] - shares[-1] * given.pixels[1]).max() <= 0.6
        assert min(shares) < 0.01 and 0.19 < max(shares) <= 0.201

    def test_as_often_as_told(self):
        given, rng = example(), np.random.default_rng(0)
        rare = NegativeGreen(CLASSES)
        count = sum(rare.apply(given, rng) is not given for _ in range(4000))
        assert count == pytest.approx(200, abs=45)

    def test_the_class_may_have_any_name_and_must_be_there(self):
        mine = ClassList("mine", ("nothing", "nucleus"))
        made = NegativeGreen(mine, probability=1.0, negative="nothing")
        assert made.apply(example(), np.random.default_rng(0)).labels.tolist() == [1, 0]
        message = (
            r"negative-green: .*'hpa-2018' has no class 'Negative'.*or leave negative-green out"
        )
        with pytest.raises(ComponentError, match=message):
            NegativeGreen(class_list("hpa-2018"))
        with pytest.raises(ComponentError, match="did you mean 'Negative'"):
            NegativeGreen(CLASSES, negative="negativ")


class TestReferenceChannel:
    def test_either_stain_with_its_class(self):
        given, rng = example(), np.random.default_rng(0)
        always = ReferenceChannel(CLASSES, probability=1.0)
        count = {"Microtubules": 0, "Endoplasmic reticulum": 0}
        for _ in range(400):
            seen = always.apply(given, rng)
            (name,) = named(seen.labels)
            channel = 0 if name == "Microtubules" else 3
            assert np.array_equal(seen.pixels[1], given.pixels[channel])
            assert np.array_equal(seen.pixels[[0, 2, 3]], given.pixels[[0, 2, 3]])
            count[name] += 1
        assert min(count.values()) > 150

    def test_as_often_as_told(self):
        given, rng = example(), np.random.default_rng(0)
        rare = ReferenceChannel(CLASSES)
        count = sum(rare.apply(given, rng) is not given for _ in range(8000))
        assert count == pytest.approx(200, abs=45)

    def test_red_in_place_of_a_missing_yellow_is_no_reticulum(self):
        pixels = example().pixels.copy()
        pixels[3] = pixels[0]
        rng = np.random.default_rng(0)
        always = ReferenceChannel(CLASSES, probability=1.0)
        for _ in range(30):
            seen = always.apply(Example(pixels, np.ones(19, np.float32)), rng)
            assert named(seen.labels) == ["Microtubules"]

    @pytest.mark.parametrize(("blank", "left"), [(0, "Endoplasmic reticulum"), (3, "Microtubules")])
    def test_a_blank_channel_is_no_protein(self, blank, left):
        pixels = example().pixels.copy()
        pixels[blank] = 0
        given, rng = Example(pixels, np.ones(19, np.float32)), np.random.default_rng(0)
        always = ReferenceChannel(CLASSES, probability=1.0)
        for _ in range(30):
            seen = always.apply(given, rng)
            assert seen is given or named(seen.labels) == [left]

    def test_a_list_without_the_classes_is_refused(self):
        made = ClassList("mine", ("tubes", "net"))
        with pytest.raises(ComponentError, match=r"no class 'Microtubules'.*microtubules: \.\.\."):
            ReferenceChannel(made)
        with pytest.raises(ComponentError, match=r"no class 'Endoplasmic.*reticulum: \.\.\."):
            ReferenceChannel(made, microtubules="tubes")
        ReferenceChannel(made, microtubules="tubes", reticulum="net")


class TestMixup:
    def solve(self, batch, mixed):
        """(second, share of the first) of each, from the labels alone."""
        found = []
        for first, one in zip(batch, mixed, strict=True):
            (own,), other = np.flatnonzero(first.labels), np.flatnonzero(one.labels)
            (second,) = set(other.tolist()) - {own}
            found.append((second, float(one.labels[own])))
            assert one.labels.sum() == pytest.approx(1)
        return found

    def batch(self, count):
        return [
            example(i)._replace(labels=np.eye(count, dtype=np.float32)[i]) for i in range(count)
        ]

    def test_pixels_and_labels_by_the_same_shares(self):
        batch = self.batch(9)
        mixed = Mixup(CLASSES, alpha=1.0).mix(batch, np.random.default_rng(0))
        pairs = self.solve(batch, mixed)
        assert sorted(second for second, _ in pairs) == list(range(9))
        assert len({share for _, share in pairs}) == 9
        for i, (second, share) in enumerate(pairs):
            exact = share * batch[i].pixels + (1 - share) * batch[second].pixels
            assert np.abs(mixed[i].pixels - exact).max() <= 0.5 + 1e-4

    def test_shares_follow_beta(self):
        rng, shares = np.random.default_rng(0), []
        for _ in range(300):
            batch = self.batch(5)
            shares += [s for _, s in self.solve(batch, Mixup(CLASSES, alpha=2.0).mix(batch, rng))]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
        assert np.var(shares) == pytest.approx(1 / 20, rel=0.15)  # 1 / (4 (2 alpha + 1))

    def test_what_two_images_share_stays_certain(self):
        batch = [example(i)._replace(labels=np.ones(19, np.float32)) for i in range(8)]
        for one in Mixup(CLASSES).mix(batch, np.random.default_rng(0)):
            assert (one.labels == 1).all()

    @pytest.mark.parametrize("alpha", [0.001, 1000.0])
    def test_extreme_shares(self, alpha):
        batch = self.batch(4)
        for one in Mixup(CLASSES, alpha=alpha).mix(batch, np.random.default_rng(0)):
            assert np.isfinite(one.labels).all() and one.labels.sum() == pytest.approx(1)

    def test_alone_it_stays(self):
        batch = self.batch(1)
        (one,) = Mixup(CLASSES).mix(batch, np.random.default_rng(0))
        assert one is batch[0]
        assert Mixup(CLASSES).mix([], np.random.default_rng(0)) == []
