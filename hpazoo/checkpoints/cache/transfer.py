"""One file over HTTP into a part that a later try can go on with."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from hpazoo.checkpoints.cache.connection import (
    ChangedError,
    Reply,
    SourceError,
    TransferError,
    open_reply,
)
from hpazoo.checkpoints.cache.store import cannot_write
from hpazoo.errors import HpazooError
from hpazoo.paths import replacing

_ENOUGH = 1 << 20
"""Bytes of progress after which a connection that breaks is taken for a new one."""
_UNBOUNDED = 1 << 35
"""No checkpoint is larger; a server that never ends must not fill the disk."""


class Watch(Protocol):
    """What is told about a transfer."""

    def say(self, text: str) -> None: ...

    def moved(self, name: str, done: int, total: int | None) -> None: ...


class Silent:
    """Watches nothing."""

    def say(self, text: str) -> None:
        pass

    def moved(self, name: str, done: int, total: int | None) -> None:
        pass


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds, and how often to try."""

    connect: float = 15
    stall: float = 30
    """Without a byte, or with less than 1 kB a second all the while: tried again."""
    attempts: int = 5
    """In a row without real progress, for one source."""
    pause: float = 1
    """Before the second attempt; doubled before each further one."""
    longest: float = 60
    """A server that asks for more is given up."""


@dataclass(frozen=True)
class Part:
    """A file on its way: `path` and, beside it, a note of which file on which server it is of."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def promise(self, url: str) -> tuple[str, int | None] | None:
        """(validator, length) of what the part was begun from; None if it is not of this source."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            validator, total = note["validator"], note["total"]
            fits = note["url"] == url and isinstance(validator, str)
            return (validator, total) if fits and type(total) in (int, type(None)) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def transfer(
    url: str,
    part: Part,
    *,
    name: str,
    size: int | None,
    has_digest: bool,
    watch: Watch,
    patience: Patience,
) -> bool:
    """Bring the part to its full length; whether it was gone on with rather than begun.

    `size` is the published length, `has_digest` whether the whole can be checked afterwards: only
    then are two halves joined without a word of the server that they are of one file, and only then
    is a file taken whose length nobody said. Raises SourceError when this source is of no use,
    HpazooError when no other would be of any either.
    """
    best, failed, resumed = part.size, 0, False
    while True:
        try:
            resumed = _attempt(url, part, name, size, has_digest, watch, patience) or resumed
            return resumed
        except TransferError as error:
            if isinstance(error, ChangedError):
                part.remove()
            if part.size >= best + _ENOUGH:
                best, failed = part.size, 0
            failed += 1
            if failed >= patience.attempts:
                raise SourceError(f"{error}; given up after {failed} attempts") from error
            wait = min(patience.longest, patience.pause * 2 ** (failed - 1))
            if error.after is not None:
                wait = error.after
                if wait > patience.longest:
                    raise SourceError(f"{error}; asks to wait for {wait:.0f} s") from error
            watch.say(f"{name}: {error}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _attempt(
    url: str,
    part: Part,
    name: str,
    size: int | None,
    has_digest: bool,
    watch: Watch,
    patience: Patience,
) -> bool:
    begun = part.promise(url) if part.size else None
    if begun and part.size == begun[1]:
        return True  # stopped between the last byte and the check
    start = part.size if begun and (begun[0] or has_digest) else 0
    validator = begun[0] if begun and start else ""
    with contextlib.closing(open_reply(url, start, validator, patience)) as reply:
        if reply.start != start or (start and begun and not _same(reply, begun)):
            if reply.start:
                raise ChangedError("the file changed on the server; beginning anew")
            start = 0
        _check_length(reply, size, has_digest)
        if not start:
            _begin(part, url, reply)
        _receive(reply, part, start, name, size, watch, patience)
    return start > 0


def _same(reply: Reply, begun: tuple[str, int | None]) -> bool:
    """Whether what the server goes on with is what the part was begun from."""
    validator, total = begun
    other = validator and reply.validator and validator != reply.validator
    return not other and (total is None or reply.total is None or total == reply.total)


def _check_length(reply: Reply, size: int | None, has_digest: bool) -> None:
    if reply.total is not None and reply.total > _UNBOUNDED:
        raise SourceError(f"speaks of {_mb(reply.total)}, more than any checkpoint has")
    if size is not None and reply.total is not None and reply.total != size:
        raise SourceError(f"has {reply.total:,} bytes, expected {size:,}")
    if reply.total is None and size is None and not has_digest and not reply.ends_itself:
        raise SourceError("does not say how long the file is, and no digest of it is published")


def _begin(part: Part, url: str, reply: Reply) -> None:
    # first: the note of a new file must at no moment stand beside bytes of an old one
    part.remove()
    with replacing(part.note) as temporary:
        note = {"url": url, "validator": reply.validator, "total": reply.total}
        temporary.write_text(json.dumps(note), encoding="utf-8")


def _receive(
    reply: Reply,
    part: Part,
    start: int,
    name: str,
    size: int | None,
    watch: Watch,
    patience: Patience,
) -> None:
    total = reply.total if reply.total is not None else size
    _check_space(part.path, (total or 0) - start)
    done = start
    since, mark = time.monotonic(), done
    watch.moved(name, done, total)
    try:
        file = part.path.open("ab" if start else "wb", buffering=0)
    except OSError as error:
        raise cannot_write(part.path, error) from error
    with file:
        while chunk := reply.read(f"{_mb(done)} of {_mb(total)}"):
            if not done and looks_like_page(chunk):
                part.remove()
                raise SourceError(
                    "answers with a web page instead of the file: a notice or a login"
                )
            if done + len(chunk) > (total if total is not None else _UNBOUNDED):
                part.remove()
                raise SourceError(f"sends more than the {_mb(total or _UNBOUNDED)} it should")
            try:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                raise cannot_write(part.path, error) from error
            done += len(chunk)
            watch.moved(name, done, total)
            now = time.monotonic()
            if now - since >= patience.stall:
                if done - mark < 1000 * patience.stall:
                    raise TransferError(f"too slow, {done - mark} bytes in {now - since:.0f} s")
                since, mark = now, done
    if total is not None and done != total:
        raise TransferError(f"ended after {done:,} of {total:,} bytes")
    if not done:
        part.remove()
        raise SourceError("sends an empty file")


def looks_like_page(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a web page."""
    text = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def text_in(start: bytes) -> str:
    """How a text file begins (an error in JSON, a pointer of Git LFS); empty for weights."""
    is_text = all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start)
    return start[:60].decode().split("\n")[0] if is_text else ""


def _check_space(path: Path, needed: int) -> None:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise cannot_write(path, error) from error
    if needed > free:
        raise HpazooError(
            f"{path.parent} has only {_mb(free)} free, {_mb(needed)} are needed; free some space, "
            "or give another folder with the environment variable HPAZOO_CACHE"
        )


def _mb(count: int | None) -> str:
    return "an unknown size" if count is None else f"{count / 1e6:,.1f} MB"


def host_of(url: str) -> str:
    """The server of an address; the address itself where none can be made out."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url
