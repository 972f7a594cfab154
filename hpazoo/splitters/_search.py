"""Local search for an even division: moves and exchanges of groups between folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SAMPLE = 192
"""Kinds of groups that are looked at on either side of a pair of folds: all where there are no
more. Pairs grow with its square, and so does what one look costs."""
_PATIENCE = 3
"""Rounds over all pairs of folds without a better division before weights change."""
_LOOKS = 9000
"""Looks at a pair of folds, at most: what bounds the time."""
_HEAVIEST = 64
"""Largest factor by which the search raises the weight of a count."""
_EXACT = 2**52
"""Whole numbers below it, and their sums, are exact in float64 in whatever order they are added:
the same division comes out on every machine and with every linear algebra library."""


@dataclass
class Division:
    """How many groups of each kind are in each fold, and how far counts are from even.

    Groups with the same counts are one kind: which of them is where makes no difference.
    `kinds` (T, C) are the counts of one group of a kind, `numbers` (T, K) how many lie in each
    fold, `parts` (K,) the folds' shares in whole numbers. All values are whole.
    """

    kinds: np.ndarray
    numbers: np.ndarray
    parts: np.ndarray

    def __post_init__(self) -> None:
        self.whole = float(self.parts.sum())
        self.total = self.numbers.sum(axis=1) @ self.kinds
        # Scaled by `whole`, so that shares are whole numbers, too.
        self.off = self.whole * (self.numbers.T @ self.kinds) - np.outer(self.parts, self.total)

    def move(self, kind: int, start: int, end: int) -> None:
        """One group of a kind from a fold to another."""
        self.numbers[kind, start] -= 1
        self.numbers[kind, end] += 1
        change = self.whole * self.kinds[kind]
        self.off[start] -= change
        self.off[end] += change


@dataclass(frozen=True)
class Aim:
    """What a good division is: `weights` (C,) whole numbers of the squared deviations; `free` (C,)
    how far the farthest fold is from even at best, `scale` (C,) what counts as one deviation.
    """

    weights: np.ndarray
    free: np.ndarray
    scale: np.ndarray

    def missed(self, division: Division) -> np.ndarray:
        """(C,) deviation of the farthest fold beyond what cannot be had, in `scale`s."""
        far = np.abs(division.off).max(axis=0) / division.whole
        return np.maximum(far - self.free - 1e-9, 0) / self.scale


def improve(division: Division, aim: Aim, rng: np.random.Generator) -> None:
    """Make a division as even as moves and exchanges make it; in place.

    The sum of weighted squared deviations falls with every step. Where no step lowers it, counts
    that are not even get more weight for a while (the breakout method: P. Morris, AAAI 1993), and
    the best division of all that were seen is kept.
    """
    folds = len(division.parts)
    pairs = [(a, b) for a in range(folds) for b in range(a + 1, folds)]
    weights = aim.weights.copy()
    best, best_merit = division.numbers.copy(), _merit(division, aim)
    looks = idle = 0
    while looks < _LOOKS and best_merit[0] > 0:
        moved = False
        for place in rng.permutation(len(pairs)):
            looks += 1
            moved |= _even_out(division, weights, *pairs[place], rng)
        if moved:
            idle = 0
            merit = _merit(division, aim)
            if merit < best_merit:
                best, best_merit = division.numbers.copy(), merit
            continue
        idle += 1
        if idle >= _PATIENCE:
            idle = 0
            missed = aim.missed(division)
            heavier = weights + aim.weights * (missed > 0)
            if heavier.max(initial=0) > _HEAVIEST * aim.weights.max(initial=0) or np.any(
                heavier > _HEAVIEST * aim.weights
            ):
                heavier = aim.weights.copy()
            weights = heavier
    division.numbers[:] = best
    division.__post_init__()


def _merit(division: Division, aim: Aim) -> tuple[float, float]:
    """Small is good: the worst count, then all of them."""
    missed = aim.missed(division)
    return float(missed.max(initial=0)), float((missed**2).sum())


def _even_out(
    division: Division, weights: np.ndarray, a: int, b: int, rng: np.random.Generator
) -> bool:
    """The best moves and exchanges among some groups of two folds; whether there was any.

    x moved from a to b changes the sum of squares by 2 P (P x W x - x W (D_a - D_b)), D being the
    scaled deviations and P the sum of parts; in an exchange x is the difference of two groups.
    """
    ours, theirs = _some(division.numbers[:, a], rng), _some(division.numbers[:, b], rng)
    left, right = division.kinds[ours], division.kinds[theirs]
    heavy_left, heavy_right = left * weights, right * weights
    norm_left = division.whole * (heavy_left * left).sum(axis=1)
    norm_right = division.whole * (heavy_right * right).sum(axis=1)
    # the last row and column are no group at all: with them an exchange is a move
    table = np.zeros((len(ours) + 1, len(theirs) + 1))
    table[:-1, :-1] = (-2 * division.whole) * (heavy_left @ right.T)
    table[:-1] += norm_left[:, None]
    table[:, :-1] += norm_right
    table[-1, -1] = 0
    gain_left = np.zeros(len(ours) + 1)
    gain_right = np.zeros(len(theirs) + 1)
    moved = False
    while True:
        gap = division.off[a] - division.off[b]
        gain_left[:-1] = heavy_left @ gap
        gain_right[:-1] = heavy_right @ gap
        costs = table - gain_left[:, None]
        costs += gain_right
        i, j = divmod(int(costs.argmin()), costs.shape[1])
        if not costs[i, j] < 0:
            return moved
        moved = True
        if i < len(ours):
            division.move(ours[i], a, b)
            if division.numbers[ours[i], a] == 0:
                table[i] = np.inf
        if j < len(theirs):
            division.move(theirs[j], b, a)
            if division.numbers[theirs[j], b] == 0:
                table[:, j] = np.inf


def _some(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Kinds that a fold has groups of: all, or a sample."""
    found = np.flatnonzero(numbers)
    if len(found) > _SAMPLE:
        found = found[rng.choice(len(found), _SAMPLE, replace=False, shuffle=False)]
    return found
