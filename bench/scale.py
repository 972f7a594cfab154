"""What a large run costs beside its networks: `python -m bench.scale`, one thread, JSON.

The figures that `docs/scale.md` reckons with: milliseconds of a core per field and stage, bytes
that a field leaves on disk, and what looking at a shard costs when a run goes on.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.threads import say_one_thread, set_one_thread

CELLS = 30
ROUNDS = 5
SHARDS = 64
MEMBERS = 4


def main() -> None:
    say_one_thread()
    set_one_thread()
    from bench.machine import machine
    from bench.material import Material

    with tempfile.TemporaryDirectory(prefix="hpazoo-scale-") as folder:
        found = {"machine": machine(), **measured(Material(Path(folder)))}
    print(json.dumps(found, indent=1))


def measured(material: Any) -> dict[str, Any]:
    """Milliseconds and bytes by what they are spent on."""
    from hpazoo.cache import FieldCache
    from hpazoo.fields import Input
    from hpazoo.readers import readers
    from hpazoo.segmenters import segmenters
    from hpazoo.strategies import strategies

    config = {"type": "hpa-files", "root": "png"}
    material.files("png")
    material.files("jpeg")
    folder = material.folder
    png = readers.build(config, folder)
    jpeg = readers.build({"type": "hpa-files", "root": "jpeg"}, folder)
    name = png.ids()[0]
    jpeg.ids()
    cache = FieldCache(folder / "cache", config)
    field = cache.read(png, name)
    labels = material.labels(CELLS)
    watershed = segmenters.build("watershed", folder)
    from_files = segmenters.build(
        {"type": "label-images", "root": str(material.mask_folder(CELLS))}, folder
    )
    size = Input(768, "hpa-2018")
    ms: dict[str, Callable[[], object]] = {
        "read PNG": lambda: png.read(name),
        "read JPEG": lambda: jpeg.read(name),
        "read from --cache": lambda: cache.read(png, name).pixels.copy(),
        "watershed": lambda: watershed.segment(field),
        "label-images": lambda: from_files.segment(field),
    }
    for strategy in ("gap-mask", "gridify", {"type": "gridify", "snap": 8}, "cell-crop"):
        built = strategies.build(strategy)
        title = strategy if isinstance(strategy, str) else "gridify, snap: 8"
        ms[f"views of {title}"] = lambda built=built: list(built.views(field, labels, size))
    parts = _parts(folder, field, labels)
    ms |= parts["ms"]
    return {
        "ms a field": {what: round(_median(work), 1) for what, work in ms.items()},
        "bytes a field": parts["bytes"](),
        "ms a shard when a run goes on": _planning(folder, name),
    }


def _median(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def _parts(folder: Path, field: Any, labels: Any) -> dict[str, Any]:
    """What one field leaves on disk, and the work of writing it."""
    import numpy as np

    from hpazoo.classes import class_list
    from hpazoo.geometry import cells_of
    from hpazoo.imageio import write_label_image
    from hpazoo.writers import FieldResult, writers

    classes = class_list("hpa-2021")
    cells = cells_of(labels)
    values = np.random.default_rng(0).random((len(cells), len(classes)), np.float32)
    results = [
        FieldResult(
            f"{field.id}_{number}", *labels.shape, None, "", (), cells, values, lambda: labels
        )
        for number in range(8)
    ]
    mask = folder / "mask.png"

    def write(kind: str) -> None:
        writers.build(kind, classes).write(folder / kind, results, "")

    def sizes() -> dict[str, int]:
        out = {"label image": mask.stat().st_size}
        for kind in ("table", "kaggle-submission"):
            for file in sorted((folder / kind).iterdir()):
                out[file.name] = file.stat().st_size // len(results)
        return out

    ms = {
        "write label image": lambda: write_label_image(mask, labels),
        "write tables, 8 fields": lambda: write("table"),
        "write submission, 8 fields": lambda: write("kaggle-submission"),
    }
    return {"ms": ms, "bytes": sizes}


def _planning(folder: Path, name: str) -> float:
    """Looking at the parts of a shard: one of cells, one per member."""
    import numpy as np

    from hpazoo.fields import Cells, FieldRecord
    from hpazoo.runner.folder import RunFolder, Segmented, Shard, write_part

    run = RunFolder(folder / "run")
    run.prepare(fresh=False)
    empty = np.zeros(0, np.int64)
    cells = Cells(empty, np.zeros((0, 4), np.int64), empty, empty.astype(bool), empty)
    shards = [Shard(n, tuple(f"{name}-{n}-{k}" for k in range(16))) for n in range(SHARDS)]
    for shard in shards:
        records = tuple(FieldRecord(field) for field in shard.fields)
        run.write_segmented(shard, "key", Segmented(records, dict.fromkeys(shard.fields, cells)))
        for member in range(MEMBERS):
            write_part(run.member_part(str(member), shard), {"cell": empty}, "key")
        for field in shard.fields:
            (run.masks / f"{field}.png").touch()

    def look() -> None:
        for shard in shards:
            run.is_segmented(shard, "key", "")
            for member in range(MEMBERS):
                run.has_member(str(member), shard, "key", ())

    try:
        return round(_median(look) / SHARDS, 2)
    finally:
        run.release()


if __name__ == "__main__":
    main()
