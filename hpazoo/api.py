"""hpazoo from Python: what `import hpazoo` offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpazoo.errors import HpazooError
from hpazoo.registry import register
from hpazoo.runner.options import Options, wait_passively
from hpazoo.runner.stages import LAST
from hpazoo.spec import Spec, SpecError, load

if TYPE_CHECKING:
    from hpazoo.evaluation import evaluate
    from hpazoo.models import build_model
    from hpazoo.regions import Regions
    from hpazoo.runner.finished import Run
    from hpazoo.runner.stages import Stage
    from hpazoo.studies.study import Studied

__all__ = [
    "HpazooError",
    "Regions",
    "SpecError",
    "build_model",
    "evaluate",
    "load",
    "register",
    "run",
    "study",
]


def run(
    spec: Spec | str | Path,
    *,
    images: str | Path | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    settings: Sequence[str] = (),
    until: Stage = LAST,
    fresh: bool = False,
    random_weights: bool = False,
    device: str | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    limit: int | None = None,
    accelerate: str | None = None,
    processes: int | None = None,
    reuse: str | Path | None = None,
    cache: str | Path | None = None,
    profile: bool = False,
    quiet: bool = True,
) -> Run:
    """Run a spec, as `hpazoo run` does; the options are those of the command line.

    Returns
    -------
    Run
        `predictions` is a data frame with a row per cell, `folder` holds all files.

    Examples
    --------
    >>> run("quickstart", out="runs/q", random_weights=True).predictions  # doctest: +SKIP
    """
    from hpazoo.runner.run import run as run_spec

    spec = _loaded(spec, images, settings, study=False)
    options = Options(
        data=None if data is None else Path(data),
        device=device,
        workers=workers,
        batch_size=batch_size,
        precision=precision,
        limit=limit,
        random_weights=random_weights,
        accelerate=accelerate,
        processes=processes,
        reuse=None if reuse is None else Path(reuse),
        cache=None if cache is None else Path(cache),
        profile=profile,
    )
    folder = None if out is None else Path(out)
    return run_spec(spec, folder, options, until=until, fresh=fresh, quiet=quiet)


def study(
    spec: Spec | str | Path,
    *,
    images: str | Path | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    settings: Sequence[str] = (),
    first: int = 0,
    device: str | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    accelerate: str | None = None,
    processes: int | None = None,
    cache: str | Path | None = None,
    quiet: bool = True,
) -> Studied:
    """Run a spec with other seeds and in its variants, and compare, as `hpazoo study` does.

    The spec has a section `study`; the options are those of the command line. `first` is the number
    of the first repeat: other numbers are other seeds.

    Raises
    ------
    SpecError
        Where the spec or one of its variants is wrong, or has no study.
    HpazooError
        Where a run cannot go on, or what is asked for cannot be compared; finished runs are kept.

    Returns
    -------
    Studied
        `findings` has an entry per comparison, `runs` the scores of all arms, `folder` all files.

    Examples
    --------
    >>> study("benchmark-synthetic", out="runs/study").findings  # doctest: +SKIP
    """
    from hpazoo.studies.study import study as study_spec

    options = Options(
        data=None if data is None else Path(data),
        device=device,
        workers=workers,
        batch_size=batch_size,
        precision=precision,
        accelerate=accelerate,
        processes=processes,
        cache=None if cache is None else Path(cache),
    )
    folder = None if out is None else Path(out)
    spec = _loaded(spec, images, settings)
    return study_spec(spec, folder, options, first=first, quiet=quiet)


def _loaded(
    spec: Spec | str | Path, images: str | Path | None, settings: Sequence[str], study: bool = True
) -> Spec:
    """The spec, with these changes; a run knows nothing of its study."""
    if not isinstance(spec, Spec):
        folder_of = None if images is None else str(images)
        return load(spec, settings=settings, images=folder_of, study=study)
    if not settings and images is None:
        return spec
    folder = spec.images if images is None else str(images)
    return load(spec.path, settings=[*spec.settings, *settings], images=folder, study=study)


def __getattr__(name: str) -> Any:
    """Names that need torch or pandas are imported on use."""
    if name == "build_model":
        wait_passively()
        from hpazoo.models import build_model

        return build_model
    if name == "evaluate":
        from hpazoo.evaluation import evaluate

        return evaluate
    if name == "Regions":
        wait_passively()
        from hpazoo.regions import Regions

        return Regions
    raise AttributeError(name)
