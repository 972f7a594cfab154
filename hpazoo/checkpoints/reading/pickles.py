"""Pickles of weights -> plain data, by a machine that can call nothing.

`pickle` and `torch.load` build what a file asks for, from a list of allowed callables. Some of
those take any size of memory (`torch.FloatTensor(10**12)`, a tensor of terabytes by strides of 0),
and such lists have had holes (CVE-2025-32434). Here a callable is only a name: a tensor becomes a
`Stored`, a note of where its values lie, checked against the length of its storage; numbers of
numpy and the like become `Other`; every other name is refused. Nothing is imported or called.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpazoo.checkpoints.reading.pickled import Other, RefusedError, Storage, known, made, storage

MOST_OPERATIONS = 2_000_000
"""A state dict with an optimizer beside it has some 100,000."""

_MOST_MEMO = 1 << 32


class Readable(Protocol):
    """What a pickle is read from."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...


@dataclass
class Unpickled:
    """What a pickle holds, and the storages that it names."""

    value: Any
    storages: dict[str, Storage] = field(default_factory=dict)


def unpickle(file: Readable) -> Unpickled:
    """Read one pickle up to its end.

    Dicts keep their keys of text; any other key becomes an `Other`, as hashes of numbers can be
    made to collide. Raises RefusedError for what is not wanted, and ValueError, IndexError,
    KeyError or TypeError for what is no whole pickle.
    """
    machine = _Machine()
    for count, (operation, value, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if count > MOST_OPERATIONS:
            raise RefusedError(f"its pickle is of more than {MOST_OPERATIONS:,} operations")
        machine.do(operation.name, value)
    return Unpickled(machine.stack.pop(), machine.storages)


_PUSHED = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack, the marks on it, and the memo of a pickle (PEP 307, 3154)."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def do(self, name: str, value: Any) -> None:
        stack = self.stack
        if name in _PUSHED:
            stack.append(value)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            index = len(self.memo) if value is None else value
            if not 0 <= index < _MOST_MEMO:
                raise ValueError("a memo out of range")
            self.memo[index] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[value])
        elif name == "MARK":
            self.below.append(stack)
            self.stack = []
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            count = _TUPLES[name]
            items = [stack.pop() for _ in range(count)]
            stack.append(tuple(reversed(items)))
        elif name in ("PROTO", "FRAME", "STOP"):
            pass
        elif name == "POP":
            stack.pop()
        else:
            action = getattr(self, f"_{name.lower()}", None)
            if action is None:
                raise RefusedError(f"its pickle uses {name}, an operation that weights do not need")
            action(value) if value is not None else action()

    def _marked(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _empty_list(self) -> None:
        self.stack.append([])

    def _empty_set(self) -> None:
        self.stack.append(Other("set"))

    def _tuple(self) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _list(self) -> None:
        items = self._marked()
        self.stack.append(items)

    def _dict(self) -> None:
        items = self._marked()
        self.stack.append({})
        self._fill(items)

    def _frozenset(self) -> None:
        self._marked()
        self.stack.append(Other("frozenset"))

    def _pop_mark(self) -> None:
        self._marked()

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self._marked())

    def _additems(self) -> None:
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Other):
            raise ValueError("items for what is no list")

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _setitems(self) -> None:
        self._fill(self._marked())

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[key if isinstance(key, str) else Other(type(key).__name__)] = value
        elif not isinstance(target, Other):
            raise ValueError("keys for what is no mapping")

    def _global(self, value: str) -> None:
        module, _, name = value.partition(" ")
        self.stack.append(known(f"{module}.{name}"))

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name that is no text")
        self.stack.append(known(f"{module}.{name}"))

    def _reduce(self) -> None:
        given, called = self.stack.pop(), self.stack.pop()
        self.stack.append(made(called, given))

    def _newobj(self) -> None:
        self._reduce()

    def _newobj_ex(self) -> None:
        self.stack.pop()
        self._reduce()

    def _build(self) -> None:
        self.stack.pop()
        if not isinstance(self.stack[-1], dict | Other):
            raise RefusedError("it changes a tensor after making it, as torch.save does not")

    def _binpersid(self) -> None:
        found = storage(self.stack.pop())
        known = self.storages.setdefault(found.key, found)
        if known.whole != found.whole:
            raise RefusedError(
                f"it declares its storage '{found.key[:40]}' as {known.whole} and as "
                f"{found.whole} bytes"
            )
        self.stack.append(found)
