"""Downloads from servers that break off, stall, lie and change their minds."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpazoo.checkpoints.cache import fetch as fetching
from hpazoo.checkpoints.cache import store, transfer
from hpazoo.checkpoints.cache.connection import SourceError, check_address
from hpazoo.checkpoints.cache.fetch import FetchError, fetch
from hpazoo.checkpoints.cache.records import read_record
from hpazoo.checkpoints.cards import Card
from hpazoo.errors import CheckpointError, HpazooError, UsageError
from tests.checkpoints.serving import (
    PATIENCE,
    Server,
    card_of,
    chunked,
    drips,
    redirect,
    status,
    whole,
    without_length,
)

DATA = random.Random(7).randbytes(60_000)
OTHER = random.Random(8).randbytes(60_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER_DIGEST = hashlib.sha256(OTHER).hexdigest()
HALF = len(DATA) // 2


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Listener:
    """Keeps what is said; stops the process's work after so many bytes."""

    def __init__(self, stop: int | None = None) -> None:
        self.said: list[str] = []
        self.stop = stop

    def say(self, text: str) -> None:
        self.said.append(text)

    def moved(self, name: str, done: int, total: int | None) -> None:
        if self.stop is not None and done >= self.stop:
            raise KeyboardInterrupt


def pinned(*sources: str, **more: Any) -> Card:
    return card_of({"name": "w.pth", "sha256": DIGEST, "sources": list(sources), **more})


def unpinned(*sources: str, **more: Any) -> Card:
    return card_of({"name": "w.pth", "sources": list(sources), **more})


def get(card: Card, listener: Listener | None = None) -> bytes:
    """Fetch the one file of a card; nothing else may be left of it but the record."""
    (done,) = fetch(card, watch=listener or Listener(), patience=PATIENCE)
    names = {path.name for path in done.path.parent.iterdir()}
    record = set() if card.files[0].sha256 else {"w.pth.json"}
    assert names == {".lock", "w.pth"} | record
    assert store.local_files(card) == [done.path]
    return done.path.read_bytes()


def fails(card: Card, match: str, listener: Listener | None = None) -> str:
    with pytest.raises(FetchError, match=match) as caught:
        fetch(card, watch=listener or Listener(), patience=PATIENCE)
    assert not store.is_there(card, card.files[0])
    return str(caught.value)


def part_of(card: Card) -> Path:
    return store.place_of(card, card.files[0]).with_name(".w.pth.part")


@pytest.mark.parametrize("make", [pinned, unpinned])
def test_fetched_once(server: Server, make: Any) -> None:
    card = make(server.url("/w", whole(DATA)))
    assert get(card) == DATA
    assert get(card) == DATA
    assert len(server.asked) == 1
    assert server.asked[0][1]["Accept-Encoding"] == "identity"
    assert server.asked[0][1]["User-Agent"].startswith("hpazoo/")


def test_first_use_is_recorded_and_holds_ever_after(server: Server) -> None:
    url = server.url("/w", whole(DATA))
    card = unpinned(url)
    get(card)
    place = store.place_of(card, card.files[0])
    record = read_record(place)
    assert record and (record.sha256, record.bytes, record.source) == (DIGEST, len(DATA), url)
    place.write_bytes(OTHER)
    with pytest.raises(CheckpointError) as caught:
        store.local_files(card)
    assert DIGEST in str(caught.value) and OTHER_DIGEST in str(caught.value)
    assert "hpazoo checkpoints fetch mine" in str(caught.value)
    # what the server has now is not what it had
    server.url("/w", whole(OTHER))
    with pytest.raises(FetchError) as failed:
        fetch(card, patience=PATIENCE)
    assert DIGEST in str(failed.value) and OTHER_DIGEST in str(failed.value)
    server.url("/w", whole(DATA))
    assert get(card) == DATA


@pytest.mark.parametrize("etag", ['"one"', "", 'W/"weak"'])
@pytest.mark.parametrize("make", [pinned, unpinned])
def test_a_broken_transfer_is_gone_on_with(server: Server, make: Any, etag: str) -> None:
    card = make(server.url("/w", whole(DATA, etag=etag, upto=HALF), whole(DATA, etag=etag)))
    listener = Listener()
    assert get(card, listener) == DATA
    strong = etag.startswith('"')
    # without a word of the server that it is the same file, halves are joined only for a digest
    resumes = strong or make is pinned
    assert server.ranges() == [None, f"bytes={HALF}-" if resumes else None]
    assert server.asked[1][1].get("If-Range") == (etag if strong else None)
    assert "broke after 0.0 MB of 0.1 MB" in " ".join(listener.said)


