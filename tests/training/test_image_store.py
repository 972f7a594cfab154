"""The store of training images: made once, whoever asks, and never half."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import CHANNELS, Field
from hpazoo.readers import readers
from hpazoo.training import image_store
from hpazoo.training.image_store import ImageStore, load_pixels


class Source:
    """A reader of one field, which counts how often it is read."""

    def __init__(self, pixels: np.ndarray, stamp: str = "1") -> None:
        self.pixels = pixels
        self.now = stamp
        self.reads = 0

    def ids(self) -> list[str]:
        return ["a"]

    def stamp(self, field_id: str) -> str:
        return self.now

    def read(self, field_id: str) -> Field:
        self.reads += 1
        return Field(field_id, self.pixels)


def drawn(
    seed: int = 0, shape: tuple[int, ...] = (4, 100, 100), kind: Any = np.uint8
) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape).astype(kind)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("32/*/*.npy"))


def test_made_once_and_anew_when_it_changed(tmp_path: Path) -> None:
    store, source, config = ImageStore(tmp_path, 32), Source(drawn()), {"type": "x"}
    assert store.find(config, source, "a") is None
    path = store.add(config, source, "a")
    pixels = load_pixels(path)
    wanted = [cv2.resize(plane, (32, 32), interpolation=cv2.INTER_LINEAR) for plane in drawn()]
    assert np.array_equal(pixels, wanted)
    assert store.add(config, source, "a") == store.find(config, source, "a") == path
    assert source.reads == 1
    source.now, source.pixels = "2", drawn(1)
    assert store.find(config, source, "a") is None
    assert store.add(config, source, "a") != path


def test_one_content_is_kept_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 32)
    one = store.add({"type": "x", "root": "here"}, Source(drawn()), "a")
    assert store.add({"type": "y", "root": "there"}, Source(drawn(), "2"), "b") == one
    assert len(files_in(tmp_path)) == 1


def test_what_labels_say_is_nothing_to_the_pixels(tmp_path: Path) -> None:
    store, source = ImageStore(tmp_path, 32), Source(drawn())
    store.add({"type": "x", "labels": "a.csv", "exclude": ["Cytosol"], "ids": "1"}, source, "a")
    assert store.find({"type": "x", "labels": "b.csv"}, source, "a")
    # but where the files lie is: equal names, sizes and times do not make equal images
    assert not store.find({"type": "x", "root": "b"}, source, "a")
    assert not ImageStore(tmp_path, 32, tmp_path).find({"type": "x"}, source, "a")


def test_fields_of_any_kind(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 32)
    long = load_pixels(store.add({"type": "x"}, Source(drawn(0, (4, 50, 100))), "a"))
    assert long.shape == (4, 16, 32)
    deep = drawn(0, (4, 64, 64), np.uint16)
    found = load_pixels(store.add({"type": "deep"}, Source(deep), "a"))
    assert found.dtype == np.uint8 and found.max() > 100


@pytest.mark.parametrize("left", [0, 60, 1000])
def test_a_file_that_was_cut_short(left: int, tmp_path: Path) -> None:
    store, source = ImageStore(tmp_path, 32), Source(drawn())
    path = store.add({"type": "x"}, source, "a")
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    assert store.find({"type": "x"}, source, "a") is None
    with pytest.raises(HpazooError, match="gone or damaged"):
        load_pixels(path)
    assert store.add({"type": "x"}, source, "a") == path
    assert path.read_bytes() == whole


def test_threads_that_find_one_content(tmp_path: Path) -> None:
    store, failed = ImageStore(tmp_path, 32), []

    def add(number: int) -> None:
        try:
            store.add({"type": "x", "root": str(number)}, Source(drawn()), "a")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(files_in(tmp_path)) == 1
    assert not list(tmp_path.rglob(".*"))


def test_processes_that_fill_one_folder(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from hpazoo.readers import readers
        from hpazoo.training.image_store import ImageStore
        config = {"type": "synthetic", "fields": 12, "size": 128, "seed": 1}
        reader = readers.build(config, Path())
        store = ImageStore(Path(sys.argv[1]), 32)
        print(*[store.add(config, reader, name).name for name in reader.ids()])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [child.communicate(timeout=60)[0] for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert said[0] == said[1] and len(files_in(tmp_path)) == 12
    config = {"type": "synthetic", "fields": 12, "size": 128, "seed": 1}
    reader = readers.build(config, Path())
    store = ImageStore(tmp_path, 32)
    assert all(store.find(config, reader, name) for name in reader.ids())


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_store.np, "save", full)
    with pytest.raises(HpazooError, match=r"not complete: .*No space left .*--cache") as caught:
        ImageStore(tmp_path, 32).add({"type": "x"}, Source(drawn()), "a")
    assert not isinstance(caught.value, FieldError)


def test_real_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, name in enumerate(CHANNELS):
        cv2.imwrite(str(tmp_path / "images" / f"a_{name}.png"), drawn(number, (64, 64)))
    config = {"type": "hpa-files", "root": "images"}
    reader = readers.build(config, tmp_path)
    store = ImageStore(tmp_path / "store", 32, tmp_path)
    path = store.add(config, reader, "a")
    assert load_pixels(path).shape == (4, 32, 32)
    # the same images with other labels
    assert (
        store.find({"type": "hpa-files", "root": "images", "labels": "x.csv"}, reader, "a") == path
    )
