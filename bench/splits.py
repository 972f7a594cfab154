"""Groups of images into folds: how even, beside three other ways, and how long it takes.

Labels are drawn about as those of the competition, groups in the five structures that real ones
have (duplicates in twos and threes, larger ones, of the same labels, one large cluster).
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.material import Material
from bench.measure import Effort, Goal, Result, Spread, Way, WrongAnswerError, interleaved, once
from hpazoo.splitters._assign import COMMON, assign

IMAGES, MANY, FOLDS = 21806, 100_000, 5
QUICK_IMAGES = 6000
SHARES = (
    *(0.403, 0.050, 0.112, 0.058, 0.065, 0.082, 0.036, 0.085, 0.044, 0.046),
    *(0.038, 0.004, 0.080, 0.143, 0.092, 0.012, 0.261, 0.027, 0.0016),
)
"""Of the 19 classes in the training table of 2021."""
LEAST = 1e-9


@dataclass(frozen=True)
class Evenness:
    """How far the farthest fold is from even: relative, of classes with 500 images or more, their
    mean; images, of rarer classes and their mean, and of the fold's size.
    """

    common: float
    common_mean: float
    rare: float
    rare_mean: float
    size: float

    @classmethod
    def of(cls, labels: np.ndarray, fold: np.ndarray) -> Evenness:
        total = labels.sum(axis=0)
        counts = np.stack([labels[fold == number].sum(axis=0) for number in range(FOLDS)])
        off = np.abs(counts - total / FOLDS)
        common = total >= COMMON
        share = off[:, common] / (total[common] / FOLDS)
        sizes = np.abs(np.bincount(fold, minlength=FOLDS) - len(fold) / FOLDS)
        rare = off[:, ~common]
        return cls(
            float(share.max(initial=0)),
            float(share.mean()),
            float(rare.max(initial=0)),
            float(rare.mean()) if rare.size else 0.0,
            float(sizes.max()),
        )

    def __str__(self) -> str:
        return f"{self.common:.4f}, {self.rare:.1f}, {self.size:.1f}"

    def all(self) -> np.ndarray:
        """The measures; rounded, since equal counts give means that differ in the last bit."""
        measures = (self.common, self.common_mean, self.rare, self.rare_mean, self.size)
        return np.array([round(measure, 9) for measure in measures])


def labels_of(count: int, seed: int = 0) -> np.ndarray:
    """(count, 19) bool, a label at least each."""
    rng = np.random.default_rng(seed)
    shares = np.array(SHARES)
    # Each image has one of them for sure, and further ones as often as the rest asks for.
    labels = rng.random((count, len(shares))) < shares * 0.4
    labels[np.arange(count), rng.choice(len(shares), count, p=shares / shares.sum())] = True
    return labels


def structures(labels: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Group (N,) of each image, by the name of the structure."""
    rng = np.random.default_rng(seed)
    count = len(labels)
    kind = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    alike = np.argsort(kind + rng.normal(0, 2, count), kind="stable")
    found = {}
    for mean in (3, 10):
        for name, order in (("at random", rng.permutation(count)), ("of like labels", alike)):
            sizes = rng.geometric(1 / mean, count)
            group = np.empty(count, np.int64)
            group[order] = np.repeat(np.arange(count), sizes)[:count]
            found[f"groups of {mean}, {name}"] = group
    one = found["groups of 3, at random"].copy()
    one[rng.permutation(count)[: count * 8 // 100]] = count
    return found | {"one cluster of 8 %": one}


def union_stratified(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """A group has the labels that any of its images has; groups are stratified as images are."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    union = np.zeros((int(group.max()) + 1, labels.shape[1]), np.int64)
    np.maximum.at(union, group, labels.astype(np.int64))
    fold = np.empty(len(union), np.int64)
    divide = MultilabelStratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (_, held_out) in enumerate(divide.split(np.zeros(len(union)), union)):
        fold[held_out] = number
    of_images: np.ndarray = fold[group]
    return of_images


def greedy(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Large groups first, each to where label counts then vary least between folds, relative."""
    counts = np.zeros((int(group.max()) + 1, labels.shape[1]))
    np.add.at(counts, group, labels)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    fold = np.empty(len(counts), np.int64)
    folds = np.zeros((FOLDS, labels.shape[1]))
    chosen = np.arange(FOLDS)
    for one in np.argsort(-counts.std(axis=1), kind="stable"):
        tried = np.repeat(folds[None], FOLDS, axis=0)
        tried[chosen, chosen] += shares[one]
        fold[one] = tried.std(axis=1).mean(axis=1).argmin()
        folds[fold[one]] += shares[one]
    of_images: np.ndarray = fold[group]
    return of_images


def rarest_label(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """scikit-learn's StratifiedGroupKFold, which takes one label an image: its rarest."""
    from sklearn.model_selection import StratifiedGroupKFold

    rarest = np.where(labels, labels.sum(axis=0), len(labels) + 1).argmin(axis=1)
    fold = np.empty(len(labels), np.int64)
    divide = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer images than folds
        for number, (_, held_out) in enumerate(divide.split(labels, rarest, group)):
            fold[held_out] = number
    return fold


OTHERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "unions stratified": union_stratified,
    "greedy": greedy,
    "rarest label": rarest_label,
}


def splits(material: Material, effort: Effort) -> Iterator[Result]:
    """How even, the best of the three others in each measure being the goal; then how long."""
    del material
    count = QUICK_IMAGES if effort.quick else IMAGES
    labels = labels_of(count)
    for name, group in structures(labels).items():
        yield _evenness(f"{count:,} images, {name}", labels, group)
    yield from _times(labels, structures(labels)["groups of 3, at random"], effort)
    if effort.quick:
        return
    many = labels_of(MANY)
    rng = np.random.default_rng(1)
    of_many = {"groups of 3, of like labels": structures(many)["groups of 3, of like labels"]}
    of_many |= {"each by itself": np.arange(MANY), "500 groups": rng.integers(0, 500, MANY)}
    for name, group in of_many.items():
        fold, seconds = once(functools.partial(_ours, many, group), time.process_time)
        _check_whole(fold, group)
        yield Result(
            "splits",
            f"{MANY:,} images, {name}",
            ours=seconds,
            ratio=Spread(seconds, seconds, seconds),
            goal=Goal("<=", 10, "s"),
            check=f"no group in two folds; off {Evenness.of(many, fold)}",
        )


def _ours(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    return assign(labels, group, [1] * FOLDS)


def _evenness(case: str, labels: np.ndarray, group: np.ndarray) -> Result:
    """The largest of our five measures over the best of the others'; 1: as good in that one."""
    fold = _ours(labels, group)
    _check_whole(fold, group)
    ours = Evenness.of(labels, fold)
    theirs = {name: Evenness.of(labels, way(labels, group)) for name, way in OTHERS.items()}
    best = np.min([one.all() for one in theirs.values()], axis=0)
    worst = float((ours.all() / np.maximum(best, LEAST)).max())
    beside = "; ".join(f"{name} {one}" for name, one in theirs.items())
    return Result(
        "splits",
        f"{case}: off, over the best of others",
        naive=100 * min(one.common for one in theirs.values()),
        ours=100 * ours.common,
        ratio=Spread(worst, worst, worst),
        goal=Goal("<=", 1),
        check=f"share of common, images of rare, of size: ours {ours}; {beside}",
        unit="%",
    )


def _times(labels: np.ndarray, group: np.ndarray, effort: Effort) -> Iterator[Result]:
    """Ours beside the quickest of the others that keeps to the same counts; floor: counting."""
    numbers = int(group.max()) + 1
    ways: dict[str, Way] = {
        "ours": functools.partial(_ours, labels, group),
        "naive": functools.partial(greedy, labels, group),
        "floor": lambda: [np.bincount(group[one], minlength=numbers) for one in labels.T],
    }
    times = interleaved(ways, effort.rounds)
    yield Result(
        "splits",
        f"{len(labels):,} images, groups of 3",
        times.median("naive"),
        times.median("ours"),
        times.median("floor"),
        times.ratio("naive", "ours"),
        check="naive: greedy; floor: label counts of groups",
    )


def _check_whole(fold: np.ndarray, group: np.ndarray) -> None:
    pairs = np.unique(np.stack([group, fold]), axis=1)
    if pairs.shape[1] != len(np.unique(group)):
        raise WrongAnswerError("a group is in two folds")
