"""A component's signature is its schema: keyword-only parameters, read from a small closed grammar.

Allowed annotations: `bool`, `int`, `float`, `str`, `Literal`, `list` of these, `X | None`,
`Annotated` with a `Range`, a `Reference` or a `Part`, and `Options`.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hpazoo.errors import ComponentError

Json = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Bounds of a number: `ge`/`le` inclusive, `gt`/`lt` exclusive."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None

    def schema(self) -> Json:
        names = {
            "ge": "minimum",
            "le": "maximum",
            "gt": "exclusiveMinimum",
            "lt": "exclusiveMaximum",
        }
        return {
            word: value for key, word in names.items() if (value := getattr(self, key)) is not None
        }


@dataclass(frozen=True)
class Reference:
    """Text that names something: a `model` or `member` of the spec, a `card`, `class`, `path`;
    `embeddings`: a model of the spec, a card, or the path of a Parquet file; `start`: a card, a
    file, `imagenet` or `none`.
    """

    to: Literal["model", "member", "card", "class", "path", "embeddings", "start"]


@dataclass(frozen=True)
class Needs:
    """What a value of a parameter asks of the model, besides the component's own `needs`."""

    value: str
    need: str


@dataclass(frozen=True)
class Part:
    """A component of another kind, written as everywhere in a spec."""

    kind: str


@dataclass(frozen=True)
class Free:
    """A mapping with keys of a wrapped library's own, which are checked when it is built."""


ClassName = Annotated[str, Reference("class")]
CardName = Annotated[str, Reference("card")]
ModelName = Annotated[str, Reference("model")]
MemberName = Annotated[str, Reference("member")]
FilePath = Annotated[str, Reference("path")]
EmbeddingsSource = Annotated[str, Reference("embeddings")]
Options = Annotated[dict[str, Any], Free()]

_SIMPLE: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Parameter:
    """One keyword a spec may give to a component."""

    name: str
    schema: Json
    required: bool
    default: Any
    doc: str

    def as_json(self) -> Json:
        out: Json = {"schema": self.schema, "doc": self.doc}
        return out | ({"required": True} if self.required else {"default": self.default})


def parameters_of(factory: Callable[..., Any]) -> list[Parameter]:
    """Keyword-only parameters of a class or function, in the order of its signature."""
    function = factory.__init__ if inspect.isclass(factory) else factory
    hints = typing.get_type_hints(function, include_extras=True)
    docs = parameter_docs(inspect.getdoc(factory) or "")
    found = []
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            raise _bad(factory, name, "a component takes no **keywords: name every parameter")
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if name not in hints:
            raise _bad(factory, name, "it has no annotation")
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        schema = schema_of(hints[name], factory, name)
        found.append(Parameter(name, schema, required, default, docs.get(name, "")))
    return found


def schema_of(hint: Any, factory: Callable[..., Any], name: str) -> Json:
    """Draft-07 schema of one annotation."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is list and len(args) == 1:
        return {"type": "array", "items": schema_of(args[0], factory, name)}
    if origin in (Union, types.UnionType) and type(None) in args and len(args) == 2:
        inner = schema_of(next(a for a in args if a is not type(None)), factory, name)
        return _or_null(inner)
    if origin is Annotated:
        inner, *marks = args
        for mark in marks:
            if isinstance(mark, Part):
                return {"$ref": f"#/definitions/{mark.kind}"}
            if isinstance(mark, Free):
                return {"type": "object"}
        schema = schema_of(inner, factory, name)
        for mark in marks:
            if isinstance(mark, Range):
                schema |= mark.schema()
            elif isinstance(mark, Reference):
                schema["x-reference"] = mark.to
            elif isinstance(mark, Needs):
                schema["x-needs"] = schema.get("x-needs", {}) | {mark.value: mark.need}
        return schema
    raise _bad(
        factory, name, f"the annotation {hint!r} is outside the grammar of hpazoo.parameters"
    )


def parameter_docs(doc: str) -> dict[str, str]:
    """Texts of the numpydoc section `Parameters`, by name."""
    match = re.search(r"^Parameters\n-{3,}\n(.*?)(?=^\w[^\n]*\n-{3,}\n|\Z)", doc, re.M | re.S)
    docs: dict[str, str] = {}
    for name, text in re.findall(
        r"^(\w+)[^\n]*\n((?:[ \t]+[^\n]*\n?|\n)*)", match[1] if match else "", re.M
    ):
        docs[name] = " ".join(text.split())
    return docs


def _or_null(schema: Json) -> Json:
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    if "type" in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _bad(factory: Callable[..., Any], name: str, why: str) -> ComponentError:
    where = f"{factory.__module__}.{getattr(factory, '__qualname__', factory)}"
    return ComponentError(f"parameter '{name}' of {where} cannot be set from a spec: {why}")
