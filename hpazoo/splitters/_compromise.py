"""The best of what cannot all be even: few or large groups, in which counts pull at each other."""

from __future__ import annotations

import numpy as np

from hpazoo.splitters._division import Division, Room, pairs_of, some

_SAMPLE = 48
"""Kinds of groups on either side of a pair of folds; all of their exchanges are tried."""
_TRIED, _LOOK = 7_000_000, 500
"""Exchanges that are tried, at most, and as how many a look at two folds counts besides. They bound
the time; a clock would give a slow machine another division."""
_PATIENCE = 2
_KICKS = 3
"""Groups that are thrown into another fold where no step helps any more."""
_MEAN = 0.1
"""Weight of the squared deviations beside the fourth power of what lies beyond the room."""
_BETTER = 1 - 1e-9


def compromise(division: Division, room: Room, scale: np.ndarray, rng: np.random.Generator) -> None:
    """Lower the sum over folds and counts of e^4 + 0.1 d^2; in place.

    d is the deviation in units of `scale` (C,), e what of it lies beyond the room. The fourth power
    keeps the worst counts down, the square the mean. Where no move and no exchange helps, some
    groups are thrown elsewhere and the search begins anew from the best division so far (iterated
    local search: Lourenço, Martin, Stützle, Handbook of Metaheuristics, 2003).
    """
    pairs = pairs_of(len(division.parts))
    above, below = room.above / scale, room.below / scale
    tried = idle = 0

    def cost(deviations: np.ndarray, fold: int) -> np.ndarray:
        off = deviations / scale
        beyond = np.maximum(off - above[fold], -off - below[fold])
        np.maximum(beyond, 0, out=beyond)
        beyond *= beyond
        beyond *= beyond
        off *= off
        total: np.ndarray = beyond.sum(axis=-1) + _MEAN * off.sum(axis=-1)
        return total

    def costs() -> np.ndarray:
        found = division.deviations
        return np.array([cost(found[fold], fold) for fold in range(len(found))])

    def step(a: int, b: int) -> bool:
        """The best move or exchange among some groups of two folds, if it is one for the better."""
        nonlocal tried
        ours, theirs = (some(division.numbers[:, fold], _SAMPLE, rng) for fold in (a, b))
        none = np.zeros((1, division.kinds.shape[1]))
        left = np.concatenate([division.kinds[ours], none])[:, None]
        right = np.concatenate([division.kinds[theirs], none])[None]
        change, found = left - right, division.deviations
        after = cost(found[a] - change, a) + cost(found[b] + change, b)
        tried += after.size + _LOOK
        i, j = divmod(int(after.argmin()), after.shape[1])
        if not after[i, j] < (now[a] + now[b]) * _BETTER:
            return False
        if i < len(ours):
            division.move(ours[i], a, b)
        if j < len(theirs):
            division.move(theirs[j], b, a)
        found = division.deviations
        now[a], now[b] = cost(found[a], a), cost(found[b], b)
        return True

    now = costs()
    best, kept = now.sum(), division.numbers.copy()
    while tried < _TRIED:
        moved = False
        for place in rng.permutation(len(pairs)):
            while step(*pairs[place]):
                moved = True
        idle = 0 if moved else idle + 1
        if now.sum() < best * _BETTER:
            best, kept = now.sum(), division.numbers.copy()
        if idle == _PATIENCE:
            idle = 0
            division.numbers[:] = kept
            division.count()
            _kick(division, pairs, rng)
            now = costs()
    division.numbers[:] = kept
    division.count()


def _kick(division: Division, pairs: list[tuple[int, int]], rng: np.random.Generator) -> None:
    for _ in range(_KICKS):
        a, b = rng.permutation(pairs[rng.integers(len(pairs))])
        for kind in some(division.numbers[:, a], 1, rng):
            division.move(kind, a, b)
