"""A spec: an ensemble written down, checked to the last name before anything is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpazoo.errors import ComponentError, UsageError, did_you_mean
from hpazoo.paths import data_folder
from hpazoo.spec import overrides, strict_yaml
from hpazoo.spec.catalog import description
from hpazoo.spec.check import schema_problems
from hpazoo.spec.conversion import convert
from hpazoo.spec.problems import Place, Problem, SpecError
from hpazoo.spec.references import reference_problems, used_components
from hpazoo.spec.resolution import Member, Model, resolve
from hpazoo.spec.schema import build
from hpazoo.spec.strict_yaml import Document
from hpazoo.spec.study_rules import study_problems

__all__ = ["Member", "Model", "Problem", "Spec", "SpecError", "find", "load", "problems_of"]


@dataclass(frozen=True)
class Spec:
    """A valid spec.

    `data` is the spec as written, with what the command line changed; `resolved` says everything:
    defaults, and what cards bring along.
    """

    name: str
    path: Path
    data: dict[str, Any]
    resolved: dict[str, Any]
    models: dict[str, Model]
    members: tuple[Member, ...]
    document: Document
    settings: tuple[str, ...] = ()
    images: str | None = None
    """What the command line changed, so that more can be changed later."""
    warnings: tuple[Problem, ...] = ()
    """What works today but should be written otherwise."""

    @property
    def lock(self) -> dict[str, Any]:
        """What an earlier run recorded, when the spec is the lock of a run; else empty."""
        return dict(self.data.get("lock") or {})

    def require(self, *keys: str) -> None:
        """SpecError when keys are missing that may be absent in general, but not for this work."""
        hints = {"images": "or give --images DIR"}
        place = Place(self.document.source, 1, 1)
        missing = [
            Problem(f"missing key '{key}' of a spec that is run", place, hints.get(key, ""))
            for key in keys
            if key not in self.data
        ]
        if missing:
            raise SpecError(missing)


def find(spec: str | Path) -> Path:
    """File of a spec that is named by path or, for shipped ones, by name."""
    path = Path(spec)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise UsageError(f"no spec '{str(spec)[:40]}...': {error.strerror}") from error
    shipped = {file.stem: file for file in data_folder("specs").glob("*.yaml")}
    if str(spec) in shipped:
        return shipped[str(spec)]
    if path.is_dir():
        raise UsageError(f"{spec} is a folder; name the spec's file")
    near = did_you_mean(path.stem, shipped).removeprefix("; ")
    raise UsageError(f"no spec '{spec}': there is no such file, nor a shipped spec; {near}")


def load(
    spec: str | Path,
    *,
    settings: Sequence[str] = (),
    images: str | None = None,
    study: bool = True,
) -> Spec:
    """Read and check a spec.

    Parameters
    ----------
    spec
        Path of a YAML file, or the name of a shipped spec.
    settings
        Changes, each `a.b=VALUE`, checked like the file.
    images
        Folder that replaces `images` by `{type: hpa-files, root: <folder>}`.
    study
        False: take no notice of the section `study`, which is nothing for a run.

    Raises
    ------
    SpecError
        With all problems at once, in file order.
    UsageError
        When there is no such file.
    """
    path = find(spec)
    document = _read(path, settings, images)
    if not study:
        document = document.without("study")
    warnings = tuple(convert(document))
    problems = _check(document)
    if problems:
        raise SpecError(problems)
    name = document.data.get("name") or path.stem
    resolved, models, members = resolve(document.data, name)
    return Spec(
        name,
        path,
        document.data,
        resolved,
        models,
        members,
        document,
        tuple(settings),
        images,
        warnings,
    )


def problems_of(
    spec: str | Path, *, settings: Sequence[str] = (), images: str | None = None
) -> list[Problem]:
    """All problems of a spec; none if it is valid."""
    try:
        load(spec, settings=settings, images=images)
    except SpecError as error:
        return error.problems
    return []


def _read(path: Path, settings: Sequence[str], images: str | None) -> Document:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    text = strict_yaml.decode(data, str(path))
    if isinstance(text, Document):
        return text
    document = strict_yaml.read(text, str(path))
    overrides.apply(document, settings, images)
    return document


def _works(kind: str, name: str) -> bool:
    """Whether a plugin's component can be described; if not, the reference pass says why."""
    try:
        description(kind, name)
    except ComponentError:
        return False
    return True


def _check(document: Document) -> list[Problem]:
    if document.data is None and document.problems:
        return document.problems
    used = [
        (kind, name)
        for kind, _, config in used_components(document.data)
        if isinstance(name := config.get("type") if isinstance(config, dict) else config, str)
        and "." in name
        and _works(kind, name)
    ]
    return [
        *document.problems,
        *schema_problems(document, build(used)),
        *reference_problems(document),
        *study_problems(document, _check),
    ]
