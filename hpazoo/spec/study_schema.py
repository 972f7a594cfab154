"""The schema of the section `study`."""

from __future__ import annotations

from hpazoo.parameters import Json
from hpazoo.spec.schema_parts import END, object_schema

REPEATS, ROUNDS = 3, 1000

_MOST_REPEATS, _LEAST_ROUNDS, _MOST_ROUNDS = 100, 100, 100_000
_MOST_VARIANTS = _MOST_CHANGES = 32
"""Each variant is checked as a whole spec, so a file must not ask for any number of them ..."""
_MOST_BLENDS, _MOST_CORRECTIONS = 64, 8
"""... and every blend is scored with each correction on all resamples."""

_NAME = rf"^[A-Za-z0-9](?:[A-Za-z0-9._+ -]{{0,58}}[A-Za-z0-9._+-])?{END}"
_NAME_RULE = (
    "at most 60 letters, digits, spaces and . _ + -, beginning with a letter or a digit and not "
    "ending with a space"
)
_LINE = rf"^(?=.*\S)[^\x00-\x1f\x7f\x85\u2028\u2029]+{END}"
_NAMES = {"pattern": _NAME, "x-rule": _NAME_RULE}


def study_schema() -> Json:
    """Schema of `study`; `hpazoo.spec.study_rules` knows what names must lead somewhere."""
    text: Json = {"type": "string"}
    properties: Json = {
        "repeats": {
            "type": "integer",
            "minimum": 1,
            "maximum": _MOST_REPEATS,
            "default": REPEATS,
            "description": "How often all is run; each time every seed is 1000 higher.",
        },
        "group": {
            "type": ["string", "null"],
            "minLength": 1,
            "default": None,
            "description": "Column of the images' labels: resamples draw whole groups, not fields.",
        },
        "rounds": {
            "type": "integer",
            "minimum": _LEAST_ROUNDS,
            "maximum": _MOST_ROUNDS,
            "default": ROUNDS,
            "description": "Resamples behind each interval.",
        },
        "blends": _named(
            {"type": "array", "items": text, "minItems": 2, "uniqueItems": True},
            "Members that are blended, by name of the blend; each member is an arm without that.",
        )
        | {"maxProperties": _MOST_BLENDS},
        "corrections": _named(
            {"type": "array", "items": {"$ref": "#/definitions/postprocessors"}, "minItems": 1},
            "Lists of postprocessors by name; every arm is scored without any and with each.",
        )
        | {"maxProperties": _MOST_CORRECTIONS},
        "variants": _named(
            {"type": "array", "items": text, "minItems": 1, "maxItems": _MOST_CHANGES},
            "Changes of the spec as of --set, by name; each variant is run on its own.",
        )
        | {"maxProperties": _MOST_VARIANTS},
        "choose_on": {
            "type": ["string", "null"],
            "default": None,
            "description": "Variant with other images, on which the best of several is chosen.",
        },
        "comparisons": {
            "type": "array",
            "description": "What is claimed, and which two scores say whether it holds.",
            "items": _comparison(),
            "default": [],
        },
    }
    doc = "The spec run several times, and other blends of its members compared; not for a run."
    return object_schema("'study'", properties, [], doc)


def _named(schema: Json, doc: str) -> Json:
    return {
        "type": "object",
        "description": doc,
        "propertyNames": _NAMES,
        "additionalProperties": schema,
        "default": {},
    }


def _comparison() -> Json:
    arm: Json = {
        "type": ["string", "array"],
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
    }
    variant: Json = {"type": ["string", "null"]}
    line: Json = {"type": "string", "pattern": _LINE, "x-rule": "one line of text"}
    properties: Json = {
        "claim": {**line, "description": "What is claimed, in one line."},
        "arm": {
            **arm,
            "description": "Member or blend, or 'NAME, CORRECTION'; of a list the best is taken.",
        },
        "against": {
            **arm,
            "type": ["string", "array", "number"],
            "minimum": -1,
            "maximum": 1,
            "description": "The arm it is compared with, or a number; a variant for 'optimism'.",
        },
        "variant": {**variant, "description": "Where they are compared; default: as-written."},
        "against_variant": {**variant, "description": "That of 'against', if it is another."},
        "optimism": {
            "type": "string",
            "description": "In place of 'arm': variant whose left-out images promised too much.",
        },
        "refuted": {**line, "description": "What would refute it, in words."},
    }
    return object_schema("a comparison", properties, ["claim", "against"])
