"""Before the first field: everything a run needs that is not there, all at once."""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpazoo.checkpoints.cache.store import local_files
from hpazoo.checkpoints.cards import find_card
from hpazoo.errors import FieldError, HpazooError
from hpazoo.paths import natural_order, user_path
from hpazoo.readers import Reader, field_ids, readers
from hpazoo.runner.asked import program_files, table_files
from hpazoo.runner.options import Settings
from hpazoo.runner.worker import build_segmenter
from hpazoo.segmenters import Segmenter
from hpazoo.spec import Model, Spec

_FILE_NAME = re.compile(r"[^/\\\x00-\x1f]+")

BYTES_PER_FIELD = 1_000_000
"""Masks and predictions of a field of 2048 px with some 30 cells, generously."""


class MissingError(HpazooError):
    """Things a run needs are missing; `items` name each, with what needs it and what to do."""

    def __init__(self, items: Sequence[str]) -> None:
        self.items = list(items)
        count = "one thing is" if len(items) == 1 else f"{len(items)} things are"
        super().__init__(f"{count} missing before this run can start:\n" + _bullets(items))


@dataclass(frozen=True)
class Ready:
    """What a run starts from."""

    reader: Reader
    segmenter: Segmenter
    fields: list[str]
    files: dict[str, list[Path]]
    """Weights of each model; none: random ones, asked for."""
    programs: dict[str, str]
    """Digests of the files behind the cards that the segmenter names."""
    tables: dict[str, str]
    """Digests of the files that blend, corrections and writers read."""

    def stamp(self, field: str) -> str:
        """Changes when the sources of the field or its cells change; why there is none, if so."""
        try:
            return f"{self.reader.stamp(field)} {self.segmenter.stamp(field)}"
        except Exception as error:  # whatever it is, a worker meets it too and sets the field aside
            return f"missing: {error}"


def preflight(
    spec: Spec,
    settings: Settings,
    folder: Path,
    models: Collection[str],
    missing: Sequence[str] = (),
) -> Ready:
    """Find all that is needed, the weights of these models among it; MissingError lists what is
    not there, `missing` before it.
    """
    data = Path(settings.data)
    items = list(missing)
    reader: Reader = readers.build(spec.resolved["images"], data)
    segmenter = build_segmenter(spec.resolved["masks"], data, settings.device)
    fields: list[str] = []
    try:
        fields = _names(reader, spec.resolved["images"]["type"])[: settings.limit]
    except HpazooError as error:
        items.append(f"images: {error}")
    if fields:
        items.extend(_masks(segmenter, fields))
        items.extend(_disk(folder, len(fields)))
    programs, lacking = program_files(spec)
    items.extend(lacking)
    tables: dict[str, str] = {}
    if models:
        tables, lacking = table_files(spec, data)
        items.extend(lacking)
    files: dict[str, list[Path]] = {}
    for name in models:
        try:
            files[name] = [] if settings.random_weights else weights_of(spec.models[name], data)
        except HpazooError as error:
            items.append(str(error))
    if items:
        raise MissingError(items)
    return Ready(reader, segmenter, fields, files, programs, tables)


def _names(reader: Reader, name: str) -> list[str]:
    """Ids of all fields; HpazooError where one cannot be the name of a file, as it will be."""
    ids = field_ids(reader, name)
    for one in ids:
        if not _FILE_NAME.fullmatch(one) or set(one) == {"."}:
            raise HpazooError(
                f"reader '{name}' calls a field {one!r}, and files are to be named after it: an id "
                "is a text without / and \\"
            )
    return ids


def weights_of(model: Model, data: Path) -> list[Path]:
    """Files of a model's weights: one, or one per fold in natural order."""
    wanted = model.checkpoint
    option = f"--set models.{model.name}.checkpoint=FILE"
    if wanted is None:
        raise HpazooError(
            f"weights of model '{model.name}': the spec names none; give them with {option}, "
            "or try shapes with --random-weights"
        )
    card = find_card(wanted)
    if card is not None and card.role == "segmentation":
        raise HpazooError(
            f"weights of model '{model.name}': card '{card.name}' is for a segmenter, "
            "not for a model"
        )
    if card is not None:
        try:
            return local_files(card)
        except HpazooError as error:
            raise HpazooError(
                f"weights of model '{model.name}': {error}\n"
                f"  for this run alone: {option}, where the spec says backbone, head and input "
                "itself; or try shapes with --random-weights"
            ) from error
    path = user_path(data, wanted)
    if path.is_file():
        return [path]
    if not any(character in wanted for character in "*?["):
        raise HpazooError(f"weights of model '{model.name}': there is no file {path}")
    pattern = user_path(Path(glob.escape(str(data))), wanted)
    # Path.glob takes no absolute pattern
    found = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207
    files = [file for file in found if file.is_file()]
    if not files:
        raise HpazooError(f"weights of model '{model.name}': no file matches {path}")
    return sorted(files, key=lambda file: natural_order(str(file)))


def _masks(segmenter: Segmenter, fields: Sequence[str]) -> list[str]:
    """Mask files that are missing, where masks are files; some may be, all may not."""
    missing = []
    for field in fields:
        try:
            segmenter.stamp(field)
        except FieldError as error:
            missing.append(str(error))
        except Exception as error:  # of a segmenter of the user's own
            missing.append(f"unexpected {type(error).__name__}: {error}")
    if len(missing) < len(fields):
        return []
    return [f"masks: none of the {len(fields)} fields has any; the first: {missing[0]}"]


def _disk(folder: Path, fields: int) -> list[str]:
    place = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free, needed = shutil.disk_usage(place).free, fields * BYTES_PER_FIELD
    if free >= needed:
        return []
    return [
        f"disk: about {needed / 1e9:.1f} GB for {fields} fields, but {place} has only "
        f"{free / 1e9:.1f} GB free; give another folder with --out"
    ]


def _bullets(items: Sequence[str]) -> str:
    return "\n".join("  - " + item.replace("\n", "\n    ") for item in items)
