"""What the names in a pickle of weights stand for: notes of tensors, and nothing that is called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_MOST_DIMENSIONS = 64

ITEM_SIZES = {
    **dict.fromkeys(("float64", "int64", "uint64"), 8),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("int8", "uint8", "bool", "float8_e4m3fn", "float8_e5m2"), 1),
}
"""Bytes of a value, by torch's name of its type."""

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
_REBUILD = frozenset(f"torch._utils._rebuild_tensor{v}" for v in ("", "_v2", "_v3"))
_PARAMETER = frozenset(
    {
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
    }
)
_OF_TYPE = frozenset({"torch._tensor._rebuild_from_type_v2"})
_TYPES = frozenset({"torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"})
_ORDERED = "collections.OrderedDict"
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_DATA = frozenset(
    {
        *(f"{module}.{name}" for module in _NUMPY for name in ("scalar", "_reconstruct")),
        "numpy.dtype",
        "numpy.ndarray",
        "torch.Size",
        "torch.device",
        "collections.Counter",
        "collections.defaultdict",
        "argparse.Namespace",
        "datetime.datetime",
        "datetime.timedelta",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "_codecs.encode",
        *(f"{module}.{n}" for module in ("builtins", "__builtin__") for n in ("set", "complex")),
        *(f"builtins.{name}" for name in ("list", "dict", "int", "float", "bytearray")),
    }
)
_KINDS = (
    ("_rebuild_sparse", "a sparse tensor"),
    ("_rebuild_qtensor", "a quantized tensor"),
    ("_rebuild_meta", "a tensor without values (of the device 'meta')"),
    ("_rebuild_nested", "a nested tensor"),
    ("_rebuild_wrapper", "a tensor of another package"),
    ("_rebuild_device", "a tensor of another device's package"),
    ("Complex", "complex numbers"),
    ("QInt", "a quantized tensor"),
    ("QUInt", "a quantized tensor"),
)


class RefusedError(Exception):
    """Why a file is not opened, as the rest of a sentence about it."""


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """Values in a row, `count` of a type, that several tensors may share.

    `first` counts from the beginning of the file's storage `key`, which is `whole` bytes long.
    """

    key: str
    dtype: str
    count: int
    whole: int
    first: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """A tensor that still lies in its file; offset and strides count values of `dtype`."""

    storage: Storage
    dtype: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Other:
    """Data that is no weights, such as a score of numpy's: only what it is called is kept."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Global:
    name: str


def known(name: str) -> Global:
    """The name, if weights and what is commonly saved beside them need it."""
    module, _, last = name.rpartition(".")
    if name in _DATA | _REBUILD | _PARAMETER | _OF_TYPE | _TYPES or name == _ORDERED:
        return Global(name)
    if module in ("torch", "torch.cuda", "torch.storage") and last in _STORAGES:
        return Global(name)
    if module == "torch" and last in ITEM_SIZES:
        return Global(name)
    if module.partition(".")[0] == "numpy" and last.endswith("DType"):
        return Global("numpy.dtype")
    if module.partition(".")[0] == "torch":
        for part, what in _KINDS:
            if last.startswith(part):
                raise RefusedError(f"it holds {what}; expected plain tensors")
    raise RefusedError(
        f"it holds more than weights and asks for {name[:100]!r}, which could run any code; "
        "expected tensors only, as torch.save(model.state_dict(), ...) writes them"
    )


def made(called: Any, given: Any) -> Any:
    if not isinstance(called, Global) or not isinstance(given, tuple):
        raise RefusedError("it calls what cannot be called")
    name = called.name
    if name in _OF_TYPE:
        function, kind, arguments = given[:3]
        if not isinstance(kind, Global) or kind.name not in _TYPES:
            raise ValueError("a tensor of no type")
        if not isinstance(function, Global) or function.name not in _REBUILD | _PARAMETER:
            raise ValueError("a tensor made by no known function")
        return made(function, arguments)
    if name in _REBUILD:
        return _stored(name, given)
    if name in _PARAMETER:
        if not isinstance(given[0], Stored):
            raise ValueError("a parameter without a tensor")
        return given[0]
    if name == _ORDERED:
        return _ordered(given)
    if name in _DATA:
        return Other(name)
    raise RefusedError(f"it calls {name!r}, which torch.save does not do")


def _ordered(given: tuple[Any, ...]) -> dict[Any, Any]:
    """An OrderedDict, empty or, as Python 2 wrote it, from pairs."""
    out: dict[Any, Any] = {}
    for key, value in given[0] if given else ():
        out[key if isinstance(key, str) else Other(type(key).__name__)] = value
    return out


def storage(said: Any) -> Storage:
    """From what torch.save notes of a storage: (storage, type, key, device, count[, view])."""
    if not isinstance(said, tuple) or len(said) not in (5, 6) or said[0] != "storage":
        raise RefusedError("it holds a whole network or a part of one, not only its weights")
    _, kind, key, _, count, *view = said
    if not isinstance(kind, Global) or not isinstance(key, str):
        raise ValueError("a storage of no type")
    dtype = _STORAGES[kind.name.rpartition(".")[2]]
    whole = _whole(count) * ITEM_SIZES[dtype]
    if not view or view[0] is None:
        return Storage(key, dtype, count, whole)
    _, first, length = view[0]
    if _whole(first) + _whole(length) > count:
        raise RefusedError(f"a view of its storage '{key[:40]}' reaches beyond the end")
    return Storage(key, dtype, length, whole, first)


def _stored(name: str, given: tuple[Any, ...]) -> Stored:
    storage, offset, size, stride, *rest = given
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    dtype, rest = storage.dtype, rest[2:]
    if name.endswith("_v3"):
        kind, *rest = rest
        dtype = kind.name.removeprefix("torch.")
        if ITEM_SIZES[storage.dtype] != 1:
            raise ValueError("a storage of two types")
    if rest and rest[0]:
        raise RefusedError("it holds a conjugated or negated tensor; expected plain tensors")
    if not (isinstance(size, tuple) and isinstance(stride, tuple)):
        raise ValueError("a tensor without a shape")
    if len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
        raise ValueError(f"a tensor of {len(size)} dimensions and {len(stride)} strides")
    there = storage.count * ITEM_SIZES[storage.dtype] // ITEM_SIZES[dtype]
    last = _whole(offset) + sum(
        (_whole(n) - 1) * _whole(step) for n, step in zip(size, stride, strict=True)
    )
    values = math.prod(size)
    # Strides of 0 would make terabytes of a few numbers once the tensor is copied.
    if values and (last >= there or values > there):
        raise RefusedError(
            f"it declares a tensor of {values} values (shape {_short(size)}) over a storage of "
            f"{there}"
        )
    return Stored(storage, dtype, offset, size, stride)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a size that is no whole number")
    return value


def _short(size: tuple[int, ...]) -> str:
    return str(size) if len(size) <= 8 else f"of {len(size)} dimensions"
