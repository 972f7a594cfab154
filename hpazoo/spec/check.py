"""The schema pass: violations of the JSON schema, said in the user's words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

import hpazoo
from hpazoo.errors import hint
from hpazoo.parameters import Json
from hpazoo.registry import KINDS
from hpazoo.spec.problems import Problem
from hpazoo.spec.strict_yaml import Document, Path

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}
_LATER = {"train": "a model", "training": "a spec", "metrics": "a spec"}
"""Keys of the spec language that this version does not run yet."""


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft7Validator,
    type_checker=Draft7Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def schema_problems(document: Document, schema: Json) -> list[Problem]:
    """All violations; where a value has the wrong type, nothing else is said of it."""
    errors = list(_leaves(_Validator(schema).iter_errors(document.data)))
    wrong_type: dict[Path, ValidationError] = {}
    for error in errors:
        if error.validator == "type":
            wrong_type.setdefault(tuple(error.absolute_path), error)
    problems: list[Problem] = []
    for error in errors:
        path = tuple(error.absolute_path)
        if wrong_type.get(path, error) is error:
            problems.extend(_problems(document, error, path))
    return problems


def _leaves(errors: Iterator[ValidationError]) -> Iterator[ValidationError]:
    """Errors below `allOf`, `then` and `$ref` come flat; those of `anyOf` stay one."""
    for error in errors:
        if error.validator == "allOf" and error.context:
            yield from _leaves(iter(error.context))
        else:
            yield error


def _problems(document: Document, error: ValidationError, path: Path) -> Iterator[Problem]:
    schema: Json = dict(error.schema)  # type: ignore[arg-type]
    value: Any = error.instance
    place = document.place(path)
    word = _word(path)
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(document, schema, value, path)
        case "required":
            for key in schema["required"]:
                if key not in value and f"'{key}'" in error.message:
                    yield _missing_key(document, schema, key, path)
        case "type":
            yield Problem(f"{word} must be {_type_words(schema['type'])}, {_not(value)}", place)
        case "enum":
            names = [str(name) for name in schema["enum"] if name is not None]
            shown = f"not '{value}'" if isinstance(value, str) else _not(value)
            text = f"{word} must be one of {', '.join(names)}, {shown}"
            yield Problem(text, place, hint(value, names))
        case "anyOf":
            yield _unknown_component(document, schema, value, path)
        case "const":
            text = f"version {value!r} of the spec language is not known to hpazoo {_version()}"
            yield Problem(text, place, "this version reads 'hpazoo: 1'")
        case "pattern":
            if "propertyNames" in error.absolute_schema_path:
                place, word = document.key_place((*path, value)), f"the name '{value}'"
            rule = "only letters, digits and . _ + -, beginning with a letter or a digit"
            yield Problem(f"{word} may have {rule}", place)
        case "minItems" | "minProperties" | "minLength":
            yield Problem(f"{word} is empty", place, "name at least one, or remove the key")
        case "uniqueItems":
            yield Problem(f"{word} names something twice", place)
        case bound if bound in _BOUNDS:
            limit = schema[bound]
            yield Problem(f"{word} must be {_BOUNDS[bound]} {limit}, {_not(value)}", place)
        case other:
            yield Problem(f"{word} breaks the rule '{other}': {error.message}", place)


def _unknown_keys(
    document: Document, schema: Json, value: dict[str, Any], path: Path
) -> Iterator[Problem]:
    keys = list(schema["properties"])
    owner = _owner(schema, path)
    for key in value:
        if key in schema["properties"]:
            continue
        notes = [f"keys: {', '.join(keys)}"]
        cure = hint(key, keys)
        if _LATER.get(key) == schema["x-owner"]:
            cure = f"hpazoo {_version()} predicts; it does not train or score yet"
        place = document.key_place((*path, key))
        yield Problem(f"unknown key '{key}' for {owner}", place, cure, tuple(notes))


def _missing_key(document: Document, schema: Json, key: str, path: Path) -> Problem:
    about = schema.get("properties", {}).get(key, {}).get("description", "")
    owner = _owner(schema, path)
    notes = (f"{key}: {about}",) if about else ()
    text = f"missing key '{key}' of {owner}"
    return Problem(text, document.key_place(path) if path else document.place(path), "", notes)


def _unknown_component(document: Document, schema: Json, value: Any, path: Path) -> Problem:
    place = document.place(path)
    kind = schema.get("x-kind")
    if kind is None:
        return Problem(f"{_word(path)} does not fit: {_not(value)}", place)
    noun = KINDS[kind]
    if not isinstance(value, str):
        return Problem(f"the name of a {noun} must be text, {_not(value)}", place)
    names = schema["anyOf"][0]["enum"]
    note = f"{kind}: {', '.join(names)}"
    return Problem(f"unknown {noun} '{value}'", place, hint(value, names), (note,))


def _owner(schema: Json, path: Path) -> str:
    owner: str = schema.get("x-owner", "this mapping")
    if owner == "a model" and path:
        return f"model '{path[-1]}'"
    return owner


def _word(path: Path) -> str:
    """How a user would call the value at a path."""
    if not path:
        return "a spec"
    last = path[-1]
    if isinstance(last, int):
        return f"item {last + 1} of '{path[-2]}'" if len(path) > 1 else f"item {last + 1}"
    return f"'{last}'"


def _type_words(types: str | list[str]) -> str:
    words = [_TYPES[name] for name in ([types] if isinstance(types, str) else types)]
    if words == ["text", "a mapping"]:
        return "a name, or a mapping with 'type'"
    return " or ".join(words)


def _not(value: Any) -> str:
    """`not 5`, `not text ('5')`, `not a list`."""
    if value is None:
        return "not empty"
    if isinstance(value, bool):
        return f"not {str(value).lower()}"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "..."
        return f"not text ('{shown}')"
    if isinstance(value, list):
        return "not a list"
    if isinstance(value, dict):
        return "not a mapping"
    return f"not {value}"


def _version() -> str:
    return hpazoo.__version__
