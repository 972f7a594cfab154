"""What every augmentation keeps to, run over all that are registered."""

import pickle

import numpy as np
import pytest

from hpazoo.augmentations import Example, augmentations
from hpazoo.classes import class_list
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

CLASSES = class_list("hpa-2021")

SAID = {
    "crop": [{}, {"size": 24}, {"size": 50}],
    "cutout": [{"size": 9}],
    "gain": [{}, {"range": 0.9, "gamma": 0.9}],
    "negative-green": [{}, {"probability": 1.0}, {"probability": 1.0, "remains": 0.5}],
    "random-resized-crop": [{}, {"size": 20, "scale": 0.01, "ratio": 9.0}],
    "reference-channel": [{}, {"probability": 1.0}],
    "rotation": [{"outside": "zero"}, {"degrees": 30.0, "outside": "reflect"}],
}
"""Keywords to build an augmentation with, where it has variants or its defaults are for large
images."""

CONFIGS = [
    {"type": name, **said} for name in built_in(augmentations) for said in SAID.get(name, [{}])
]


@pytest.fixture(params=CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def config(request):
    return request.param


def example(shape=(40, 40), seed=0):
    """Pixels and labels that cannot be written to, as those of a mapped file."""
    g = np.random.default_rng(seed)
    pixels = g.integers(0, 256, (4, *shape), np.uint8)
    labels = (g.random(len(CLASSES)) < 0.3).astype(np.float32)
    pixels.setflags(write=False)
    labels.setflags(write=False)
    return Example(pixels, labels)


def batch_of(config, shape, seed=0, given=None):
    """Six examples, each through the augmentation, or all at once."""
    made = augmentations.build(config, CLASSES) if given is None else given
    rng = np.random.default_rng(seed)
    examples = [example(shape, i) for i in range(6)]
    if hasattr(made, "mix"):
        return made.mix(examples, rng)
    return [made.apply(one, rng) for one in examples]


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", built_in(augmentations))
def test_parameters_follow_the_grammar_and_are_documented(name):
    for parameter in parameters_of(augmentations.get(name)):
        assert parameter.doc, parameter.name
        assert not parameter.required


class TestAugmentations:
    def test_alone_or_together(self, config):
        made = augmentations.build(config, CLASSES)
        assert hasattr(made, "apply") != hasattr(made, "mix")

    @pytest.mark.parametrize("shape", [(40, 40), (30, 45), (1, 3), (1, 1)])
    def test_one_shape_and_type(self, config, shape):
        out = batch_of(config, shape)
        assert len(out) == 6 and len({one.pixels.shape for one in out}) == 1
        for one in out:
            assert one.pixels.dtype == np.uint8 and len(one.pixels) == 4
            assert one.pixels.flags["C_CONTIGUOUS"]
            assert one.labels.dtype == np.float32 and one.labels.shape == (len(CLASSES),)
            assert (one.labels >= 0).all() and (one.labels <= 1).all()

    def test_all_chance_is_the_generators(self, config):
        """And none of it the global one's."""
        np.random.seed(0)  # noqa: NPY002
        first = batch_of(config, (40, 40), 3)
        np.random.seed(1)  # noqa: NPY002
        again = batch_of(config, (40, 40), 3)
        assert all(same(a, b) for a, b in zip(first, again, strict=True))

    def test_another_seed_gives_another_image(self, config):
        if config["type"] in {"negative-green", "reference-channel"}:
            config = config | {"probability": 0.5}
        drawn = [batch_of(config, (40, 40), seed) for seed in range(4)]
        assert not all(same(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
        assert len({one.pixels.tobytes() for batch in drawn for one in batch}) > 6

    def test_what_comes_in_stays(self, config):
        """Also what a later augmentation does to what comes out, unless it came out as it was."""
        made = augmentations.build(config, CLASSES)
        rng = np.random.default_rng(0)
        given = [Example(e.pixels.copy(), e.labels.copy()) for e in map(example, [(40, 40)] * 4)]
        kept = [Example(e.pixels.copy(), e.labels.copy()) for e in given]
        mixes = hasattr(made, "mix")
        out = made.mix(given, rng) if mixes else [made.apply(one, rng) for one in given]
        assert all(same(a, b) for a, b in zip(given, kept, strict=True))
        first = [Example(e.pixels.copy(), e.labels.copy()) for e in out]
        for one in out:
            if not any(one.labels is each.labels for each in given):
                one.labels[:] = 7
        rng = np.random.default_rng(0)
        again = made.mix(given, rng) if mixes else [made.apply(one, rng) for one in given]
        assert all(same(a, b) for a, b in zip(again, first, strict=True))

    def test_labels_change_only_where_it_is_said(self, config):
        made = augmentations.build(config, CLASSES)
        if "labels" in getattr(made, "needs", ()):
            return
        for i, one in enumerate(batch_of(config, (40, 40))):
            assert np.array_equal(one.labels, example(seed=i).labels)

    def test_a_copy_in_another_process_is_the_same(self, config):
        made = augmentations.build(config, CLASSES)
        copy = pickle.loads(pickle.dumps(made))
        ours, theirs = (batch_of(config, (30, 45), 5, one) for one in (made, copy))
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
