"""One part of the images for validation, the rest for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hpazoo.errors import UsageError
from hpazoo.parameters import EmbeddingsSource, Range
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.splitters._divide import check, hold_out
from hpazoo.splitters._ids import By, Others, groups_by


@splitters.register
class Holdout:
    """Hold a share of the images out as fold 0; all others are trained on.

    Every class is held out by the same share, within one image where it can be. Images are divided
    one by one, or by groups (see `groups`); near-duplicates of an image that is held out then stay
    out of training.

    Parameters
    ----------
    share
        Of the images to hold out, to a thousandth.
    by
        What the images of a group share, read from their ids.
    column
        Column of the label tables that names the group instead.
    others
        What to do with images that say no group: `refuse` the split, or let each be a group
        `alone` (by antibody: those of one well together).
    seed
        Another seed gives another division, as even.
    embeddings
        A model, card or Parquet file, for the leakage figure of the report alone.
    """

    folds: int | None = 1

    def __init__(
        self,
        data: Path,
        *,
        share: Annotated[float, Range(gt=0, lt=1)] = 0.2,
        by: By | None = None,
        column: str | None = None,
        others: Others = "refuse",
        seed: Annotated[int, Range(ge=0)] = 0,
        embeddings: EmbeddingsSource | None = None,
    ) -> None:
        if by is not None and column is not None:
            raise UsageError("holdout: give 'by' or 'column', not both")
        self.share, self.seed = share, seed
        self.by, self.column, self.others = by, column, others
        self.embeddings = embeddings

    def split(self, samples: Samples) -> Split:
        """Fold 0 and -1; HpazooError where images name no group, or there is one group alone."""
        check(samples, 2)
        group, notes = groups_by(samples, self.by, self.column, self.others)
        found = hold_out(samples, group, self.share, self.seed, notes)
        grouped = self.by is not None or self.column is not None
        return found if grouped else Split(found.fold, None, found.notes)
