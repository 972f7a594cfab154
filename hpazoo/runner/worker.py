"""What happens to a field before a network sees it: read, segment, cut into views.

Runs in processes of its own beside the network (`main`), which speak pickles over their pipes:
nothing is imported from the user's script, a full pipe makes a worker wait, and a worker whose
parent is gone ends at its next message.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from hpazoo.cache import FieldCache
from hpazoo.errors import FieldError
from hpazoo.fields import Cells, Field, FieldRecord, Input, View
from hpazoo.geometry import cells_of
from hpazoo.imageio import label_image_suffix, read_own_label_image, write_label_image
from hpazoo.nuclei import nucleus_areas
from hpazoo.processes import end_with_parent
from hpazoo.readers import Reader, read_field, readers, without_labels
from hpazoo.registry import load_file
from hpazoo.runner.profile import Stopwatch
from hpazoo.runner.programs import Programs
from hpazoo.segmenters import Segmenter, segmenters
from hpazoo.strategies import strategies

Json = dict[str, Any]

MASK_SUFFIXES = (".png", ".tif")
"""Of label images: PNG, or TIFF where ids do not fit 16 bit."""


@dataclass(frozen=True)
class Job:
    """What all fields of a run have in common."""

    data: Path
    images: Json
    masks: Json
    folder: Path
    """Where label images are kept."""
    looks: tuple[Json, ...]
    """Strategy configurations with `input`, in the order that tasks refer to."""
    smallest: tuple[int, ...] = ()
    """Shortest side, in pixels, of a view that the networks behind each look take."""
    plugins: tuple[Path, ...] = ()
    """Files of the user's own components."""
    device: str = "cpu"
    """Where a segmenter that has networks runs them."""
    cache: Path | None = None
    """Folder that keeps decoded fields."""


class Task(NamedTuple):
    """Work on one field: segment it if asked to, then show it in these looks."""

    field: str
    segment: bool
    looks: tuple[int, ...]


class Known(NamedTuple):
    """First message of a field: what was read and found."""

    record: FieldRecord
    cells: Cells


class Shown(NamedTuple):
    """One view, in one look."""

    look: int
    view: View


class Aside(NamedTuple):
    """The field cannot be used; with `retry`, another try may go better. `details` is a traceback
    where the cause is not the field.
    """

    reason: str
    retry: bool = False
    details: str = ""


class Done(NamedTuple):
    """Last message of a field: seconds by what was done, and what went wrong without harm to it."""

    seconds: dict[str, float]
    remark: str = ""


Message = Known | Shown | Aside | Done


@dataclass(frozen=True)
class Checked:
    """A reader whose fields are looked at before anything, a cache too, takes them."""

    reader: Reader
    name: str

    def stamp(self, field_id: str) -> str:
        """As the reader's."""
        return self.reader.stamp(field_id)

    def read(self, field_id: str) -> Field:
        """FieldError as `read_field`."""
        return read_field(self.reader, field_id, self.name)


