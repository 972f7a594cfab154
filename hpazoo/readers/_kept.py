"""What was made last, kept: of a field that many images are cut out of."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class _Slot(Generic[Value]):
    """What is being made, or was; whoever else wants it waits for the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: list[Value] = []


class Kept(Generic[Value]):
    """The `most` values that were asked for last, by key.

    Several threads may ask: of one key, one of them makes the value and the others wait, of
    different keys they do so side by side. In another process nothing is kept yet.
    """

    def __init__(self, most: int) -> None:
        self._begin(most)

    def _begin(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot[Value]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if need be; an error of `make` is that of this call alone."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            if len(self._slots) > self.most:
                self._slots.popitem(last=False)
        with slot.lock:
            if not slot.made:
                slot.made.append(make())
            return slot.made[0]

    def __getstate__(self) -> int:
        return self.most

    def __setstate__(self, most: int) -> None:
        self._begin(most)
