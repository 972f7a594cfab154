"""The folder of a run: which results are there, and whether they are still true.

Fields are cut into shards by sorted id. A shard's parts (cells, and one table per member) each
carry a key: the digest of everything they were made from. A part whose key differs is moved to
`old/`, never deleted and never used.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from hpazoo.errors import UsageError
from hpazoo.fields import Cells, FieldRecord
from hpazoo.parquet import read_parquet, write_parquet
from hpazoo.paths import is_unfinished, replacing
from hpazoo.runner.worker import MASK_SUFFIXES

_KEY = b"hpazoo.key"
_FIELDS = b"hpazoo.fields"
_WITHOUT = b"hpazoo.without"

EMBEDDING = "hpazoo.embedding"
"""Column of a member's part that holds embeddings; no class is called so."""


@dataclass(frozen=True)
class Shard:
    """Fields that are worked on, written and resumed together."""

    number: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Segmented:
    """A shard after segmenting: its fields, and the cells of each that is not set aside."""

    records: tuple[FieldRecord, ...]
    cells: dict[str, Cells]


def digest(*parts: Any) -> str:
    """SHA-256 of plain data in canonical form."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def cut(fields: Iterable[str], size: int) -> list[Shard]:
    ordered = sorted(fields)
    starts = range(0, len(ordered), size)
    return [Shard(n, tuple(ordered[s : s + size])) for n, s in enumerate(starts)]


class RunFolder:
    """Paths and parts of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.masks = path / "masks"
        self.lock = path / "run.lock.yaml"
        self.log = path / "log.txt"
        self.set_aside = path / "set-aside.jsonl"
        self.profile = path / "profile.json"
        self._old: Path | None = None

    def prepare(self, fresh: bool) -> None:
        """Make the folder, for this process alone; `fresh` first removes what runs left in it."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; give another folder with --out")
        lock = self.read_lock()
        unreadable = not lock and self.lock.is_file() and not fresh
        others = self.path.is_dir() and any(self.path.iterdir())
        if others and not lock and not unreadable and not self._is_new():
            raise UsageError(
                f"{self.path} holds files, but no run of hpazoo (no {self.lock.name}); "
                "give an empty or new folder with --out"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.claim()
            if unreadable:  # parts know by themselves what they were made from
                self.retire([self.lock])
            if fresh:
                self._clear(lock)
            self.masks.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error

    def read_lock(self) -> dict[str, Any]:
        """The mapping `lock` of the lock in the folder; empty if there is none that can be read."""
        try:
            found = yaml.safe_load(self.lock.read_text(encoding="utf-8"))["lock"]
        except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def outputs(self, lock: Mapping[str, Any]) -> list[Path]:
        """Files and folders that a lock names as outputs; nothing outside the run's own folder."""
        named = lock.get("outputs")
        names = named if isinstance(named, dict) else {}
        plain = (n for n in names if isinstance(n, str) and "/" not in n and n not in (".", ".."))
        return [self.path / name for name in plain]

    def _is_new(self) -> bool:
        """Killed between the making of the folder and its first lock."""
        there = {path.name for path in self.path.iterdir() if not is_unfinished(path)}
        return there <= {"masks", self.log.name}

    def _clear(self, lock: Mapping[str, Any]) -> None:
        """Remove what runs write, and nothing else."""
        for name in ("masks", "members", "models", "embeddings", "evaluation", "old"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for path in (*self.outputs(lock), self.set_aside, self.profile, self.lock):
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)

    def claim(self) -> None:
        """Hold the log while this process lives; the system lets go of it however it ends."""
        self._held = self.log.open("a", encoding="utf-8")
        try:
            import fcntl
        except ImportError:  # not on this system
            return
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise UsageError(
                f"another hpazoo is working on {self.path}; wait for it, or give another --out"
            ) from None

    def release(self) -> None:
        """Let other processes work on the folder."""
        self._held.close()

    def write_log(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            file.write(f"{now} {text}\n")

    def member_part(self, member: str, shard: Shard) -> Path:
        return self.path / "members" / member / f"part-{shard.number:05d}.parquet"

    def _cells_part(self, shard: Shard) -> Path:
        return self.masks / f"part-{shard.number:05d}.parquet"

    def is_segmented(self, shard: Shard, key: str, members: str) -> bool:
        """Whether the shard's masks are there, and no field waits for another try with these
        members (a digest; empty if none are asked for); outdated masks are moved away.
        """
        part = self._cells_part(shard)
        if part_key(part) == key and self._has_masks(shard, members):
            return True
        if part.exists():
            names = [f"{field}{end}" for field in self._fields(part) for end in MASK_SUFFIXES]
            self.retire([part, *(self.masks / name for name in names)])
        return False

    def _fields(self, part: Path) -> list[str]:
        """Fields of a part, as it was written; none if it cannot be read."""
        try:
            text = (pq.read_schema(part).metadata or {})[_FIELDS]
            return [record["id"] for record in json.loads(text)]
        except (OSError, pa.ArrowInvalid, KeyError, ValueError):
            return []

    def _has_masks(self, shard: Shard, members: str) -> bool:
        """Whether all fields have their label images; one whose trouble may have passed has not."""
        records = self.segmented(shard).records
        return all(
            not r.retry and (not members or r.members in ("", members))
            if r.set_aside
            # by name: listing the folder for every shard would take the square of the fields
            else any((self.masks / f"{r.id}{end}").exists() for end in MASK_SUFFIXES)
            for r in records
        )

    def has_member(self, member: str, shard: Shard, key: str, aside: Container[str]) -> bool:
        """Whether the shard's predictions of a member are there; outdated ones are moved away.

        Those are too that were made while a field was set aside that is not in `aside` any more.
        """
        part = self.member_part(member, shard)
        if part_key(part) == key and all(field in aside for field in _without(part)):
            return True
        self.retire([part])
        return False

    def write_segmented(self, shard: Shard, key: str, segmented: Segmented) -> None:
        """One Parquet file: rows are cells, the fields' records ride in its metadata."""
        cells = [(name, segmented.cells[name]) for name in sorted(segmented.cells)]
        boxes = np.concatenate([c.boxes for _, c in cells] or [np.zeros((0, 4), np.int64)])
        columns: dict[str, Any] = {
            "field": [name for name, c in cells for _ in range(len(c))],
            "cell": _joined([c.ids for _, c in cells], np.int64),
            **{axis: boxes[:, k] for k, axis in enumerate(("y0", "x0", "y1", "x1"))},
            "area": _joined([c.areas for _, c in cells], np.int64),
            "touches_border": _joined([c.touches_border for _, c in cells], np.bool_),
            "nucleus": _joined([c.nuclei for _, c in cells if c.nuclei is not None], np.int64),
        }
        records = json.dumps([vars(record) for record in segmented.records], ensure_ascii=False)
        write_part(self._cells_part(shard), columns, key, {_FIELDS: records.encode()})

    def segmented(self, shard: Shard) -> Segmented:
        table = read_parquet(self._cells_part(shard))
        records = tuple(
            FieldRecord(**(entry | {"notes": tuple(entry["notes"])}))
            for entry in json.loads(table.schema.metadata[_FIELDS])
        )
        fields = np.asarray(table["field"].to_pylist(), dtype=object)
        column = {name: table[name].to_numpy() for name in table.column_names if name != "field"}
        boxes = np.stack([column[axis] for axis in ("y0", "x0", "y1", "x1")], axis=1)
        cells = {}
        for record in records:
            if not record.set_aside:
                rows = np.flatnonzero(fields == record.id)
                cells[record.id] = Cells(
                    column["cell"][rows],
                    boxes[rows],
                    column["area"][rows],
                    column["touches_border"][rows],
                    column["nucleus"][rows],
                )
        return Segmented(records, cells)

    def write_set_aside(self, records: Sequence[FieldRecord]) -> None:
        with replacing(self.set_aside) as temporary:
            rows = [{"field": r.id, "reason": r.set_aside} for r in records]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            temporary.write_text(text, encoding="utf-8")

    def retire(self, files: Iterable[Path]) -> None:
        """Move files to this process's own folder below `old/`."""
        for file in files:
            if not file.exists():
                continue
            if self._old is None:
                number = 1
                while (self.path / "old" / str(number)).exists():
                    number += 1
                self._old = self.path / "old" / str(number)
            target = self._old / file.relative_to(self.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)


def write_part(
    path: Path, columns: dict[str, Any], key: str, more: dict[bytes, bytes] | None = None
) -> None:
    """A Parquet file that carries its key."""
    table = pa.table(columns).replace_schema_metadata({_KEY: key.encode(), **(more or {})})
    write_parquet(table, path)


def part_key(path: Path) -> str | None:
    """Key of a part; None if it is missing or cannot be read (then it is made again)."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    key: bytes = metadata.get(_KEY, b"")
    return key.decode()


def without(fields: Iterable[str]) -> dict[bytes, bytes]:
    """What a member's part says of the fields that were set aside when it was made."""
    return {_WITHOUT: json.dumps(list(fields)).encode()}


def _without(part: Path) -> list[str]:
    found: list[str] = json.loads((pq.read_schema(part).metadata or {}).get(_WITHOUT, b"[]"))
    return found


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)