def test_a_date_will_do_for_a_validator(server: Server) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    first = whole(DATA, etag="", upto=HALF, Last_Modified=date)
    card = unpinned(server.url("/w", first, whole(DATA, etag=date, Last_Modified=date)))
    assert get(card) == DATA
    assert server.asked[1][1]["If-Range"] == date


def test_a_server_without_ranges_sends_all_of_it(server: Server) -> None:
    card = pinned(server.url("/w", whole(DATA, upto=HALF), whole(DATA, ranges=False)))
    assert get(card) == DATA
    assert server.ranges()[1] == f"bytes={HALF}-"


def test_another_file_since(server: Server) -> None:
    """The tag changed: a server that heeds it sends all, one that does not is not believed."""
    for heeds in (True, False):
        new = whole(DATA, etag='"two"', heeds_if_range=heeds)
        card = unpinned(server.url("/w", whole(OTHER, upto=HALF), new, new), fold=int(heeds))
        assert get(card) == DATA
        for path in store.lock_path(card).parent.iterdir():
            path.unlink()


def test_halves_that_do_not_fit_are_thrown_away(server: Server) -> None:
    """No tags: only the digest of the whole tells, and then it is fetched anew."""
    card = pinned(server.url("/w", whole(OTHER, etag="", upto=HALF), whole(DATA, etag="")))
    listener = Listener()
    assert get(card, listener) == DATA
    assert server.ranges() == [None, f"bytes={HALF}-", None]
    assert "beginning anew" in " ".join(listener.said)


def test_another_part_than_asked_for(server: Server) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{len(DATA) - 1}/{len(DATA)}")
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA)

    card = pinned(server.url("/w", whole(DATA, upto=HALF), answer))
    fails(card, "another part of the file than was asked for")


def test_416_for_a_part_that_is_too_long(server: Server) -> None:
    short = DATA[: HALF - 1000]
    digest = hashlib.sha256(short).hexdigest()
    card = pinned(server.url("/w", whole(DATA, upto=HALF), whole(short)))
    card = card_of({"name": "w.pth", "sha256": digest, "sources": card.files[0].sources})
    assert get(card) == short


def test_progress_is_worth_another_try(server: Server) -> None:
    """Three attempts in a row may fail, but not those that bring a megabyte each."""
    big = random.Random(9).randbytes(6 << 20)
    url = server.url("/w", whole(big, upto=(1 << 20) + 1000))
    card = card_of({"name": "w.pth", "sha256": hashlib.sha256(big).hexdigest(), "sources": [url]})
    assert get(card) == big
    assert len(server.asked) == 6
    tiny = pinned(server.url("/t", whole(DATA, upto=10)), fold=0)
    fails(card_of({"name": "w.pth", "sources": tiny.files[0].sources}, name="t"), "after 3 attem")


def test_interrupted_by_the_keyboard(server: Server) -> None:
    card = unpinned(server.url("/w", whole(DATA, upto=HALF, stall=0.2), whole(DATA)))
    with pytest.raises(KeyboardInterrupt):
        fetch(card, watch=Listener(stop=HALF), patience=PATIENCE)
    assert part_of(card).read_bytes() == DATA[:HALF]
    assert get(card) == DATA
    assert server.ranges()[1] == f"bytes={HALF}-"


def test_stopped_after_the_last_byte(server: Server) -> None:
    """Complete, but not checked yet: nothing is asked for again."""
    card = pinned(server.url("/w", whole(DATA)))
    with pytest.raises(KeyboardInterrupt):
        fetch(card, watch=Listener(stop=len(DATA)), patience=PATIENCE)
    assert get(card) == DATA
    assert len(server.asked) == 1


SCRIPT = """
import sys
from hpazoo.checkpoints.cache.fetch import fetch
from hpazoo.checkpoints.cache.transfer import Patience
from tests.checkpoints.serving import card_of
card = card_of({"name": "w.pth", "sources": sys.argv[1:]})
class Watch:
    def say(self, text): print(text, flush=True)
    def moved(self, name, done, total): pass
fetch(card, watch=Watch(), patience=Patience())
"""


def process(*sources: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, *sources]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def until(done: Any) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_process_leaves_a_part_and_nothing_else(server: Server) -> None:
    gate = threading.Event()
    url = server.url("/w", whole(DATA, gate=gate), whole(DATA))
    card = unpinned(url)
    with process(url) as child:
        until(lambda: part_of(card).exists() and part_of(card).stat().st_size == HALF)
        child.kill()
    gate.set()
    assert child.returncode == -signal.SIGKILL
    left = store.lock_path(card).parent / ".w.pth.99999.part.json"
    left.write_text("half a re")
    assert get(card) == DATA
    assert server.ranges() == [None, f"bytes={HALF}-"]


