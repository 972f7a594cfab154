"""Folds of images that belong together by their ids or by a column."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from hpazoo.errors import UsageError
from hpazoo.parameters import EmbeddingsSource, Range
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.splitters._divide import check, into_folds
from hpazoo.splitters._ids import By, Others, groups_by


@splitters.register
class Groups:
    """Keep images of one antibody, well or plate, or with the same text in a column, in one fold.

    Fields of a well, and wells of an antibody, show nearly the same: divided at random, they
    flatter every model. Groups are divided so that classes, fold sizes and images without any class
    are as even as groups allow, within one image where they can be.

    Parameters
    ----------
    by
        What the images of a group share, read from their ids, `<antibody>_<plate>_<well>_<field>`
        or `<plate>_<well>_<field>`. Plate-mates of different antibodies are hardly more alike than
        any two images; take the antibody where ids name it. An id without antibody takes that of
        other fields of the same well.
    column
        Column of the label tables that names the group instead.
    others
        What to do with images that say no group: `refuse` the split, or let each be a group
        `alone` (by antibody: those of one well together).
    folds
        How many folds to make.
    seed
        Another seed gives another division, as even.
    embeddings
        A model, card or Parquet file, for the leakage figure of the report alone.
    """

    one_of: ClassVar[list[str]] = ["by", "column"]

    def __init__(
        self,
        data: Path,
        *,
        by: By | None = None,
        column: str | None = None,
        others: Others = "refuse",
        folds: Annotated[int, Range(ge=2)] = 5,
        seed: Annotated[int, Range(ge=0)] = 0,
        embeddings: EmbeddingsSource | None = None,
    ) -> None:
        if (by is None) == (column is None):
            raise UsageError(
                "groups: give one of 'by' (antibody, plate or well) and 'column' (of the label "
                "tables), as {type: groups, by: antibody}"
            )
        self.by, self.column, self.others = by, column, others
        self.folds, self.seed, self.embeddings = folds, seed, embeddings

    def split(self, samples: Samples) -> Split:
        """Folds of equal size; HpazooError where images name no group, or too few groups."""
        check(samples, self.folds)
        group, notes = groups_by(samples, self.by, self.column, self.others)
        return into_folds(samples, group, self.folds, self.seed, notes)
