"""Folds that keep clusters of embeddings together, by UMAP and DBSCAN."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.parameters import EmbeddingsSource, Range
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.splitters._clusters import note_on_largest, standardised
from hpazoo.splitters._divide import check, into_folds


@splitters.register
class EmbeddingClusters:
    """Keep clusters of images in one fold: embeddings, projected by UMAP, clustered by DBSCAN.

    Each dimension of the embeddings is taken less its mean over all images and over its deviation,
    and compared by cosine. Images that DBSCAN leaves in no cluster are each a group of their own.
    Clusters are divided as by `groups`. UMAP with a seed runs in one thread (20,000 images: about a
    minute), and may give another projection on another machine or with another version: keep
    folds.csv, and take it up with `from-file`. `cosine-groups` has no chance in it.

    Source: the validation of the 6th place, Human Protein Atlas Single Cell Classification (Kaggle,
    2021); L. McInnes, J. Healy, J. Melville, UMAP (2018); M. Ester et al., DBSCAN (KDD 1996).

    Parameters
    ----------
    embeddings
        What to cluster: a model of the spec, a card, or a Parquet file of embeddings.
    components
        Dimensions that UMAP projects to.
    neighbours
        Nearest images that UMAP looks at for each; more of them see more of the whole.
    min_dist
        How near UMAP may put two images; 0 packs clusters densest.
    eps
        Distance in the projection within which DBSCAN takes two images for neighbours.
    min_samples
        Images within `eps`, itself included, that make an image the core of a cluster. 2: clusters
        are chains of neighbours.
    folds
        How many folds to make.
    seed
        Of the projection and of the division.
    """

    def __init__(
        self,
        data: Path,
        *,
        embeddings: EmbeddingsSource,
        components: Annotated[int, Range(ge=1, le=100)] = 2,
        neighbours: Annotated[int, Range(ge=2)] = 15,
        min_dist: Annotated[float, Range(ge=0, lt=1)] = 0.0,
        eps: Annotated[float, Range(gt=0)] = 0.1,
        min_samples: Annotated[int, Range(ge=1)] = 2,
        folds: Annotated[int, Range(ge=2)] = 5,
        seed: Annotated[int, Range(ge=0, le=2**32 - 1)] = 0,
    ) -> None:
        self.embeddings = embeddings
        self.components, self.neighbours, self.min_dist = components, neighbours, min_dist
        self.eps, self.min_samples = eps, min_samples
        self.folds, self.seed = folds, seed

    def split(self, samples: Samples) -> Split:
        """Folds of equal size; HpazooError where images or clusters are too few."""
        check(samples, self.folds)
        least = max(self.neighbours, self.components + 1) + 1
        if len(samples) < least:
            raise HpazooError(
                f"embedding-clusters: {len(samples)} images are too few for {self.neighbours} "
                f"neighbours and {self.components} components ({least} at least); set "
                "'neighbours' lower, or take 'cosine-groups'"
            )
        points = self._project(standardised(samples, "embedding-clusters"))
        group, clusters = self._clustered(points)
        noise = len(np.unique(group)) - clusters
        cure = f"set 'eps' below {self.eps:g} or 'min_samples' above {self.min_samples}"
        if clusters + noise < self.folds:
            raise HpazooError(
                f"embedding-clusters: {len(samples):,} images fell into {clusters + noise} "
                f"clusters, too few for {self.folds} folds; {cure}, or ask for fewer folds"
            )
        notes = [f"{clusters:,} clusters; {noise:,} images in none, each by itself"]
        notes += note_on_largest(group, cure)
        return into_folds(samples, group, self.folds, self.seed, notes)

    def _clustered(self, points: np.ndarray) -> tuple[np.ndarray, int]:
        """Group (N,) of each image and the number of clusters; noise is numbered behind them."""
        from sklearn.cluster import DBSCAN

        found = DBSCAN(eps=self.eps, min_samples=self.min_samples).fit(points).labels_
        clusters = int(found.max(initial=-1)) + 1
        noise = found < 0
        group = found.astype(np.int64)
        group[noise] = clusters + np.arange(noise.sum())
        return group, clusters

    def _project(self, vectors: np.ndarray) -> np.ndarray:
        """(N, components) float32 of UMAP."""
        with warnings.catch_warnings():
            # On threads, absent TensorFlow, and disconnected points: nothing a user can act on.
            warnings.simplefilter("ignore")
            try:
                from umap import UMAP
            except (ImportError, RuntimeError) as error:
                # numba raises RuntimeError where it finds no folder that it may write to
                raise HpazooError(
                    f"embedding-clusters: umap-learn cannot be loaded: {error}. If this speaks of "
                    "a cache, set NUMBA_CACHE_DIR to a folder that can be written to; or take "
                    "'cosine-groups', which does without"
                ) from error
            projection = UMAP(
                n_components=self.components,
                n_neighbors=self.neighbours,
                min_dist=self.min_dist,
                metric="cosine",
                random_state=self.seed,
                n_jobs=1,
            )
            points = np.asarray(projection.fit_transform(vectors), np.float32)
        if not np.isfinite(points).all():
            # of images without any neighbour
            lost = ~np.isfinite(points).all(axis=1)
            if lost.all():
                raise HpazooError(
                    "embedding-clusters: UMAP could place no image; take 'cosine-groups'"
                )
            # far from all others, and from each other
            far = float(np.abs(points[~lost]).max()) + 10 * self.eps + 10
            points[lost] = (far * np.arange(1, lost.sum() + 1))[:, None]
        return points
