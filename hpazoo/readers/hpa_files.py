"""Fields as the Human Protein Atlas and Kaggle name their files: one file per channel."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.errors import FieldError, did_you_mean
from hpazoo.fields import CHANNELS, Field
from hpazoo.imageio import read_channel
from hpazoo.parameters import FilePath, Range
from hpazoo.paths import user_path
from hpazoo.readers import readers
from hpazoo.readers._channel_files import SUFFIXES, Found, find_channel_files
from hpazoo.readers._intensity import fixed_to_uint8, percentiles_to_uint8

_MEANING = {
    "red": "microtubules",
    "green": "protein",
    "blue": "nucleus",
    "yellow": "endoplasmic reticulum",
}


@readers.register
class HpaFiles:
    """Read fields from files named `<id>_<red|green|blue|yellow>.<png|jpg|tif|tif.gz>`.

    Sub-folders are searched too, as in an atlas download (`<antibody>/<plate>_<well>_<field>_...`).
    Composites, masks and hidden files are passed over. What a file is, is seen from its content.

    Parameters
    ----------
    root
        Folder of the images, below the data folder unless absolute.
    pixel_size
        Size of a pixel in µm; 0.08 is the atlas's. `null`: unknown.
    intensity
        How 16-bit channels become 8 bit: `percentile` puts the 99.9th percentile of each channel at
        255, as the atlas exports its images; `fixed` divides by 257.
    """

    gives: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        data: Path,
        *,
        root: FilePath,
        pixel_size: Annotated[float, Range(gt=0)] | None = 0.08,
        intensity: Literal["percentile", "fixed"] = "percentile",
    ) -> None:
        self.root = user_path(data, root)
        self.pixel_size = pixel_size
        self.intensity = intensity
        self._found: Found | None = None

    def ids(self) -> list[str]:
        """Ids of all fields that have at least one channel, sorted; looks at the folder anew."""
        self._found = find_channel_files(self.root)
        return sorted(self._found)

    def stamp(self, field_id: str) -> str:
        """Digest of the names, sizes and times of the field's files."""
        lines = []
        for files in self._channels(field_id).values():
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
        self._check_complete(field_id, channels)
        digest = hashlib.sha256()
        planes: list[np.ndarray] = []
        decisions: dict[str, list[str]] = {}
        for channel in CHANNELS:
            file = channels[channel][0]
            if file.exists() and not file.is_file():
                raise FieldError(f"{file}: is not a file that can be read")
            try:
                data = file.read_bytes()
            except OSError as error:
                raise FieldError(f"{file}: cannot be read: {error.strerror or error}") from error
            digest.update(data)
            plane, decided = read_channel(data, str(file.relative_to(self.root)))
            planes.append(plane)
            for note in decided:
                decisions.setdefault(note, []).append(channel)
        if len({plane.shape for plane in planes}) > 1:
            sizes = ", ".join(
                f"{channel} {plane.shape[1]} x {plane.shape[0]}"
                for channel, plane in zip(CHANNELS, planes, strict=True)
            )
            raise FieldError(
                f"{field_id}: its channels differ in size (width x height: {sizes}); they must "
                "show the same place at the same size"
            )
        convert = percentiles_to_uint8 if self.intensity == "percentile" else fixed_to_uint8
        pixels, converted = convert(dict(zip(CHANNELS, planes, strict=True)))
        notes = (*(f"{', '.join(names)}: {note}" for note, names in decisions.items()), *converted)
        return Field(field_id, pixels, self.pixel_size, notes, sha256=digest.hexdigest())

    def _channels(self, field_id: str) -> dict[str, list[Path]]:
        if self._found is None:
            self._found = find_channel_files(self.root)
        if field_id not in self._found:
            near = did_you_mean(field_id, self._found) if len(self._found) < 10_000 else ""
            raise FieldError(
                f"no file {field_id}_<{'|'.join(CHANNELS)}> in {self.root}{near[:300]}"
            )
        return self._found[field_id]

    def _check_complete(self, field_id: str, channels: dict[str, list[Path]]) -> None:
        for channel, files in channels.items():
            if len(files) > 1:
                names = " and ".join(str(file.relative_to(self.root)) for file in files)
                raise FieldError(
                    f"{field_id}: {len(files)} files claim its {channel} channel: {names} (in "
                    f"{self.root}). Keep one, or choose a deeper folder as root"
                )
        missing = [channel for channel in CHANNELS if channel not in channels]
        if missing:
            wanted = " and ".join(f"{name} ({_MEANING[name]})" for name in missing)
            found = ", ".join(str(files[0].relative_to(self.root)) for files in channels.values())
            raise FieldError(
                f"{field_id}: no {wanted} channel: looked in {self.root} for "
                f"{field_id}_{missing[0]}{SUFFIXES[0]} (or {', '.join(SUFFIXES[1:])}); "
                f"found {found}"
            )
