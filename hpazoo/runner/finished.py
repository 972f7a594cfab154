"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpazoo.errors import HpazooError
from hpazoo.fields import FieldRecord

if TYPE_CHECKING:
    import pandas as pd

    from hpazoo.evaluation import Evaluation
    from hpazoo.evaluation.blends import Blends
    from hpazoo.training.split_report import Report


@dataclass(frozen=True)
class Run:
    """A finished run. `exit_code` is 0; 3 when fields were set aside; 1 when it was the run of a
    lock and came out otherwise.
    """

    folder: Path
    fields: int
    cells: int
    classes: tuple[str, ...]
    set_aside: tuple[FieldRecord, ...]
    notes: tuple[str, ...]
    """What reading had to decide, each kind once, with the number of fields."""
    remarks: tuple[str, ...]
    outputs: tuple[Path, ...]
    stamp: str
    """Why the numbers must not be believed; empty if they may."""

    repeats: bool = True
    """Whether images and outputs are those of the lock, if a lock was run."""

    split: Report | None = None
    """How the images to learn from were divided, if that was done now."""

    evaluations: tuple[Evaluation, ...] = ()
    """Scores, where something is known of the truth."""

    blends: Blends | None = None
    """What other blends of its members say, where they were asked for."""

    left_out: tuple[Path, ...] = ()
    """Answers of networks that were trained in this run, for images that they never learned from:
    a file per model and fold.
    """

    @property
    def exit_code(self) -> int:
        return 3 if self.set_aside else 0 if self.repeats else 1

    @property
    def predictions(self) -> pd.DataFrame:
        """A row per cell, sorted by field and cell; see the `table` writer for its columns."""
        import pandas as pd

        path = self.folder / "predictions.parquet"
        if path not in self.outputs:
            why = "the run stopped before its outputs, or its spec asks for no Parquet table"
            raise HpazooError(f"there is no {path}: {why}")
        return pd.read_parquet(path)

    def calls(self) -> dict[str, int]:
        """Number of cells called for each location; empty without a Parquet table."""
        import pandas as pd

        path = self.folder / "predictions.parquet"
        if path not in self.outputs:
            return {}
        names = pd.read_parquet(path, columns=["locations"])["locations"].str.split("|").explode()
        return {str(name): int(count) for name, count in names.value_counts().items() if name}

    def first_cells(self, count: int) -> list[tuple[str, int, list[tuple[str, float]]]]:
        """(field, cell, its three likeliest locations with probabilities) of the first cells."""
        table = self.predictions.head(count)
        values = table[list(self.classes)].to_numpy()
        cells = zip(table["field"], table["cell"], values, strict=True)
        return [
            (
                str(field),
                int(cell),
                [(self.classes[k], float(row[k])) for k in (-row).argsort()[:3]],
            )
            for field, cell, row in cells
        ]
