"""The mean with weights that are fitted on fields which no member was trained on."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.ensembles import Known, Learned, ensembles
from hpazoo.ensembles._evidence import (
    canonical,
    check_numbers,
    drawn,
    evidence_of_cells,
    evidence_of_images,
    units_of,
)
from hpazoo.ensembles._tuning import Evidence, cross_fitted, fit, gain_interval, mean_precision
from hpazoo.errors import HpazooError
from hpazoo.parameters import FilePath, Range

_MOST_CELLS = 50_000
_FEW_UNITS = 20

_CURES = (
    "give the truth of fields that no member was trained on (truth: FILE), or take the ensemble "
    "'mean', with weights of your own where you have them"
)


@ensembles.register
class Tuned:
    """Average the members' probabilities, with weights fitted where the truth is known.

    Only fields count that no member, nor the weights it started from, was trained on: the run is
    refused where there is none. Weights are >= 0 and of sum 1; they make the mean over classes of
    the average precision (step-wise, as in scikit-learn) as large as it can be, and stay near to
    equal weights where there are few fields. Classes of which no such field shows an example are
    left out.

    What this gains over equal weights is measured on fields that had no part in the fit: in five
    folds, with all fields of an antibody, or else of a well, in one. Its 95 % interval comes from a
    bootstrap over these groups. Log and lock name both, and what was measured.

    Parameters
    ----------
    truth
        Table of the truth: the locations of each cell, or of each image. `null`: what the reader
        of the images knows.
    objective
        `cells` ranks cells; `images` ranks images by their best cell, where only the locations of
        images are known. `auto`: `cells` where at least half of the fields tell their cells' truth.
    adopt
        When the fitted weights are blended with: if the measured gain is above 0 (`better`), if its
        whole interval is (`sure`), or `always`. Otherwise all members count the same, and the log
        says so.
    rounds
        Of the bootstrap.
    seed
        Of folds and bootstrap; the fit itself draws nothing.
    """

    uses_weights: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("truth",)

    def __init__(
        self,
        *,
        truth: FilePath | None = None,
        objective: Literal["auto", "cells", "images"] = "auto",
        adopt: Literal["better", "sure", "always"] = "better",
        rounds: Annotated[int, Range(ge=100, le=100_000)] = 1000,
        seed: Annotated[int, Range(ge=0)] = 0,
    ) -> None:
        self.truth = truth
        self.objective = objective
        self.adopt = adopt
        self.rounds = rounds
        self.seed = seed
        self.learned: Learned | None = None

    def check(self, labelled: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """HpazooError unless at least two of the (field, seen by) with truth were left out."""
        left_out, used, by = 0, 0, Counter[str]()
        for _, seen_by in labelled:
            left_out += not seen_by
            used += bool(seen_by)
            by.update(set(seen_by))
        if left_out >= 2:
            return
        if not left_out and not used:
            raise HpazooError(
                "the ensemble 'tuned' fits weights where the truth is known, and it is known for "
                f"none of the fields; {_CURES}"
            )
        blame = "; ".join(f"{count:,} of {name}" for name, count in sorted(by.items()))
        if not left_out:
            raise HpazooError(
                f"the ensemble 'tuned': nothing was left out: all {used:,} labelled fields were in "
                f"the training data of a member ({blame}), and weights fitted there would favour "
                f"the member that remembers best; {_CURES}"
            )
        raise HpazooError(
            "the ensemble 'tuned': one labelled field was left out, and two are the least that "
            f"weights can be fitted and measured on{f' ({blame})' if by else ''}; {_CURES}"
        )

    def learn(self, known: Iterable[Known], classes: ClassList) -> Learned:
        """Fit weights to the fields that no member has seen, and measure what that gains.

        Takes memory for 50,000 cells; where there are more, fields are drawn by a digest of their
        ids. The same in whatever order fields and members come. HpazooError where nothing was left
        out, or what was does not tell enough.
        """
        labelled: list[tuple[str, tuple[str, ...]]] = []
        stream = iter(known)
        first = next(stream, None)
        if first is not None and len(first.probabilities) == 1:
            self.learned = _NOTHING_TO_TUNE
            return self.learned
        fields = drawn(
            self._left_out(itertools.chain([first] if first else [], stream), classes, labelled),
            _MOST_CELLS,
            self.seed,
        )
        self.check(labelled)
        seen = sum(bool(by) for _, by in labelled)
        notes = []
        if seen:
            notes.append(f"{seen:,} labelled fields do not count: a member was trained on them")
        if (left := len(labelled) - seen) > len(fields):
            notes.append(
                f"{len(fields):,} of {left:,} fields were drawn, which is enough to fit on"
            )
        self.learned = self._measured(fields, classes, notes)
        return self.learned

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(members, N, classes) float32 -> (N, classes) float32; after `learn` alone."""
        if self.learned is None:
            raise HpazooError("the ensemble 'tuned' has learned no weights yet: call learn()")
        own = np.asarray(self.learned.weights, np.float64)
        if len(own) != len(probabilities):
            raise HpazooError(
                f"the ensemble 'tuned' learned weights of {len(own)} members, and is to blend "
                f"{len(probabilities)}"
            )
        shares = probabilities * own[:, None, None]
        shares.sort(axis=0)  # see `mean`
        return np.asarray(shares.sum(axis=0) / math.fsum(own), np.float32)

    @staticmethod
    def _left_out(
        known: Iterable[Known], classes: ClassList, labelled: list[tuple[str, tuple[str, ...]]]
    ) -> Iterator[Known]:
        """Fields with truth that no member has seen; `labelled` gets all that have truth."""
        members = None
        for one in known:
            members = len(one.probabilities) if members is None else members
            check_numbers(one, members, len(classes))
            if one.truth is not None or one.labels is not None:
                labelled.append((one.field, one.seen_by))
                if one.left_out:
                    yield one

    def _measured(self, fields: Sequence[Known], classes: ClassList, notes: list[str]) -> Learned:
        fields, what = self._for_objective(fields, notes)
        units, told = units_of(fields, self.seed)
        build = evidence_of_cells if what == "cells" else evidence_of_images
        evidence = build(fields, units)
        shown = np.asarray(evidence.truth.any(axis=1))
        if not shown.any():
            raise HpazooError(
                f"the ensemble 'tuned': none of the {len(fields):,} labelled fields that were left "
                f"out shows any of the classes of {classes.name}; {_CURES}"
            )
        if not shown.all():
            absent = itertools.compress(classes.names, ~shown)
            notes.append(f"not fitted for, as no field left out shows them: {', '.join(absent)}")
        if not told:
            notes.append("all fields are of one antibody or well, so the gain holds within it")
        if evidence.units < _FEW_UNITS:
            notes.append(
                f"{evidence.units} independent groups of fields are few: the interval is rough"
            )
        order = canonical(evidence)
        evidence = Evidence(
            evidence.said[order][:, shown], evidence.truth[shown], evidence.unit, evidence.first
        )
        equal = np.full(evidence.members, 1 / evidence.members)
        scores, base = cross_fitted(evidence), evidence.blended(equal)
        value, before = (mean_precision(one, evidence.truth) for one in (scores, base))
        low, high = gain_interval(evidence, scores, base, self.rounds, self.seed)
        fitted = np.empty(evidence.members)
        fitted[order] = fit(evidence)
        taken = {"better": value > before, "sure": low > 0, "always": True}[self.adopt]
        if low <= 0:
            notes.append("the gain over equal weights is not sure: its interval includes 0")
        if not taken:
            notes.append(f"all members count the same, as 'adopt: {self.adopt}' asks")
        return Learned(
            weights=tuple((fitted if taken else equal).tolist()),
            fitted=tuple(fitted.tolist()),
            objective=(
                f"mean average precision of {what} over {shown.sum()} classes: "
                f"{evidence.truth.shape[1]:,} {what} of {len(fields):,} fields in "
                f"{evidence.units:,} groups by antibody or well"
            ),
            value=value,
            equal=before,
            interval=(low, high),
            fields=tuple(one.field for one in fields),
            notes=tuple(notes),
        )

    def _for_objective(
        self, fields: Sequence[Known], notes: list[str]
    ) -> tuple[Sequence[Known], str]:
        """(fields that serve the objective, `cells` or `images`)."""
        with_cells = [one for one in fields if one.truth is not None and len(one.truth)]
        enough = 2 * len(with_cells) >= len(fields) and len(with_cells) >= 2
        if self.objective == "images" or (self.objective == "auto" and not enough):
            return fields, "images"
        if len(with_cells) < 2:
            raise HpazooError(
                "the ensemble 'tuned' is to rank cells, but the truth of cells is known for "
                f"{len(with_cells)} of the {len(fields):,} fields left out; write "
                "'objective: images', or give a table of cells (truth: FILE)"
            )
        if fewer := len(fields) - len(with_cells):
            notes.append(f"{fewer:,} fields do not count: the truth of their cells is not known")
        return with_cells, "cells"


_NOTHING_TO_TUNE = Learned(
    weights=(1.0,),
    fitted=(1.0,),
    objective="none",
    value=None,
    equal=None,
    interval=None,
    fields=(),
    notes=("one member is blended: there is nothing to tune",),
)
