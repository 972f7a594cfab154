"""Small runs and truths, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpazoo.classes import ClassList, class_list
from hpazoo.imageio import write_label_image
from hpazoo.rle import encode_cells, submission_string

CLASSES = class_list("hpa-2021")

LOCK = """\
hpazoo: 1
name: tiny
classes: hpa-2021
models:
  a: {{checkpoint: {checkpoint}}}
members:
- {{name: a, model: a}}
metrics: {metrics}
lock:
  hpazoo: 0.0.0
  options: {{random_weights: {random}, data: /nowhere}}
  checkpoints: {{a: {files}}}
"""

Fields = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Field -> label image, and probabilities (N, classes) of its cells by rising id."""


def cells(*boxes: tuple[int, int, int, int], size: int = 32) -> np.ndarray:
    """Label image with cell k in the k-th box y0, x0, y1, x1."""
    labels = np.zeros((size, size), np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        labels[y0:y1, x0:x1] = number
    return labels


def probabilities(*rows: Mapping[str, float], classes: ClassList = CLASSES) -> np.ndarray:
    """A row per cell; classes that are not said have 0."""
    found = np.zeros((len(rows), len(classes)), np.float32)
    for number, row in enumerate(rows):
        for name, value in row.items():
            found[number, classes.index(name)] = value
    return found


def write_run(
    folder: Path,
    fields: Fields,
    *,
    metrics: str = "[]",
    stamp: str = "",
    aside: Mapping[str, str] | None = None,
    parquet: bool = True,
    checkpoint: str = "bestfitting-densenet121-768",
) -> Path:
    (folder / "masks").mkdir(parents=True)
    tables = []
    sizes = ["field,height,width"]
    for name, (labels, values) in fields.items():
        write_label_image(folder / "masks" / f"{name}.png", labels)
        ids = np.unique(labels[labels > 0])
        frame = pd.DataFrame(values, columns=list(CLASSES.names))
        frame.insert(0, "cell", ids.astype(np.int64))
        frame.insert(0, "field", name)
        tables.append(frame.assign(stamp=stamp) if stamp else frame)
        sizes.append(f"{name},{labels.shape[0]},{labels.shape[1]}")
    table = pd.concat([frame for frame in tables if len(frame)])
    table["field"] = table["field"].astype(str)
    if parquet:
        table.to_parquet(folder / "predictions.parquet", index=False)
    else:
        table.to_csv(folder / "predictions.csv", index=False)
    (folder / "fields.csv").write_text("\n".join(sizes) + "\n", encoding="utf-8")
    text = LOCK.format(
        checkpoint=checkpoint,
        metrics=metrics,
        random=str(bool(stamp)).lower(),
        files="[]" if stamp else "[{file: a.pth, sha256: abc}]",
    )
    (folder / "run.lock.yaml").write_text(text, encoding="utf-8")
    rows = [f'{{"field": "{name}", "reason": "{why}"}}\n' for name, why in (aside or {}).items()]
    (folder / "set-aside.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def write_masks(folder: Path, fields: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in fields.items():
        write_label_image(folder / f"{name}.png", labels)
    return folder


def write_rows(path: Path, header: str, rows: Sequence[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def mask_string(mask: np.ndarray) -> str:
    return submission_string(encode_cells(mask.astype(np.uint8), [1])[0])


def write_submission(
    path: Path, rows: Mapping[str, tuple[int, int, Sequence[tuple[int, float, np.ndarray]]]]
) -> Path:
    """Field -> height, width, and (class, confidence, mask (H, W) bool) of each prediction."""
    lines = []
    for name, (height, width, said) in rows.items():
        text = " ".join(f"{k} {confidence} {mask_string(mask)}" for k, confidence, mask in said)
        lines.append(f"{name},{width},{height},{text}")
    return write_rows(path, "ID,ImageWidth,ImageHeight,PredictionString", lines)
