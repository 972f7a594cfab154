"""The cache: what is handed out, what is refused, and what a user may put into it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpazoo.checkpoints.cache import add as adding
from hpazoo.checkpoints.cache import store
from hpazoo.checkpoints.cache.add import add, trust_program
from hpazoo.checkpoints.cache.locks import locked
from hpazoo.checkpoints.cache.records import read_record, record_path, trust, trusted
from hpazoo.checkpoints.cards import Card, find_card
from hpazoo.errors import CheckpointError, HpazooError, UsageError
from tests.checkpoints.serving import PROGRAM, card_of

DATA, OTHER = b"\x80weights" * 1000, b"\x80other weights" * 1000
DIGEST, OTHER_DIGEST = (hashlib.sha256(data).hexdigest() for data in (DATA, OTHER))

LOST = {"status": "unavailable", "thread": "https://example.org/1"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my own.pth"
    path.write_bytes(DATA)
    return path


def lost() -> Card:
    return card_of({"name": "w.pth"}, **LOST)


def folds(count: int = 3) -> Card:
    return card_of(*({"name": f"{k}.pth", "fold": k} for k in range(count)), **LOST)


def pinned(digest: str = DIGEST) -> Card:
    return card_of({"name": "w.pth", "sha256": digest, "sources": ["https://example.org/w"]})


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HPAZOO_CACHE": "/a/b"}, "/a/b"),
        ("linux", {"HPAZOO_CACHE": "~/b"}, "/home/me/b"),
        ("linux", {"HPAZOO_CACHE": "b"}, f"{Path.cwd()}/b"),
        ("linux", {"HPAZOO_CACHE": ""}, "/home/me/.cache/hpazoo"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/hpazoo"),
        ("linux", {"XDG_CACHE_HOME": "relative is not allowed"}, "/home/me/.cache/hpazoo"),
        ("darwin", {}, "/home/me/Library/Caches/hpazoo"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/hpazoo/Cache"),
        ("win32", {}, "/home/me/AppData/Local/hpazoo/Cache"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("HPAZOO_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/me"} | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(store.sys, "platform", platform)
    assert store.cache_folder() == Path(expected)


def test_a_home_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPAZOO_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(HpazooError, match=r"no folder for checkpoints .*HPAZOO_CACHE"):
        store.cache_folder()


def test_a_released_card_that_is_not_there() -> None:
    with pytest.raises(CheckpointError) as caught:
        store.local_files(pinned())
    text = str(caught.value)
    assert "w.pth is not in the cache" in text
    assert "hpazoo checkpoints fetch mine" in text and "hpazoo checkpoints add mine FILE" in text
    assert "path" in text and "spec" in text


def test_a_lost_card_names_what_is_known_of_it() -> None:
    with pytest.raises(CheckpointError) as caught:
        store.local_files(folds())
    text = str(caught.value)
    assert "Mine. (https://example.org/1)" in text
    assert "fetch" not in text and "add mine FILE --fold K" in text
    assert [f"{k}.pth (fold {k}) is not" in text for k in range(3)] == [True] * 3


def test_not_loadable(file: Path) -> None:
    card = card_of({"name": "w.onnx", "sources": ["https://e.org"]}, status="not-loadable")
    add(card, file)
    with pytest.raises(CheckpointError, match=r"card 'mine' cannot be loaded. Mine\."):
        store.local_files(card)


def test_folds_in_order(tmp_path: Path) -> None:
    card = folds()
    for fold in (2, 0, 1):
        path = tmp_path / "x"
        path.write_bytes(DATA + bytes([fold]))
        add(card, path, fold)
    assert [path.read_bytes()[-1] for path in store.local_files(card)] == [0, 1, 2]
    store.place_of(card, card.files[1]).unlink()
    with pytest.raises(CheckpointError, match=r"1.pth \(fold 1\) is not in the cache") as caught:
        store.local_files(card)
    assert "0.pth" not in str(caught.value)


def test_added_by_hand(file: Path) -> None:
    card = lost()
    place = add(card, file)
    assert store.local_files(card) == [place] and place.read_bytes() == DATA
    record = read_record(place)
    assert record and (record.sha256, record.source) == (DIGEST, "added by hand")
    assert {path.name for path in place.parent.iterdir()} == {"w.pth", "w.pth.json", ".lock"}
    assert add(card, file) == place  # again
    assert add(card, place) == place  # itself
    assert file.read_bytes() == DATA


def test_another_file_names_both_digests(file: Path) -> None:
    card = lost()
    place = add(card, file)
    file.write_bytes(OTHER)
    with pytest.raises(CheckpointError) as caught:
        add(card, file)
    text = str(caught.value)
    assert DIGEST in text and OTHER_DIGEST in text and f"first remove {place}" in text
    assert place.read_bytes() == DATA
    place.unlink()
    record_path(place).unlink()
    assert add(card, file).read_bytes() == OTHER


def test_a_published_digest_is_not_talked_out_of(file: Path) -> None:
    card = pinned(OTHER_DIGEST)
    with pytest.raises(CheckpointError) as caught:
        add(card, file)
    assert DIGEST in str(caught.value) and f"{OTHER_DIGEST} was published" in str(caught.value)
    assert not store.is_there(card, card.files[0])
    # what was put there past hpazoo is seen as well
    place = store.place_of(card, card.files[0])
    place.write_bytes(DATA)
    with pytest.raises(CheckpointError, match="was changed or is damaged"):
        store.local_files(card)
    file.write_bytes(OTHER)
    assert add(card, file).read_bytes() == OTHER


def test_a_swapped_file_of_equal_size_and_time(file: Path) -> None:
    card = lost()
    place = add(card, file)
    before = place.stat()
    place.write_bytes(DATA[::-1])
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CheckpointError, match=f"but {DIGEST} was recorded on first use"):
        store.local_files(card)
    assert add(card, file) == place and store.local_files(card) == [place]


def test_without_its_record_a_file_is_not_believed(file: Path) -> None:
    card = lost()
    place = add(card, file)
    record_path(place).unlink()
    with pytest.raises(CheckpointError, match=r"no record of what it was .*w\.pth\.json"):
        store.local_files(card)
    assert [add(card, place)] == store.local_files(card)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sha256": "x", "bytes": 1, "source": ""}', "[" * 100_000]
)
def test_a_damaged_record(file: Path, text: str) -> None:
    card = lost()
    place = add(card, file)
    record_path(place).write_text(text)
    with pytest.raises(CheckpointError, match=r"is damaged .* remove it"):
        store.local_files(card)
    with pytest.raises(HpazooError, match="is damaged"):
        add(card, file)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is a pipe"),
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"\n<!DOCTYPE html><p>Log in"), "is a web page"),
    ],
)
def test_what_is_no_file_of_weights(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "x"
    make(path)
    with pytest.raises(CheckpointError, match=message):
        add(lost(), path)
    assert not store.is_there(lost(), lost().files[0])


def test_which_fold(file: Path) -> None:
    with pytest.raises(UsageError, match=r"each of the folds 0, 1, 2; say which .* --fold"):
        add(folds(), file)
    with pytest.raises(UsageError, match="no fold 3; its folds: 0, 1, 2"):
        add(folds(), file, 3)
    with pytest.raises(UsageError, match="has one file and no folds; leave --fold away"):
        add(lost(), file, 0)


def test_a_full_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 10

    with monkeypatch.context() as patch:
        patch.setattr(adding.shutil, "disk_usage", lambda _: Usage)
        with pytest.raises(CheckpointError, match=r"free some space, .*HPAZOO_CACHE"):
            add(lost(), file)
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(HpazooError, match="cannot be written: File too large"):
            add(lost(), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in store.lock_path(lost()).parent.iterdir()} == {".lock"}


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder for a user who, unlike root, may not write everywhere."""
    folder = Path(tempfile.mkdtemp(prefix="hpazoo-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_cache_that_can_only_be_read(
    unprivileged: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = unprivileged / "cache"
    monkeypatch.setenv("HPAZOO_CACHE", str(cache))
    card = lost()
    add(card, file)
    before = listing(cache)
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        (found,) = store.local_files(card)
        assert found.read_bytes() == DATA
        with pytest.raises(HpazooError, match="cannot be used for checkpoints: Permission denied"):
            add(card_of({"name": "w.pth"}, name="other", **LOST), found)
    finally:
        if root:
            os.seteuid(0)
    assert listing(cache) == before
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o755)


def test_a_cache_that_is_a_file(cache: Path, file: Path) -> None:
    cache.write_text("x")
    with pytest.raises(CheckpointError, match="is not in the cache"):
        store.local_files(lost())
    assert not store.is_trusted(DIGEST)
    with pytest.raises(HpazooError, match="cannot be used for checkpoints"):
        add(lost(), file)


def test_programs_that_may_run(file: Path, cache: Path) -> None:
    winner = find_card("hpa2021-winner-inception")
    onnx = find_card("hpa2021-winner-inception-onnx")
    assert winner and winner.files[0].sha256 and store.is_trusted(winner.files[0].sha256)
    assert onnx and onnx.files[0].sha256 and not store.is_trusted(onnx.files[0].sha256)
    with pytest.raises(HpazooError, match="is no TorchScript program"):
        trust_program("mine", file)
    digest = hashlib.sha256(PROGRAM).hexdigest()
    file.write_bytes(PROGRAM)
    assert not store.is_trusted(digest)
    assert trust_program("mine", file) == digest
    assert store.is_trusted(digest) and not store.is_trusted(OTHER_DIGEST)
    assert json.loads((cache / "trusted.json").read_text()) == {digest: "mine"}
    # a file that was merely filed is not a program that may run
    file.write_bytes(OTHER)
    add(lost(), file)
    assert not store.is_trusted(OTHER_DIGEST)


@pytest.mark.parametrize("text", ["[]", "{", '{"x": "y"}', '{"%s": 3}' % ("0" * 64)])
def test_a_damaged_list_of_programs(cache: Path, text: str) -> None:
    cache.mkdir()
    (cache / "trusted.json").write_text(text)
    with pytest.raises(HpazooError, match=r"trusted.json is damaged"):
        store.is_trusted(DIGEST)


def test_two_who_trust_at_once(cache: Path) -> None:
    names = [hashlib.sha256(bytes([k])).hexdigest() for k in range(10)]
    threads = [threading.Thread(target=trust, args=(cache, name, "x")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(trusted(cache)) == set(names)


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "a" / ".lock"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from hpazoo.checkpoints.cache.locks import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "held\n"
        waited = []
        with locked(path, waiting=lambda: waited.append(child.kill())):
            pass
    assert waited == [None]
    assert path.exists()