def test_two_processes_fetch_once(server: Server) -> None:
    gate = threading.Event()
    url = server.url("/w", whole(DATA, gate=gate))
    card = unpinned(url)

    class Waiting(Listener):
        def say(self, text: str) -> None:
            super().say(text)
            gate.set()

    listener = Waiting()
    with process(url) as child:
        until(lambda: server.asked)
        assert get(card, listener) == DATA
        assert child.wait(20) == 0
    assert len(server.asked) == 1
    assert listener.said == ["waiting for another hpazoo that works on card 'mine'"]


def test_sources_in_order_and_why_each_failed(server: Server) -> None:
    sources = [
        server.url("/gone"),
        server.url("/stall", whole(DATA, upto=100, stall=0.6)),
        server.url("/other", whole(OTHER)),
        "http://127.0.0.1:9/w",
    ]
    begun = time.monotonic()
    text = fails(pinned(*sources), "could not be fetched")
    assert time.monotonic() - begun < 5
    for source, reason in zip(
        sources,
        ("answers 404 Not Found", "stalled after 0.0 MB", OTHER_DIGEST, "Connection refused"),
        strict=True,
    ):
        assert reason in text.partition(source)[2].partition("http")[0]
    assert DIGEST in text and "hpazoo checkpoints add mine FILE" in text
    assert not part_of(pinned()).exists()
    listener = Listener()
    assert get(pinned(*sources, server.url("/w", whole(DATA))), listener) == DATA
    assert "trying the next source" in " ".join(listener.said)


def test_a_server_that_drips(server: Server) -> None:
    fails(pinned(server.url("/w", drips(DATA, 0.05))), "too slow, [0-9]+ bytes in 0 s; given up")


@pytest.mark.parametrize(
    ("make", "size", "answer", "match"),
    [
        (pinned, None, whole(DATA, length=len(DATA) + 5), "broke after .*; given up after 3"),
        (pinned, None, whole(DATA, length=len(DATA) - 5), "sends a file with sha256"),
        (unpinned, 60_000, whole(DATA, length=len(DATA) - 5), "has 59,995 bytes, expected 60,000"),
        (unpinned, 50_000, whole(DATA), "has 60,000 bytes, expected 50,000"),
        (unpinned, 50_000, chunked(DATA), "sends more than the 0.1 MB it should"),
        (unpinned, 60_001, chunked(DATA), "ended after 60,000 of 60,001 bytes"),
        (unpinned, None, without_length(DATA), "does not say how long the file is"),
        (unpinned, None, chunked(DATA, ends=False), "broke after .*; given up"),
        (unpinned, None, whole(b""), "sends an empty file"),
        (unpinned, None, whole(b"<!DOCTYPE html><p>Log in"), "web page instead of the file"),
        (unpinned, None, whole(DATA, Content_Type="text/html; charset=x"), "web page instead"),
        (unpinned, None, whole(DATA, Content_Encoding="gzip"), "packed with gzip"),
        (unpinned, None, status(403), "answers 403 Forbidden"),
        (unpinned, None, status(206), "answers 206 Partial Content"),
        (unpinned, None, status(503, Retry_After="3600"), "503 .*asks to wait for 3600 s"),
        (unpinned, None, status(302), "answers 302 Found"),
        (unpinned, None, redirect("file:///etc/passwd"), "only https is fetched, not 'file'"),
        (unpinned, None, redirect("http://example.org/w"), "only https is fetched, not 'http'"),
        (unpinned, None, redirect("https://[::1"), "cannot be asked: Invalid IPv6 URL"),
        (unpinned, None, redirect("/w"), "from one address to the next"),
    ],
)
def test_what_is_refused(server: Server, make: Any, size: Any, answer: Any, match: str) -> None:
    card = make(server.url("/w", answer), bytes=size)
    fails(card, match)
    # and what was left of it does no harm
    server.url("/w", whole(DATA))
    assert get(make(server.address + "/w")) == DATA


@pytest.mark.parametrize("answer", [without_length(DATA), chunked(DATA)])
def test_a_digest_makes_up_for_a_length(server: Server, answer: Any) -> None:
    assert get(pinned(server.url("/w", answer))) == DATA


def test_chunks_without_a_digest(server: Server) -> None:
    assert get(unpinned(server.url("/w", chunked(DATA)))) == DATA


def test_redirects_are_followed(server: Server) -> None:
    server.url("/b", redirect(server.url("/c", whole(DATA))))
    assert get(unpinned(server.url("/a", redirect("b")))) == DATA


