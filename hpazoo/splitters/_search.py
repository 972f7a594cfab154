"""Search for a division in which everything is even, by moves and exchanges of groups."""

from __future__ import annotations

import numpy as np

from hpazoo.splitters._division import Division, Room, pairs_of, some

HEAVIEST = 64
"""Largest factor by which the search raises a weight."""
_SAMPLE = 192
"""Kinds of groups that are looked at on either side of a pair of folds. A look costs its square."""
_PATIENCE = 3
"""Rounds over all pairs of folds without a better division before weights change."""
_LOOKS = 6000
"""Looks at a pair of folds, at most; with the sample it bounds the time, not by a clock, so that a
slow machine finds the same division."""
_PRODUCT = 2**18
"""Multiplications in a matrix product, at most: so small a one OpenBLAS does in one thread. Several
wait for each other by turning; where others share the cores, looks then take 5 times as long."""


def start(
    division: Division, rest: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> None:
    """Put `rest` (T,) groups of each kind where they lower the sum of squares most, large first."""
    order = rng.permutation(np.repeat(np.arange(len(rest)), rest))
    heavy = division.kinds * weights
    size = (heavy * division.kinds).sum(axis=1)
    for kind in order[np.argsort(-size[order], kind="stable")]:
        fold = int((division.off @ heavy[kind]).argmin())
        division.numbers[kind, fold] += 1
        division.off[fold] += division.whole * division.kinds[kind]
    division.count()


def improve(
    division: Division,
    room: Room,
    scale: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Lower the weighted sum of squared deviations until all that can be even is; in place.

    Where no step lowers it any more, what is not even gets more weight for a while (the breakout
    method: P. Morris, AAAI 1993), and the best division of all that were seen is kept: by the worst
    count in units of `scale` (C,), then by the sum of their squares.
    """
    pairs = pairs_of(len(division.parts))
    now, looks, idle = weights, 0, 0

    def merit() -> tuple[float, float, float]:
        off = room.beyond(division.deviations).max(axis=0) / scale
        squares = float((division.off**2 @ weights).sum())
        return float(off.max(initial=0)), float((off**2).sum()), squares

    best, kept = merit(), division.numbers.copy()
    while looks < _LOOKS:
        moved = False
        for place in rng.permutation(len(pairs)):
            looks += 1
            a, b = pairs[place]
            moved |= _even_out(division, now, a, b, rng)
        if moved:
            idle = 0
            if (found := merit()) < best:
                best, kept = found, division.numbers.copy()
            continue
        if best[0] == 0:
            break
        idle += 1
        if idle == _PATIENCE:
            idle = 0
            now = now + weights * (room.beyond(division.deviations).max(axis=0) > 0)
            if np.any(now > HEAVIEST * weights):
                now = weights
    division.numbers[:] = kept
    division.count()


def _even_out(
    division: Division, weights: np.ndarray, a: int, b: int, rng: np.random.Generator
) -> bool:
    """Do the best moves and exchanges among some groups of two folds; whether there was any.

    Counts x that go from a to b change the sum of squares by 2 P (P x W x - x W (D_a - D_b)), D
    being `off` and P `whole`. A move is x = a group, an exchange the difference of two.
    """
    ours, theirs = (some(division.numbers[:, fold], _SAMPLE, rng) for fold in (a, b))
    left, right = division.kinds[ours], division.kinds[theirs]
    heavy_left, heavy_right = left * weights, right * weights
    # the last row and column stand for no group: with them an exchange is a move
    table = np.zeros((len(ours) + 1, len(theirs) + 1))
    rows = max(1, _PRODUCT // max(1, right.size))
    for row in range(0, len(ours), rows):
        part = heavy_left[row : row + rows]
        table[row : row + len(part), :-1] = (-2 * division.whole) * (part @ right.T)
    table[:-1] += division.whole * (heavy_left * left).sum(axis=1)[:, None]
    table[:, :-1] += division.whole * (heavy_right * right).sum(axis=1)
    lose, win = np.zeros(len(ours) + 1), np.zeros(len(theirs) + 1)
    moved = False
    while True:
        gap = division.off[a] - division.off[b]
        lose[:-1], win[:-1] = heavy_left @ gap, heavy_right @ gap
        costs = table - lose[:, None]
        costs += win
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
