"""What became of the tensors of a file and of those of the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpazoo.checkpoints.describe import groups

COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file and of those of the model."""

    path: Path
    format: str
    """Name of the format, or `program`."""
    used: tuple[str, ...] = ()
    """Tensors of the model that came from the file, by the model's names."""
    ignored: tuple[str, ...] = ()
    """Entries of the file that the network does not use, by the file's names."""
    missing: tuple[str, ...] = ()
    """Tensors of the model that the file may lack: batch counters, the training-only head."""
    reset: tuple[str, ...] = ()
    """Tensors of the model that stay random, wholly or in the rows of the classes `fresh`, because
    the file is for other classes."""
    disagreeing: tuple[str, ...] = ()
    """Tensors that the file holds more than once, with different values: the last name counts."""
    widened: tuple[str, ...] = ()
    """First layers of 3 channels whose further channels started as copies of red."""
    mapped: tuple[str, ...] = ()
    """Classes whose rows came from a file for other classes."""
    fresh: tuple[str, ...] = ()
    """Classes whose rows stay random because the file has none that lead to them."""
    unsaid: tuple[str, ...] = ()
    """`large: false`: how the model was built where the file does not tell what was meant."""
    sha256: str = ""
    """Digest of a program."""
    card: dict[str, Any] | None = None
    """The card in a file of hpazoo's own format."""

    def summary(self) -> str:
        """One line for a log."""
        if self.format == "program":
            parts = [f"{self.path.name}: TorchScript program, sha256 {self.sha256}"]
        else:
            parts = [f"{self.path.name}: {len(self.used)} tensors from the format '{self.format}'"]
        if self.ignored:
            parts.append(f"not used: {groups(self.ignored)}")
        lacking = [name for name in self.missing if not name.endswith(COUNTER)]
        if len(lacking) < len(self.missing):
            parts.append("without batch counters")
        if lacking:
            parts.append(f"not in the file, random: {groups(lacking)}")
        if self.widened:
            parts.append(f"for 3 channels, the others begin as red: {', '.join(self.widened)}")
        if self.reset and not self.mapped:
            parts.append(f"for other classes, random: {groups(self.reset)}")
        if self.mapped:
            fresh = f", random for {', '.join(self.fresh)}" if self.fresh else ""
            parts.append(f"for other classes, rows of {len(self.mapped)} taken over{fresh}")
        if self.disagreeing:
            parts.append(f"{len(self.disagreeing)} copies differ, the network's own name won")
        if self.unsaid:
            parts.append(f"the file does not tell, so as the spec says: {', '.join(self.unsaid)}")
        return "; ".join(parts)
