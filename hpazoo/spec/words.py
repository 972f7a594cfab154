"""Schemas and values in the words of those who write specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpazoo.parameters import Json
from hpazoo.registry import KINDS


def values_in_words(schema: Json) -> str:
    """`whole number (>= 1) | null`: what a parameter takes, from its schema."""
    if "$ref" in schema:
        return f"a {KINDS.get(schema['$ref'].rpartition('/')[2], 'component')}"
    if "enum" in schema:
        return " | ".join(as_yaml(value) for value in schema["enum"])
    types: Any = schema.get("type", "value")
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true | false",
        "array": "list",
        "object": "mapping",
        "null": "null",
    }
    several: list[str] = types if isinstance(types, list) else [types]
    text = " | ".join(words.get(one, one) for one in several)
    if "x-reference" in schema:
        named = {"path": "path", "embeddings": "name of a model or card, or path"}
        text = named.get(schema["x-reference"], f"name of a {schema['x-reference']}")
    if types == "array":
        text += f" of {values_in_words(schema['items'])}"
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return text + (f" ({', '.join(bounds)})" if bounds else "")


def as_yaml(value: Any) -> str:
    """A value as a spec writes it, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    return str(value)
