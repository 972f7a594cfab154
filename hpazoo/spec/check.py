"""The schema pass: violations of the JSON schema, said in the user's words."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from hpazoo.errors import hint, nearest
from hpazoo.parameters import Json
from hpazoo.registry import KINDS
from hpazoo.spec.problems import Problem
from hpazoo.spec.strict_yaml import Document, Path
from hpazoo.version import VERSION

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
_QUOTE = "put it in quotes"
_EMPTY = {
    "minItems": "name at least one, or remove the key",
    "minProperties": "name at least one",
    "minLength": "give a value, or remove the key",
}


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
    """All violations, noted in the document; of a value of the wrong type nothing else is said."""
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
            document.wrong.add(path)
    return problems


def misspelt(value: Json, keys: Iterable[str]) -> dict[str, str]:
    """Unknown key -> the absent one that it was probably meant to be."""
    known = list(keys)
    absent = [key for key in known if key not in value]
    found = {}
    for key in value:
        if key not in known:
            before = key.partition(":")[0]
            found[key] = before if before in absent else nearest(key, absent)
    return {key: near for key, near in found.items() if near}


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
    word, shown = _word(path), _not(value, document.written(path))
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(document, schema, value, path)
        case "required":
            meant = misspelt(value, schema["properties"])
            for key in schema["required"]:
                if f"'{key}'" not in error.message or key in value:
                    continue
                if key not in meant.values():
                    yield missing_key(document, schema, key, path)
                elif "additionalProperties" not in schema:
                    # of a component without type no keys are known, so none is refused elsewhere
                    yield from _unknown_keys(document, schema, value, path, only=meant)
        case "type":
            text = f"{word} must be {_type_words(schema['type'])}, {shown}"
            yield Problem(text, place, _cure(schema["type"], value, path))
        case "enum":
            names = [str(name) for name in schema["enum"] if name is not None]
            if isinstance(value, str):
                shown = f"not '{_short(value)}'"
            text = f"{word} must be one of {', '.join(names)}, {shown}"
            cure = _QUOTE if not isinstance(value, str) and shown[4:] in names else ""
            yield Problem(text, place, cure or hint(value, names))
        case "anyOf":
            yield _unknown_component(document, schema, value, path)
        case "const":
            text = f"{word} must be {schema['const']}, {shown}"
            if path == ("hpazoo",) and _is_number(None, value):
                number = document.written(path) or value
                text = f"version {number} of the spec language is not known to hpazoo {VERSION}"
            yield Problem(text, place, f"this version reads 'hpazoo: {schema['const']}'")
        case "pattern":
            if "propertyNames" in error.absolute_schema_path:
                place, word = document.key_place((*path, value)), f"the name '{_short(value)}'"
            rule = "may have only letters, digits and . _ + -, beginning with a letter or a digit"
            if "x-rule" in schema:
                rule = f"must be {schema['x-rule']}"
            yield Problem(f"{word} {rule}", place)
        case "minItems" if value:
            text = f"{word} names {len(value)}, and takes at least {schema['minItems']}"
            yield Problem(text, place)
        case "maxItems" | "maxProperties" as limit:
            text = f"{word} names {len(value)}, and takes at most {schema[limit]}"
            yield Problem(text, place)
        case "minItems" | "minProperties" | "minLength" as limit:
            yield Problem(f"{word} is empty", place, _EMPTY[limit])
        case "uniqueItems":
            yield Problem(f"{word} names something twice", place)
        case bound if bound in _BOUNDS:
            yield Problem(f"{word} must be {_BOUNDS[bound]} {schema[bound]}, {shown}", place)
        case other:
            yield Problem(f"{word} breaks the rule '{other}': {error.message}", place)


def _unknown_keys(
    document: Document, schema: Json, value: Json, path: Path, only: Container[str] | None = None
) -> Iterator[Problem]:
    keys = list(schema["properties"])
    owner = _owner(schema, path)
    meant = misspelt(value, keys)
    for key in value:
        if key in schema["properties"] or (only is not None and key not in only):
            continue
        notes = [] if only else [f"keys: {', '.join(keys)}"]
        cure = f"did you mean '{meant[key]}'?" if key in meant else ""
        if key.startswith(f"{meant.get(key)}:"):
            cure = "a space is missing after ':'"
        place = document.key_place((*path, key))
        yield Problem(f"unknown key '{_short(key)}' for {owner}", place, cure, tuple(notes))


def missing_key(document: Document, schema: Json, key: str, path: Path) -> Problem:
    about = schema.get("properties", {}).get(key, {}).get("description", "")
    owner = _owner(schema, path)
    notes = (f"{key}: {about}",) if about else ()
    text = f"missing key '{key}' of {owner}"
    return Problem(text, document.key_place(path) if path else document.place(path), "", notes)


def _unknown_component(document: Document, schema: Json, value: Any, path: Path) -> Problem:
    place = document.place(path)
    kind = schema.get("x-kind")
    shown = _not(value, document.written(path))
    if kind is None:
        return Problem(f"{_word(path)} does not fit: {shown}", place)
    noun = KINDS[kind]
    if not isinstance(value, str):
        return Problem(f"the name of a {noun} must be text, {shown}", place)
    names = schema["anyOf"][0]["enum"]
    note = f"{kind}: {', '.join(names)}"
    return Problem(f"unknown {noun} '{_short(value)}'", place, hint(value, names), (note,))


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


def _not(value: Any, written: str) -> str:
    """`not 5`, `not text ('5')`, `not a list`; numbers as they were written."""
    if value is None:
        return "not empty"
    if isinstance(value, str) and len(value) > 30 and value.removeprefix("-").isdecimal():
        return f"not {len(value)} digits, which count as text"
    if isinstance(value, str):
        return f"not text ('{_short(value)}')"
    if isinstance(value, list):
        return "not a list"
    if isinstance(value, dict):
        return "not a mapping"
    return f"not {written or str(value).lower()}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _cure(types: str | list[str], value: Any, path: Path) -> str:
    """What mends a value of the wrong type, where that is plain."""
    if types == "string" and isinstance(value, bool | int | float):
        return _QUOTE
    if isinstance(value, str) and re.fullmatch(r"[\w.+-]+:[^\s/].*", value):
        return "a space is missing after ':'"
    return "write 'key: value'" if isinstance(value, str) and not path else ""
