"""A component written on the command line: its name, or a mapping of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpazoo.registry import KINDS
from hpazoo.spec import strict_yaml
from hpazoo.spec.catalog import components, description
from hpazoo.spec.check import schema_problems
from hpazoo.spec.problems import Problem, Source, SpecError
from hpazoo.spec.schema import build_from


def component_from_text(
    option: str,
    kind: str,
    text: str,
    example: str,
    forgive: Callable[[Problem], bool] = lambda problem: False,
) -> str | dict[str, Any]:
    """`hpa-map` or `{type: hpa-map, iou: .5}`, checked as in a spec; SpecError says what is wrong.

    `example` is a mapping that a message can show; problems that `forgive` knows do not count.
    """
    document = strict_yaml.parse(text, Source(option, tuple(text.splitlines() or [""])))
    value = document.data
    if not document.problems and not isinstance(value, str | dict):
        cure = f"write {option} NAME, or {option} '{example}'"
        what = f"expected the name of a {KINDS[kind]}, or a mapping with 'type'"
        document.problems.append(Problem(what, document.place(()), cure))
    if not document.problems:
        name = value if isinstance(value, str) else value.get("type")
        used = [one for one in components(kind) if "." not in one or one == name]
        described = {kind: {one: description(kind, one) for one in used}}
        definitions = build_from(described)["definitions"]
        schema = {"$ref": f"#/definitions/{kind}", "definitions": definitions}
        found = schema_problems(document, schema)
        document.problems.extend(problem for problem in found if not forgive(problem))
    if document.problems:
        raise SpecError(document.problems)
    config: str | dict[str, Any] = value
    return config
