"""All images of a training, brought into the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hpazoo.errors import FieldError, HpazooError
from hpazoo.training.image_store import ImageStore
from hpazoo.training.sources import Sources

Json = dict[str, Any]


def fill(
    store: ImageStore,
    sources: Sources,
    configs: Sequence[Json],
    workers: int,
    begin: Callable[[int], None],
    advance: Callable[[str, str], None],
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of the store by image, and why the others could not be read.

    In several threads: decoding and resizing let go of Python's lock. `begin` is told how many have
    to be made, if any, and `advance` each of them.
    """
    aside: dict[str, str] = {}
    found, missing = _there(store, sources, configs)
    if missing:
        begin(len(missing))

    def one(image: str, number: int) -> tuple[str, Path | None, str]:
        try:
            return image, store.add(configs[number], sources.readers[number], image), ""
        except FieldError as error:
            return image, None, str(error)
        except MemoryError:
            return image, None, "it does not fit into memory"
        except HpazooError:  # of the store: no image is to blame
            raise
        except Exception as error:
            return image, None, f"unexpected {type(error).__name__}: {error}"

    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = [pool.submit(one, image, number) for image, number in missing]
        try:
            for future in waiting:
                image, file, reason = future.result()
                if file is None:
                    aside[image] = reason
                else:
                    found[image] = file
                advance(image, reason)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found, aside


def lacking(store: ImageStore, sources: Sources, configs: Sequence[Json]) -> int:
    """How many images would have to be made."""
    return len(_there(store, sources, configs)[1])


def _there(
    store: ImageStore, sources: Sources, configs: Sequence[Json]
) -> tuple[dict[str, Path], list[tuple[str, int]]]:
    """Files of the images that are in the store; the others, each with the number of its source."""
    found: dict[str, Path] = {}
    missing: list[tuple[str, int]] = []
    for image, number in zip(sources.table.ids, sources.reader_of.tolist(), strict=True):
        there = None
        with contextlib.suppress(FieldError):  # it says so when it is read
            there = store.find(configs[number], sources.readers[number], image)
        if there is None:
            missing.append((image, number))
        else:
            found[image] = there
    return found, missing
