"""What torch.save writes: a zip archive, or before torch 1.6 pickles one after another."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, Protocol, cast

import torch
from torch import Tensor

from hpazoo.checkpoints.reading.pickled import ITEM_SIZES, RefusedError, Storage, Stored
from hpazoo.checkpoints.reading.pickles import Unpickled, unpickle

_AT_ONCE = 1 << 20
_MOST_AT_ONCE = 64 << 20
"""Longest piece that a file may make us read in one go; values go by the MiB."""

_MOST_DIRECTORY = 4 << 20
"""Longest list of records of an archive: room for 40,000 tensors."""

_MAGIC = 0x1950A86A20F9469CFC6C
_LENGTH = struct.Struct("<q")


class Source(Protocol):
    """An opened file: its content without the values of tensors, and those on demand."""

    payload: Any

    def tensor(self, stored: Stored) -> Tensor:
        """Read the values of a tensor; tensors of one storage share memory."""
        ...


class _Torch:
    """Storages by their keys, each read once."""

    def __init__(self, found: Unpickled) -> None:
        self.payload = found.value
        self._read: dict[str, Tensor] = {}
        self._truths: set[str] = set()

    def tensor(self, stored: Stored) -> Tensor:
        storage = stored.storage
        if storage.key not in self._read:
            self._read[storage.key] = self.values(storage)
        raw, dtype = self._read[storage.key], getattr(torch, storage.dtype)
        values = raw.view(dtype)[storage.first : storage.first + storage.count]
        if stored.dtype != storage.dtype:
            kind = getattr(torch, stored.dtype)
            values = values[: len(values) // kind.itemsize * kind.itemsize].view(kind)
        if values.dtype == torch.bool and storage.key not in self._truths:
            raw.clamp_(max=1)  # another byte than 0 and 1 is no truth value
            self._truths.add(storage.key)
        return values.as_strided(stored.size, stored.stride, stored.offset + _start(values))

    def values(self, storage: Storage) -> Tensor:
        """The bytes (N,) uint8 of a whole storage."""
        raise NotImplementedError


class ZipFile(_Torch):
    """The archive of torch 1.6 and later. Nothing is unpacked: names of records lead nowhere."""

    def __init__(self, file: BinaryIO) -> None:
        bounded = Bounded(file, _MOST_DIRECTORY)
        self.archive = zipfile.ZipFile(cast(IO[bytes], bounded))
        self.records = _checked(self.archive.infolist(), bounded.size)
        names = [name for name in self.records if name.count("/") < 2 and _last(name) == "data.pkl"]
        if len(names) != 1:
            listed = ", ".join(list(self.records)[:3])[:200] or "nothing"
            raise RefusedError(
                f"it is a zip archive of {listed}, not weights; unpack it and give the file inside"
            )
        self.folder = names[0].removesuffix("data.pkl")
        order = f"{self.folder}byteorder"
        if order in self.records and self._content(order).strip() != sys.byteorder.encode():
            raise RefusedError(_OTHER_ORDER)
        super().__init__(unpickle(io.BytesIO(self._content(names[0]))))

    def values(self, storage: Storage) -> Tensor:
        name = f"{self.folder}data/{storage.key}"
        if name not in self.records:
            raise ValueError(f"the storage {name[:60]} is not in the archive")
        there = self.records[name].file_size
        if there != storage.whole:
            raise ValueError(
                f"the storage {name[:60]} is declared as {storage.whole} bytes and holds {there}"
            )
        values = torch.empty(there, dtype=torch.uint8)
        self._read_into(name, values.numpy().data)
        return values

    def _content(self, name: str) -> bytearray:
        size = self.records[name].file_size
        if size > _MOST_AT_ONCE:
            raise RefusedError(f"its record {name[:60]} is {size} bytes long, too long for weights")
        content = bytearray(size)
        self._read_into(name, memoryview(content))
        return content

    def _read_into(self, name: str, out: memoryview) -> None:
        """Read a record; BadZipFile if its checksum is wrong."""
        done = 0
        with self.archive.open(self.records[name]) as record:
            while piece := record.read(_AT_ONCE):
                out[done : done + len(piece)] = piece
                done += len(piece)
        if done != len(out):
            raise ValueError(f"the record {name[:60]} ends after {done} of {len(out)} bytes")


class Legacy(_Torch):
    """Pickles one after another, then the storages."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = bounded = Bounded(file)
        if unpickle(bounded).value != _MAGIC:
            raise RefusedError(
                "it is a pickle that torch.save did not write; expected a state dict, as "
                "torch.save(model.state_dict(), ...) writes it"
            )
        unpickle(bounded)  # the version, 1001 ever since
        machine = unpickle(bounded).value
        little = machine.get("little_endian") if isinstance(machine, dict) else None
        if isinstance(little, bool) and little != (sys.byteorder == "little"):
            raise RefusedError(_OTHER_ORDER)
        found = unpickle(bounded)
        keys = unpickle(bounded).value
        if not isinstance(keys, list) or set(found.storages) - {*filter(_is_text, keys)}:
            raise ValueError("the list of storages is not complete")
        self.places: dict[str, int] = {}
        place = bounded.tell()
        for key in keys:
            storage = found.storages[key]
            bounded.seek(place)
            (count,) = _LENGTH.unpack(bounded.read(8))
            place += 8 + storage.whole
            if place > bounded.size or count * ITEM_SIZES[storage.dtype] != storage.whole:
                raise ValueError(
                    f"the storage {key[:40]} is declared as {storage.whole} bytes and is not there"
                )
            self.places[key] = place - storage.whole
        super().__init__(found)

    def values(self, storage: Storage) -> Tensor:
        return read_values(self.file, self.places[storage.key], storage.whole)


