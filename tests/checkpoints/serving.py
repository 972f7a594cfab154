"""A server on this computer that misbehaves as it is told, and cards that point to it."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hpazoo.checkpoints.cache.transfer import Patience
from hpazoo.checkpoints.cards import Card, make_card

PATIENCE = Patience(connect=2, stall=0.4, attempts=3, pause=0.01, longest=5)

Answer = Callable[[BaseHTTPRequestHandler], None]


def _program() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"mine/{name}", b"x")
    return buffer.getvalue()


PROGRAM = _program()
"""Looks like TorchScript by the names in it."""


class Server:
    """Answers each path with the next of its answers; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                answers = outer.answers.get(self.path) or [status(404)]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                self.close_connection = True
                with contextlib.suppress(OSError):  # the other side has had enough
                    answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.address + path

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]


def whole(
    data: bytes,
    *,
    etag: str = '"one"',
    ranges: bool = True,
    heeds_if_range: bool = True,
    upto: int | None = None,
    stall: float = 0,
    gate: threading.Event | None = None,
    length: int | None = None,
    **headers: str,
) -> Answer:
    """A file, or the rest of it; `upto` breaks off after so many bytes of this answer, after a
    pause of `stall` seconds; half of the file waits for the `gate`; `length` is a lie about it.
    """

    def answer(handler: BaseHTTPRequestHandler) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(found[1]) if found and ranges else 0
        if heeds_if_range and handler.headers.get("If-Range", etag) != etag:
            start = 0
        if start and start >= len(data):
            status(416, Content_Range=f"bytes */{len(data)}")(handler)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        said = len(data) - start if length is None else length
        handler.send_header("Content-Length", str(said))
        if etag:
            handler.send_header("ETag", etag)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        body = data[start:] if upto is None else data[start : start + upto]
        if gate:
            handler.wfile.write(body[: len(data) // 2])
            gate.wait(20)
            body = body[len(data) // 2 :]
        handler.wfile.write(body)
        handler.wfile.flush()
        time.sleep(stall)

    return answer


def drips(data: bytes, pause: float) -> Answer:
    """A byte now and then."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def without_length(data: bytes) -> Answer:
    """The end of the connection is the end of the file."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def chunked(data: bytes, *, ends: bool = True) -> Answer:
    """In marked pieces, of which the last is missing unless `ends`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(data), 5000):
            piece = data[at : at + 5000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if ends:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def redirect(to: str) -> Answer:
    return status(302, Location=to)


def card_of(*files: dict[str, Any], name: str = "mine", **more: Any) -> Card:
    """A card that no registry knows; a file is a mapping as in `registry/checkpoints.yaml`."""
    entry = {
        "title": "A card",
        "role": "classifier",
        "files": list(files),
        "licence": "MIT",
        "trained_on": [],
        "status": "released",
        "note": "Mine.",
    }
    return make_card(name, entry | more)
