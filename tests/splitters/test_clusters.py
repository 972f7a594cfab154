"""Images that look alike stay together."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hpazoo.errors import HpazooError
from hpazoo.splitters import _clusters
from hpazoo.splitters._clusters import alike
from hpazoo.splitters.cosine_groups import CosineGroups
from hpazoo.splitters.embedding_clusters import EmbeddingClusters
from tests.splitters.conftest import labels_of, samples_of

HERE = Path()


def clouds(count, clouds, spread=0.2, size=64, seed=0):
    """Embeddings (count, size) around so many centres, and which centre each has."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, clouds, count)
    values = rng.normal(size=(clouds, size))[of] + spread * rng.normal(size=(count, size))
    # dimensions as networks give them: of all scales, and never negative
    return np.abs(values * rng.lognormal(0, 2, size) + 20).astype(np.float32), of


def naive_components(vectors, threshold):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T > threshold
    group = np.arange(len(unit))
    for _ in range(len(unit)):
        before = group.copy()
        group = np.where(near, group, len(unit)).min(axis=1).clip(max=group)
        if np.array_equal(before, group):
            break
    return group


def same_partition(one, other):
    both = np.unique(np.stack([one, other]), axis=1).shape[1]
    return both == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_components_are_those_of_all_pairs(monkeypatch, block):
    monkeypatch.setattr(_clusters, "BLOCK", block)
    vectors = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    sizes = set()
    for threshold in (0.9, 0.97, 0.99, 0.999):
        found = alike(vectors, threshold)
        assert found.dtype == np.int64 and set(found) == set(range(found.max() + 1))
        assert same_partition(found, naive_components(vectors, threshold))
        sizes.add(found.max() + 1)
    assert len(sizes) == 4


def test_a_row_of_zeros_is_like_no_other():
    vectors = np.zeros((4, 3), np.float32)
    vectors[:2] = 1
    assert same_partition(alike(vectors, 0.0), np.array([0, 0, 1, 2]))


def test_memory_is_that_of_a_block(monkeypatch):
    """One component of 6,000 images: 36 million pairs, never all at once."""
    monkeypatch.setattr(_clusters, "BLOCK", 256)
    vectors = np.ones((6000, 8), np.float32)
    alike(vectors[:10], 0.5)
    tracemalloc.start()
    assert alike(vectors, 0.5).max() == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6


def test_cosine_groups_are_clouds_in_folds():
    values, of = clouds(900, 150)
    found = CosineGroups(HERE, embeddings="e").split(samples_of(labels_of(900), embeddings=values))
    assert same_partition(found.group, of)
    assert np.ptp(np.bincount(found.fold)) <= 2
    assert not any("look alike" in note for note in found.notes)
    # whatever scale and offset its dimensions have
    again = CosineGroups(HERE, embeddings="e").split(
        samples_of(labels_of(900), embeddings=values * 8 - 100)
    )
    assert np.array_equal(found.fold, again.fold)


def test_cosine_groups_that_swallow_all():
    values, _ = clouds(300, 300)
    given = samples_of(labels_of(300), embeddings=values)
    with pytest.raises(HpazooError, match=r"look-alikes connect 300 .* raise 'threshold' above 0"):
        CosineGroups(HERE, embeddings="e", threshold=0).split(given)
    values, of = clouds(300, 40)
    values[of < 25] = values[0] + np.random.default_rng(0).normal(size=64).astype(np.float32) * 0.01
    found = CosineGroups(HERE, embeddings="e").split(samples_of(labels_of(300), embeddings=values))
    assert any("holds" in note and "raise 'threshold'" in note for note in found.notes)
    assert any("the largest group has" in note for note in found.notes)


@pytest.mark.parametrize("splitter", [CosineGroups, EmbeddingClusters])
def test_embeddings_that_are_none(splitter):
    labels, values = labels_of(50), clouds(50, 9)[0]
    values_with_gap = values.copy()
    values_with_gap[7, 3] = np.nan
    for wrong, words in (
        (None, "there are no embeddings"),
        (values[:30], r"embeddings of shape \(30, 64\) for 50 images"),
        (values_with_gap, "of 1 images hold NaN or infinity, first of 'x00007'"),
        (np.full((50, 3), 0.1, np.float32), "all 50 embeddings are the same"),
    ):
        with pytest.raises(HpazooError, match=words):
            splitter(HERE, embeddings="e").split(samples_of(labels, embeddings=wrong))


def projected(monkeypatch, points, **options):
    splitter = EmbeddingClusters(HERE, embeddings="e", **options)
    monkeypatch.setattr(splitter, "_project", lambda vectors: points)
    values = clouds(len(points), 5)[0]
    return splitter.split(samples_of(labels_of(len(points)), embeddings=values))


def test_clusters_and_noise_of_a_projection(monkeypatch):
    """Sixty pairs, and forty images far from all."""
    points = np.repeat(np.arange(100) * 10.0, [2] * 60 + [1] * 40)[:, None] + [[0.0, 1.0]]
    found = projected(monkeypatch, points.astype(np.float32))
    assert found.notes[0] == "60 clusters; 40 images in none, each by itself"
    assert same_partition(found.group, points[:, 0])


def test_a_projection_without_clusters_enough(monkeypatch):
    points = np.zeros((100, 2), np.float32)
    with pytest.raises(HpazooError, match=r"fell into 1 clusters, too few for 5.*'eps' below 0\.1"):
        projected(monkeypatch, points)


def test_too_few_images_for_umap():
    values, _ = clouds(12, 6)
    with pytest.raises(
        HpazooError, match=r"12 images are too few for 15 neighbours.*\(16 at least"
    ):
        EmbeddingClusters(HERE, embeddings="e").split(samples_of(labels_of(12), embeddings=values))


def test_umap_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    values, _ = clouds(60, 6)
    with pytest.raises(HpazooError, match=r"umap-learn cannot be loaded.*NUMBA_CACHE_DIR"):
        EmbeddingClusters(HERE, embeddings="e").split(samples_of(labels_of(60), embeddings=values))


@pytest.mark.slow
def test_umap_itself(recwarn, capfd):
    values, of = clouds(400, 40)
    given = samples_of(labels_of(400), embeddings=values)
    splitter = EmbeddingClusters(HERE, embeddings="e", neighbours=5, eps=0.5, seed=3)
    found, again = splitter.split(given), splitter.split(given)
    assert np.array_equal(found.fold, again.fold)
    together = sum(len(set(found.fold[of == one])) == 1 for one in range(40))
    assert together >= 36
    assert found.group.max() + 1 >= 20
    assert not recwarn.list and capfd.readouterr() == ("", "")
