"""Embeddings of the images to learn from, for splitters that are made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpazoo.errors import HpazooError
from hpazoo.readers import without_labels
from hpazoo.runner.options import Options
from hpazoo.runner.progress import Telling
from hpazoo.spec import Spec
from hpazoo.spec.resolution import resolve
from hpazoo.training.embeddings import file_of_embeddings, read_embeddings
from hpazoo.training.sources import Sources

Json = dict[str, Any]

_EMBEDDER = "embedder"


def files_of_embeddings(
    spec: Spec,
    source: str | None,
    trained: Mapping[str, Sequence[Path]],
    data: Path,
    folder: Path,
    options: Options,
    say: Telling,
    run: Callable[..., object],
) -> list[Path]:
    """Files with an embedding of each image: none, the one that the splitter names, or one per
    source of images, made with `run` below `folder` where `source` is a model or a card.

    `trained` are weights of models of the spec that were made by this run.
    """
    training = spec.resolved["training"]
    if source is None:
        return []
    file = file_of_embeddings(training["splitter"], data)
    if file is not None:
        return [file]
    model: Json = {"checkpoint": source}
    if source in spec.models:
        model = dict(spec.resolved["models"][source])
        if model.pop("train", None) and not model.get("checkpoint") and source not in trained:
            raise HpazooError(
                f"the splitter takes embeddings of model '{source}', which is itself to be trained "
                "on the folds that come out; name one with weights, or with a loss that needs no "
                "folds ('arcface')"
            )
        if source in trained:
            model["checkpoint"] = str(trained[source][0].resolve())
    files = []
    for number, images in enumerate(training["images"]):
        say(f"embeddings of the images of source {number + 1}")
        out = folder / str(number)
        apart = _embedding_spec(spec, number, model, images)
        run(apart, out, replace(options, limit=None, profile=False), quiet=say.quiet)
        files.append(out / f"embeddings-{_EMBEDDER}.parquet")
    return files


def _embedding_spec(spec: Spec, number: int, model: Json, images: Json) -> Spec:
    """What gives embeddings of the images of one source."""
    data = {
        "hpazoo": 1,
        "classes": spec.resolved["classes"],
        "images": without_labels(images),
        "masks": "whole-field",
        "models": {_EMBEDDER: model},
        "members": [{"model": _EMBEDDER, "strategy": "whole-image", "name": _EMBEDDER}],
        "outputs": ["embeddings"],
    }
    resolved, models, members = resolve(data, f"{spec.name}-embeddings-{number}")
    # whatever its weights tell apart, nothing is asked of it but embeddings
    models = {name: replace(one, classes=None) for name, one in models.items()}
    members = tuple(replace(one, has_classes=False, blended=False) for one in members)
    return replace(
        spec, data=data, resolved=resolved, models=models, members=members, name=resolved["name"]
    )


def vectors(files: Sequence[Path], sources: Sources) -> tuple[np.ndarray, list[str]]:
    """Embeddings (N, d) of all images, from one file or from one per source; and notes."""
    ids = np.array(sources.table.ids, dtype=object)
    if len(files) == 1:
        values, notes = read_embeddings(files[0], sources.table.ids)
        return values, list(notes)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    notes_of_all: list[str] = []
    for number, file in enumerate(files):
        rows = np.flatnonzero(sources.reader_of == number)
        if len(rows):
            values, notes = read_embeddings(file, ids[rows].tolist())
            found.append((rows, values))
            notes_of_all += notes
    rows, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return values[np.argsort(rows)], notes_of_all
