"""Labels as those of the competition, and groups of images as they come."""

import csv

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.splitters import Samples

NEW = class_list("hpa-2021")
SHARES = np.array([40, 5, 11, 6, 7, 8, 4, 8, 4, 5, 4, 0.4, 8, 14, 9, 1.2, 26, 3, 0.2]) / 100
"""Of the classes, about as in the competition of 2021."""


def labels_of(count, seed=0):
    """(count, 19) bool, one label at least but for every fiftieth image."""
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 19)) < SHARES
    labels[np.arange(count), rng.choice(19, count, p=SHARES / SHARES.sum())] = True
    labels[::50] = False
    return labels


def groups_of(labels, mean, seed, *, alike=False):
    """Groups of geometric sizes, at random or of images with nearly the same labels."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if alike:
        kind = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(kind + rng.normal(0, 2, len(labels)), kind="stable")
    sizes = rng.geometric(1 / mean, len(labels))
    group = np.empty(len(labels), int)
    group[order] = np.repeat(np.arange(len(sizes)), sizes)[: len(labels)]
    return np.unique(group, return_inverse=True)[1].ravel()


def samples_of(labels, ids=None, columns=None, embeddings=None):
    ids = ids or [f"x{row:05}" for row in range(len(labels))]
    return Samples(tuple(ids), labels, NEW, columns or {}, embeddings)


@pytest.fixture(scope="session")
def real_labels(shared):
    """(21806, 19) bool of the competition of 2021."""
    with (shared / "data" / "labels" / "hpa2021_train.csv").open(encoding="utf-8") as file:
        rows = [row["Label"] for row in csv.DictReader(file)]
    labels = np.zeros((len(rows), 19), bool)
    for row, text in zip(labels, rows, strict=True):
        row[[int(part) for part in text.split("|")]] = True
    return labels


@pytest.fixture(scope="session")
def external(shared):
    """Ids and labels (74606, 28) of the external images of 2018."""
    with (shared / "data" / "labels" / "hpa2018_external.csv").open(encoding="utf-8") as file:
        rows = [(row["Id"], row["Target"]) for row in csv.DictReader(file)]
    labels = np.zeros((len(rows), 28), bool)
    for row, (_, text) in zip(labels, rows, strict=True):
        row[[int(part) for part in text.split()]] = True
    return tuple(name for name, _ in rows), labels