class Workshop:
    """The components of a job, built once."""

    def __init__(self, job: Job) -> None:
        for file in job.plugins:
            load_file(file)
        self.job = job
        self.reader = Checked(readers.build(job.images, job.data), job.images["type"])
        self.cache = None
        if job.cache is not None:
            pixels = {k: v for k, v in without_labels(job.images).items() if k != "ids"}
            where = {"reader": pixels, "data": str(job.data)}
            self.cache = FieldCache(job.cache, where)
        self.segmenter = build_segmenter(job.masks, job.data, job.device)
        self.looks = [
            (strategies.build(look["strategy"]), Input(*look["input"])) for look in job.looks
        ]

    def work(self, task: Task) -> Iterator[Message]:
        """Messages of one field, ending with Done or Aside."""
        watch = Stopwatch()
        try:
            field = self.field(task.field)
            watch.lap("read")
            masks = self.masks(field, task.segment)
            watch.lap("segment")
            facts = (*field.shape, field.pixel_size, field.sha256, field.notes)
            cells = cells_of(masks)
            cells = replace(cells, nuclei=nucleus_areas(field.pixels, masks, cells))
            yield Known(FieldRecord(field.id, *facts), cells)
            for number in task.looks:
                strategy, network_input = self.looks[number]
                for view in strategy.views(field, masks, network_input):
                    self.check(number, view)
                    watch.lap(f"views of {strategy_name(self.job.looks[number])}")
                    yield Shown(number, view)
                    watch.lap("waiting for the network")
        except FieldError as error:
            yield Aside(str(error), retry=_may_pass(error.__cause__))
        except Exception as error:
            name = type(error).__name__
            yield Aside(f"unexpected {name}: {error}", True, traceback.format_exc())
        else:
            yield Done(watch.seconds, self.cache.trouble if self.cache else "")

    def field(self, field_id: str) -> Field:
        if self.cache is not None:
            return self.cache.read(self.reader, field_id)
        self.reader.stamp(field_id)  # without one nobody could tell later whether it changed
        return self.reader.read(field_id)

    def check(self, number: int, view: View) -> None:
        height, width = view.pixels.shape[1:]
        least = self.job.smallest[number]
        if min(height, width) < least:
            name, (size, _) = strategy_name(look := self.job.looks[number]), look["input"]
            raise FieldError(
                f"strategy '{name}' for {size} px shows it as {height} x {width} px, and a network "
                f"behind it needs {least} px on either side; choose a larger input size or crop, "
                "or leave fields of this shape out"
            )

    def masks(self, field: Field, segment: bool) -> np.ndarray:
        if not segment:
            return read_own_label_image(mask_file(self.job.folder, field.id))
        self.segmenter.stamp(field.id)  # as of the reader, in `field`
        labels: np.ndarray = self.segmenter.segment(field)
        if labels.shape != field.shape:
            found, wanted = " x ".join(map(str, labels.shape)), " x ".join(map(str, field.shape))
            raise FieldError(f"its masks are {found} px, the image {wanted} px")
        path = self.job.folder / f"{field.id}{label_image_suffix(labels)}"
        write_label_image(path, labels)
        for suffix in MASK_SUFFIXES:
            if suffix != path.suffix:
                path.with_name(field.id + suffix).unlink(missing_ok=True)
        return labels


def strategy_name(look: Json) -> str:
    name: str = look["strategy"]["type"]
    return name


def _may_pass(cause: BaseException | None) -> bool:
    """Whether another try may go better: a disk, or memory, of this process or of a GPU."""
    known = isinstance(cause, OSError | MemoryError)
    return known or type(cause).__name__ == "OutOfMemoryError"


def build_segmenter(config: Json, data: Path, device: str) -> Segmenter:
    """The segmenter, with access to weights if it `needs` them."""
    given: list[Any] = [data]
    if needs_weights(config):
        given.append(Programs(device))
    segmenter: Segmenter = segmenters.build(config, *given)
    return segmenter


def needs_weights(config: Json) -> bool:
    """Whether a segmenter runs networks."""
    return "weights" in getattr(segmenters.get(config["type"]), "needs", ())


def mask_file(folder: Path, field_id: str) -> Path:
    """File of a field's label image."""
    for suffix in MASK_SUFFIXES:
        path = folder / f"{field_id}{suffix}"
        if path.is_file():
            return path
    raise FieldError(f"its masks are missing from {folder}")


def send(pipe: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=5)
    pipe.write(struct.pack("<Q", len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """The next message; EOFError when the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack("<Q", head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """Serve tasks from stdin; whatever a library prints goes to stderr, not into the messages."""
    import cv2

    cv2.setNumThreads(1)
    end_with_parent()
    incoming, outgoing = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        workshop = Workshop(receive(incoming))
        while True:
            for message in workshop.work(receive(incoming)):
                send(outgoing, message)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        os._exit(0)
