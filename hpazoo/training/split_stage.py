"""The split stage: from labelled images to folds.csv and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpazoo.registry import split_config
from hpazoo.splitters import Samples, Split, splitters
from hpazoo.training.folds import split, write_folds
from hpazoo.training.split_files import write_report
from hpazoo.training.split_report import Report, report_on


def run_split(
    samples: Samples,
    config: str | Mapping[str, Any],
    data: Path,
    *,
    notes: Sequence[str] = (),
) -> tuple[Split, Report]:
    """Divide samples by the splitter of a spec and say what the split is like.

    Parameters
    ----------
    samples
        With embeddings where the splitter names a source of them (see `source_of_embeddings`): it
        may divide by them, and the leakage figure is theirs.
    config
        The splitter, as in a spec.
    data
        Folder that relative paths lie below.
    notes
        To go into the report, such as those of `Sources`.
    """
    division = split(samples, splitters.build(config, data), split_config(config)[0])
    return division, report_on(samples, division, config, notes)


def write_split(folder: Path, ids: Sequence[str], division: Split, report: Report) -> list[Path]:
    """Write folds.csv, split.json, split.csv and split.png."""
    folds = folder / "folds.csv"
    write_folds(folds, ids, division)
    return [folds, *write_report(report, folder)]