def test_waits_as_long_as_the_server_says(server: Server, monkeypatch: Any) -> None:
    waited: list[float] = []
    clock = SimpleNamespace(sleep=waited.append, monotonic=time.monotonic)
    monkeypatch.setattr(transfer, "time", clock)
    card = unpinned(server.url("/w", status(503, Retry_After="3"), status(429), whole(DATA)))
    (done,) = fetch(card, patience=PATIENCE)
    assert done.path.read_bytes() == DATA
    assert waited == [3, PATIENCE.pause * 2]


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/w",
        "http://127.0.0.1.example.org/w",
        "http://10.0.0.1/w",
        "file:///etc/passwd",
        "ftp://example.org/w",
        "//example.org/w",
        "/etc/passwd",
        "https:///w",
        "https://[::1",
        "https://example.org:port/",
    ],
)
def test_addresses_that_are_not_asked(address: str) -> None:
    fails(unpinned(address), "only https is fetched|is no address")


def test_https_is_not_left() -> None:
    for address in ("http://127.0.0.1/w", "http://[::1]:8/w", "http://localhost/w"):
        check_address(address)
        with pytest.raises(SourceError, match="sends to http"):
            check_address(address, before="https://example.org/w")
    check_address("https://example.org/w", before="http://127.0.0.1/w")


def test_offline() -> None:
    text = fails(unpinned("https://no-such-name.invalid/w"), "no connection")
    assert "hpazoo checkpoints add mine FILE" in text


def test_what_is_cached_needs_no_server(server: Server) -> None:
    card = unpinned(server.url("/w", whole(DATA)))
    get(card)
    offline = unpinned("https://no-such-name.invalid/w")
    assert fetch(offline)[0].source == ""


def test_proxies_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/w"
    server.answers[url] = [whole(DATA)]
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "")
    assert get(unpinned(url)) == DATA
    assert server.asked[0][0] == url


def test_no_passwords_are_sent(server: Server, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(unpinned(server.url("/w", whole(DATA))))
    assert "Authorization" not in server.asked[0][1]


def test_a_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    other = server.url("/other", whole(DATA))
    card = pinned(server.url("/w", whole(DATA)), other)
    with monkeypatch.context() as patch:
        patch.setattr(transfer.shutil, "disk_usage", lambda _: _Usage)
        fails(card, "only 0.0 MB free, 0.1 MB are needed.*HPAZOO_CACHE")
    # full while it is written: what came stays, and another source would not help
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))
    try:
        fails(card, "cannot be written: File too large; free some space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert part_of(card).stat().st_size == HALF
    assert all(path == "/w" for path, _ in server.asked)
    assert get(card) == DATA
    assert server.ranges()[-1] == f"bytes={HALF}-"


class _Usage:
    free = 1000


def test_a_cache_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.write_text("a file")
    card = unpinned(server.url("/w", whole(DATA)))
    with pytest.raises(HpazooError, match=r"cannot be used for checkpoints: .*HPAZOO_CACHE"):
        fetch(card)


def test_folds(server: Server) -> None:
    files = [
        {"name": f"{k}.pth", "fold": k, "sources": [server.url(f"/{k}", whole(DATA))]}
        for k in range(3)
    ]
    files[1]["sources"] = [server.url("/1")]
    files.append({"name": "3.pth", "fold": 3})
    card = card_of(*files)
    with pytest.raises(UsageError, match="has no fold 7; its folds: 0, 1, 2, 3"):
        fetch(card, [7])
    assert [done.path.name for done in fetch(card, [2], patience=PATIENCE)] == ["2.pth"]
    with pytest.raises(FetchError) as caught:
        fetch(card, patience=PATIENCE)
    text = str(caught.value)
    assert "1.pth (fold 1)" in text and "404" in text
    assert "nobody offers these files" in text and "3.pth (fold 3) is not in the cache" in text
    # the others are kept
    assert [store.is_there(card, file) for file in card.files] == [True, False, True, False]


def test_a_part_of_another_source_is_not_gone_on_with(server: Server) -> None:
    first = server.url("/a", whole(OTHER, upto=HALF), status(404))
    card = unpinned(first, server.url("/b", whole(DATA)))
    assert get(card) == DATA
    assert server.ranges() == [None, f"bytes={HALF}-", None]


def test_a_note_that_was_damaged(server: Server) -> None:
    card = unpinned(server.url("/w", whole(DATA)))
    part = part_of(card)
    part.parent.mkdir(parents=True)
    for note in ("", "[]", '{"url": 3}', '{"url": "x", "validator": null, "total": "9"}'):
        part.write_bytes(OTHER[:100])
        part.with_name(part.name + ".json").write_text(note)
        assert get(card) == DATA
        for path in part.parent.iterdir():
            path.unlink()
    assert server.ranges() == [None] * 4


def test_silence_is_the_default(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    fetching.fetch(unpinned(server.url("/w", whole(DATA))))
    assert capfd.readouterr() == ("", "")
