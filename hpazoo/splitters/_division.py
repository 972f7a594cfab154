"""How groups lie in folds, as counts, and what of it is even."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-9


class Division:
    """How many groups of each kind are in each fold, and how far counts are from even.

    Groups with the same counts are one kind: which of them lies where makes no difference. `kinds`
    (T, C) are the counts of one group of a kind, `numbers` (T, K) how many of it lie in each fold,
    `parts` (K,) the folds' shares as whole numbers. `off` (K, C) is count - even share, times
    `whole`, the sum of the parts: with that factor all values are whole.
    """

    def __init__(self, kinds: np.ndarray, numbers: np.ndarray, parts: np.ndarray) -> None:
        self.kinds = kinds.astype(np.float64)
        self.numbers = numbers.astype(np.int64)
        self.parts = parts.astype(np.float64)
        self.whole = float(parts.sum())
        self.off = np.empty((len(parts), kinds.shape[1]))
        self.count()

    def count(self) -> None:
        """Bring `off` up to date after `numbers` were set."""
        counts = self.numbers.T.astype(np.float64) @ self.kinds
        self.off = self.whole * counts - np.outer(self.parts, counts.sum(axis=0))

    def move(self, kind: int, start: int, end: int) -> None:
        """Take one group of a kind from a fold to another."""
        self.numbers[kind, start] -= 1
        self.numbers[kind, end] += 1
        change = self.whole * self.kinds[kind]
        self.off[start] -= change
        self.off[end] += change

    @property
    def deviations(self) -> np.ndarray:
        """(K, C) images above an even share, negative below."""
        return self.off / self.whole


class Room:
    """How far counts must be from even whatever is done: `above` and `below` (K, C), in images.

    A count is a whole number, and where one group has more of a class than an even fold, the fold
    with that group is above by so much, and the others share what is left.
    """

    def __init__(self, kinds: np.ndarray, groups: np.ndarray, parts: np.ndarray) -> None:
        """`kinds` (T, C) counts, `groups` (T,) how many groups there are of each."""
        folds = len(parts)
        total = groups @ kinds
        even = np.outer(parts / parts.sum(), total)
        self.above = np.ceil(even - _ROUNDING) - even
        self.below = even - np.floor(even + _ROUNDING)
        if np.any(parts != parts[0]):
            # one group in the larger part at best
            over = np.maximum(kinds.max(axis=0, initial=0) - even.max(axis=0), 0)
            self.above, self.below = np.maximum(self.above, over), np.maximum(self.below, over)
            return
        largest = -np.sort(-np.repeat(kinds, np.minimum(groups, folds), axis=0), axis=0)
        for column in range(kinds.shape[1]):
            rest, left = float(total[column]), folds
            for count in largest[: folds - 1, column]:
                if count * left <= rest:
                    break
                rest, left = rest - float(count), left - 1
            if left < folds:
                share = total[column] / folds
                self.above[:, column] = max(self.above[0, column], largest[0, column] - share)
                self.below[:, column] = max(self.below[0, column], share - np.floor(rest / left))

    def beyond(self, deviations: np.ndarray) -> np.ndarray:
        """(K, C) images by which a division is worse than it must be; 0 everywhere at best."""
        far = np.maximum(deviations - self.above, -deviations - self.below)
        return np.where(far > _ROUNDING, far, 0.0)


def some(numbers: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Kinds of which a fold has groups, by `numbers` (T,): all, or a sample of `most`."""
    found = np.flatnonzero(numbers)
    if len(found) > most:
        found = found[rng.choice(len(found), most, replace=False, shuffle=False)]
    return found


def pairs_of(folds: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(folds) for b in range(a + 1, folds)]
