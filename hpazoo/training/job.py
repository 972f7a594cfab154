"""One training: what the process that does it is told, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hpazoo.checkpoints import sha256
from hpazoo.classes import ClassList
from hpazoo.labels import LabelTable
from hpazoo.metrics import Judged
from hpazoo.parquet import read_parquet, write_parquet
from hpazoo.paths import replacing
from hpazoo.recipe import Recipe

Json = dict[str, Any]

TRAIN, VALIDATE = 0, 1
"""Part of an image in a training."""


PARENT = "HPAZOO_TRAINING_PARENT"
"""Environment variable: id of the process that waits for a training."""


@dataclass(frozen=True)
class Material:
    """What a fold is trained on and checked with: ids of images, their files in the store, targets
    (N, classes) float32 or (N,) int64 of groups, and which part each has.
    """

    ids: list[str]
    files: list[Path]
    targets: np.ndarray
    part: np.ndarray

    def of(self, part: int) -> Material:
        rows = np.flatnonzero(self.part == part)
        return Material(
            [self.ids[row] for row in rows],
            [self.files[row] for row in rows],
            self.targets[rows],
            self.part[rows],
        )


class How(NamedTuple):
    """Where and how to train; `processes` share each batch's work, on the device's cards."""

    device: str
    precision: str
    threads: int
    workers: int
    processes: int
    quiet: bool


@dataclass(frozen=True)
class Job:
    """A fold of a model; all of it is plain data, so that it can be read by another process."""

    folder: str
    """Of everything but the weights, which lie beside it under its name."""
    name: str
    """Of the model, the fold behind it: for people, and the seed of random weights."""
    model: Json
    """Backbone, head and input, as `build_model` takes them."""
    classes: tuple[str, tuple[str, ...]]
    """Name and names of the class list."""
    recipe: Json
    start: str | None
    """File of weights to begin from; None: random ones."""
    card: Json
    """What the file of weights will say of itself, besides its scores."""
    key: str
    """Digest of everything that shapes the weights."""
    how: Json
    plugins: tuple[str, ...] = ()

    @property
    def place(self) -> Path:
        return Path(self.folder)

    @property
    def file(self) -> Path:
        """Weights that the training leaves."""
        return self.place.with_name(f"{self.place.name}.safetensors")

    @property
    def record(self) -> Path:
        """Digests of the weights and of the answers as they were written, for `sha256sum -c`."""
        return self.place / "made.sha256"

    @property
    def description(self) -> Path:
        return self.place / "job.json"

    @property
    def log(self) -> Path:
        """What libraries say, all the way to the end."""
        return self.place / "log.txt"

    @property
    def problem(self) -> Path:
        """What a user has to mend, where the training could not be done."""
        return self.place / "problem.txt"

    @property
    def curves(self) -> Path:
        """A row per epoch."""
        return self.place / "curves.csv"

    @property
    def left_out(self) -> Path:
        """Answers for the images of the fold, which the network never learned from."""
        return self.place / "left-out.parquet"

    @property
    def class_list(self) -> ClassList:
        return ClassList(self.classes[0], tuple(self.classes[1]))

    def settings(self) -> tuple[Recipe, How]:
        return Recipe(**self.recipe), How(**self.how)

    def write(self, material: Material | None) -> None:
        """The job and its material, for `read_job` and `read_material` in another process."""
        with replacing(self.description) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        if material is None:
            return
        table = pa.table(
            {
                "image": material.ids,
                "file": [str(file) for file in material.files],
                "target": list(material.targets),
                "part": material.part.astype(np.int8),
            }
        )
        write_parquet(table, self.place / "material.parquet")


def read_job(path: Path) -> Job:
    found = json.loads(path.read_text(encoding="utf-8"))
    name, names = found["classes"]
    return Job(**{**found, "classes": (name, tuple(names)), "plugins": tuple(found["plugins"])})


def read_material(job: Job) -> Material:
    table = read_parquet(job.place / "material.parquet")
    targets = np.array(table["target"].to_pylist())
    kind = np.int64 if targets.ndim == 1 else np.float32
    files = [Path(file) for file in table["file"].to_pylist()]
    part = table["part"].to_numpy().astype(np.int64)
    return Material(table["image"].to_pylist(), files, targets.astype(kind), part)


def write_record(job: Job) -> None:
    """What was made, once all of it is there."""
    made = {f"../{job.file.name}": job.file, job.left_out.name: job.left_out}
    lines = [f"{sha256(file)}  {name}\n" for name, file in made.items() if file.is_file()]
    with replacing(job.record) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def is_damaged(job: Job) -> bool:
    """Whether files are missing, or other bytes, that the training left."""
    if not job.record.is_file():  # killed before it was written, or of an older version
        return False
    for line in job.record.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        file = job.place / name
        if not file.is_file() or sha256(file) != digest:
            return True
    return False


def write_left_out(path: Path, ids: list[str], probabilities: np.ndarray, key: str) -> None:
    """Image-level probabilities (N, classes), a row per image; the key of the job rides along."""
    values = [pa.array(row, pa.float32()) for row in probabilities]
    table = pa.table({"image": ids, "probabilities": pa.array(values, pa.list_(pa.float32()))})
    write_parquet(table.replace_schema_metadata({b"hpazoo.key": key.encode()}), path)


def judged_left_out(files: Iterable[Path], table: LabelTable) -> list[Judged]:
    """Answers for the images that folds left out, with what annotators said of them."""
    labels = dict(zip(table.ids, table.labels, strict=True))
    return [
        Judged.of_image(image, row, labels[image])
        for file in files
        for image, row in zip(*read_left_out(file), strict=True)
    ]


def read_left_out(path: Path) -> tuple[list[str], np.ndarray]:
    table = read_parquet(path)
    return table["image"].to_pylist(), np.array(table["probabilities"].to_pylist(), np.float32)
