"""Fields as the Human Protein Atlas and Kaggle name their files: one file per channel."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.atlas_ids import SUFFIXES, NearIds
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import FieldError, HpazooError, UsageError
from hpazoo.fields import CHANNELS, Field
from hpazoo.imageio import read_channel
from hpazoo.labels import LabelTable, read_labels
from hpazoo.parameters import ClassName, FilePath, Range
from hpazoo.paths import user_path
from hpazoo.readers import readers
from hpazoo.readers._channel_files import Found, find_channel_files
from hpazoo.readers._id_list import read_id_list
from hpazoo.readers._intensity import to_uint8

_MEANING = {
    "red": "microtubules",
    "green": "protein",
    "blue": "nucleus",
    "yellow": "endoplasmic reticulum",
}
_RED_FOR_YELLOW = (
    "no yellow channel (endoplasmic reticulum): red (microtubules) was used in its place"
)


@readers.register
class HpaFiles:
    """Read fields from files named `<id>_<red|green|blue|yellow>.<png|jpg|tif|tif.gz>`.

    Sub-folders are searched too, as in an atlas download (`<antibody>/<plate>_<well>_<field>_...`).
    Composites, masks and hidden files are passed over. What a file is, is seen from its content.

    Parameters
    ----------
    root
        Folder of the images, below the data folder unless absolute.
    ids
        Only these fields: a text file with one id per line, or a CSV or TSV with a column `ID`
        (a table of labels, a sample submission) or `field`. An id without files is set aside by
        its name; where none has files, the run does not start. `null`: all fields.
    pixel_size
        Size of a pixel in µm; 0.08 is the atlas's. `null`: unknown.
    intensity
        How 16-bit channels become 8 bit: `percentile` puts the 99.9th percentile of each channel at
        255, as the atlas exports its images; `fixed` divides by 257; `none` takes grey levels as
        they are and refuses those above 255.
    missing_yellow
        What a field without a file of its yellow channel does: `red` uses the red one in its place
        and notes it; `refuse` sets the field aside, as without any other channel.
    labels
        Table of the images' labels, to learn from: a CSV or TSV with a column `ID` (or `field`),
        and their numbers or names in `Label`, `Target` or `locations`, joined by `|` or blanks, or
        a column of 0 and 1 per class.
    labels_in
        List of classes that the table is written in, where that is not the spec's: labels are
        mapped, and images whose labels all have no counterpart are left out. `null`: the spec's.
    exclude
        Classes; images that show any of them are not learned from.
    """

    gives: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        data: Path,
        *,
        root: FilePath,
        ids: FilePath | None = None,
        pixel_size: Annotated[float, Range(gt=0)] | None = 0.08,
        intensity: Literal["percentile", "fixed", "none"] = "percentile",
        missing_yellow: Literal["red", "refuse"] = "red",
        labels: FilePath | None = None,
        labels_in: Literal["hpa-2018", "hpa-2021"] | None = None,
        # The grammar of parameters writes a default as it stands in a spec; it is only read.
        exclude: list[ClassName] = [],  # noqa: B006
    ) -> None:
        self.root = user_path(data, root)
        self.id_list = None if ids is None else user_path(data, ids)
        self.pixel_size = pixel_size
        self.intensity = intensity
        self.missing_yellow = missing_yellow
        self.label_table = None if labels is None else user_path(data, labels)
        self.labels_in = labels_in
        self.exclude = tuple(exclude)
        if labels is None and (labels_in or exclude):
            raise UsageError(
                f"reader 'hpa-files': '{'labels_in' if labels_in else 'exclude'}' is said of a "
                "table of labels, but 'labels' names none"
            )
        self._found: Found | None = None
        self._near: NearIds | None = None

    def ids(self) -> list[str]:
        """Ids of all fields that have at least one channel, or the listed ones; sorted.

        Looks at the folder and the list anew. Listed ids without files are among them: `read` says
        so of each. HpazooError when none has files.
        """
        self._found, self._near = find_channel_files(self.root), None
        if self.id_list is None:
            return sorted(self._found)
        listed = read_id_list(self.id_list)
        if self._found.keys().isdisjoint(listed):
            none = f"none of its {len(listed)} ids has" if len(listed) > 1 else "its one id has no"
            raise HpazooError(
                f"{self.id_list}: {none} files among the {len(self._found)} fields of {self.root}; "
                f"the list begins with {', '.join(listed[:3])}, the folder with "
                f"{', '.join(sorted(self._found)[:3])}{self._hint(listed[0])}"
            )
        return listed

    def labels(self, classes: ClassList) -> LabelTable:
        """The table of labels, also of images that have no files here; HpazooError without one."""
        if self.label_table is None:
            raise HpazooError(
                f"the images in {self.root} have no labels; add 'labels: FILE', a table of ids and "
                "labels, to the reader 'hpa-files'"
            )
        written = class_list(self.labels_in) if self.labels_in else None
        return read_labels(self.label_table, classes, written_in=written, exclude=self.exclude)

    def stamp(self, field_id: str) -> str:
        """Digest of the names, sizes and times of the field's files."""
        lines = [] if field_id in self._files() else [f"no file of {field_id}"]
        for files in self._files().get(field_id, {}).values():
            for file in files:
                try:
                    status = file.stat()
                    lines.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
                except OSError:
                    lines.append(f"{file.name} gone")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def read(self, field_id: str) -> Field:
        """The field, 8 bit; FieldError names missing, doubled, broken or unequal files."""
        channels = self._channels(field_id)
        digest = hashlib.sha256()
        planes: dict[str, np.ndarray] = {}
        decisions: dict[str, list[str]] = {}
        for channel in (name for name in CHANNELS if name in channels):
            file = channels[channel]
            if file.exists() and not file.is_file():
                raise FieldError(f"{file}: is not a file that can be read")
            try:
                data = file.read_bytes()
            except OSError as error:
                raise FieldError(f"{file}: cannot be read: {error.strerror or error}") from error
            digest.update(data)
            planes[channel], decided = read_channel(data, str(file.relative_to(self.root)))
            for note in decided:
                decisions.setdefault(note, []).append(channel)
        if len({plane.shape for plane in planes.values()}) > 1:
            sizes = ", ".join(
                f"{channel} {plane.shape[1]} x {plane.shape[0]}"
                for channel, plane in planes.items()
            )
            raise FieldError(
                f"{field_id}: its channels differ in size (width x height: {sizes}); they must "
                "show the same place at the same size"
            )
        pixels, converted = to_uint8(planes, self.intensity, field_id)
        notes = (*(f"{', '.join(names)}: {note}" for note, names in decisions.items()), *converted)
        if "yellow" not in planes:
            pixels = pixels[[0, 1, 2, 0]]
            notes = (_RED_FOR_YELLOW, *notes)
        return Field(field_id, pixels, self.pixel_size, notes, sha256=digest.hexdigest())

    def _files(self) -> Found:
        if self._found is None:
            self._found = find_channel_files(self.root)
        return self._found

    def _hint(self, field_id: str) -> str:
        if self._near is None:
            self._near = NearIds(self._files())
        return self._near.hint(field_id)

    def _channels(self, field_id: str) -> dict[str, Path]:
        """Each channel's one file; yellow may be missing where red is used in its place."""
        if field_id not in self._files():
            asked = f", but {self.id_list} asks for it" if self.id_list else ""
            raise FieldError(
                f"no file {field_id}_<{'|'.join(CHANNELS)}> in {self.root}{asked}"
                f"{self._hint(field_id)}"
            )
        channels = self._files()[field_id]
        for channel, files in channels.items():
            if len(files) > 1:
                names = " and ".join(str(file.relative_to(self.root)) for file in files)
                raise FieldError(
                    f"{field_id}: {len(files)} files claim its {channel} channel: {names} (in "
                    f"{self.root}). Keep one, or choose a deeper folder as root"
                )
        needed = CHANNELS if self.missing_yellow == "refuse" else CHANNELS[:3]
        missing = [channel for channel in needed if channel not in channels]
        if missing:
            wanted = " and ".join(f"{name} ({_MEANING[name]})" for name in missing)
            found = ", ".join(str(files[0].relative_to(self.root)) for files in channels.values())
            cure = "; 'missing_yellow: red' uses red in its place" if missing == ["yellow"] else ""
            raise FieldError(
                f"{field_id}: no {wanted} channel: looked in {self.root} for "
                f"{field_id}_{missing[0]}{SUFFIXES[0]} (or {', '.join(SUFFIXES[1:])}); "
                f"found {found}{cure}"
            )
        return {channel: files[0] for channel, files in channels.items()}