def read_values(file: BinaryIO | Bounded, start: int, size: int) -> Tensor:
    """`size` bytes (N,) uint8 of a file from `start`; ValueError if it ends before."""
    # Asked of the file before the memory is: a header can promise anything.
    if start + size > file.seek(0, io.SEEK_END):
        raise ValueError(f"{size} bytes from {start} on are not there")
    values = torch.empty(size, dtype=torch.uint8)
    out, done = values.numpy().data, 0
    file.seek(start)
    while done < size:
        piece = file.read(min(_AT_ONCE, size - done))
        if not piece:
            raise ValueError(f"the file ends {size - done} bytes early")
        out[done : done + len(piece)] = piece
        done += len(piece)
    return values


class Bounded:
    """A file that gives no more at once than it holds, and never more than `most` bytes."""

    def __init__(self, file: BinaryIO, most: int = _MOST_AT_ONCE) -> None:
        self._file = file
        self._most = most
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1, /) -> bytes:
        left = self.size - self._file.tell()
        if size > max(left, 1):
            raise ValueError(f"it ends {size - left} bytes early")
        if size > self._most or (size < 0 and left > self._most):
            raise ValueError(f"a part of {max(size, left)} bytes is too long for one")
        return self._file.read(size)

    def readline(self) -> bytes:
        return self._file.readline(_AT_ONCE)

    def seekable(self) -> bool:
        return True


def _checked(entries: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    """Records by name; RefusedError for what torch.save does not do."""
    if sum(entry.file_size for entry in entries) > size:
        raise RefusedError(
            f"its records would unpack to {sum(entry.file_size for entry in entries)} bytes, more "
            f"than the whole file; torch.save does not compress or overlap them"
        )
    records: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename
        if name in records:
            raise RefusedError(f"it holds two records called {name[:60]!r}")
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise RefusedError(f"its record {name[:60]!r} points out of the archive")
        if entry.flag_bits & 1:
            raise RefusedError("it is locked with a password; unpack it and give the file inside")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise RefusedError(
                "it is a compressed zip archive, which torch.save does not write; unpack it and "
                "give the file inside"
            )
        records[name] = entry
    return records


def is_program(names: list[str]) -> bool:
    """Whether records of these names make a TorchScript archive."""
    return any(name.endswith("constants.pkl") or "/code/" in name for name in names)


def record_names(file: BinaryIO) -> list[str]:
    """Names in a zip archive; BadZipFile or ValueError if it is none."""
    with zipfile.ZipFile(cast(IO[bytes], Bounded(file, _MOST_DIRECTORY))) as archive:
        return archive.namelist()


_OTHER_ORDER = (
    "it was written on a machine of the other byte order; load and save it there as safetensors"
)


def _start(values: Tensor) -> int:
    return int(values.storage_offset())


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_text(key: object) -> bool:
    return isinstance(key, str)
