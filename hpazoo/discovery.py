"""Plugins that are installed, found in the metadata of their packages without importing any.

A plugin's package names its components in the entry-point group `hpazoo.<kind>`, as
`vendor.name = module:object`. Nothing that another package does wrong can hide them.
"""

from __future__ import annotations

import configparser
import functools
import importlib.metadata
import re
from dataclasses import dataclass

_OBJECT = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")


@dataclass(frozen=True)
class EntryPoint:
    """One line of a package's entry points. `problem` says why it cannot be used."""

    kind: str
    name: str
    provider: str
    module: str
    attribute: str
    problem: str = ""


@functools.cache
def entry_points() -> tuple[EntryPoint, ...]:
    """Entry points of all groups `hpazoo.*`; one scan a process, since it opens every package.

    A package that is there twice counts once, and what is installed wins over a leftover
    `*.egg-info` in the current folder, whose entry points may be of long ago.
    """
    found: dict[str, tuple[bool, tuple[EntryPoint, ...]]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except (OSError, UnicodeDecodeError):
            continue
        if "hpazoo." not in text:
            continue
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except Exception:  # metadata can be broken in any way; its entry points still count
            name, version = None, ""
        provider = f"{name} {version}" if name else "an unnamed package"
        key = re.sub(r"[-_.]+", "-", name or provider).lower()
        installed = distribution.read_text("RECORD") is not None
        if key not in found or (installed and not found[key][0]):
            found[key] = installed, tuple(_parse(text, provider))
    every = (point for _, points in found.values() for point in points)
    return tuple(sorted(every, key=lambda point: (point.kind, point.name, point.provider)))


def _parse(text: str, provider: str) -> list[EntryPoint]:
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=False, allow_no_value=True
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        first = str(error).partition("\n")[0]
        return [_broken("", "", provider, f"its entry points cannot be read: {first}")]
    return [
        _entry_point(section.removeprefix("hpazoo."), name, value or "", provider)
        for section in parser.sections()
        if section.startswith("hpazoo.")
        for name, value in parser.items(section)
    ]


def _entry_point(kind: str, name: str, value: str, provider: str) -> EntryPoint:
    value = value.partition("[")[0].strip()
    if not _OBJECT.fullmatch(value):
        return _broken(kind, name, provider, f"'{name} = {value}' is not 'name = module:object'")
    if not NAME.fullmatch(name):
        cure = "a plugin's name is vendor.name, in small letters, digits and hyphens"
        return _broken(kind, name, provider, f"'{name}': {cure}")
    module, attribute = value.split(":")
    return EntryPoint(kind, name, provider, module, attribute)


def _broken(kind: str, name: str, provider: str, problem: str) -> EntryPoint:
    return EntryPoint(kind, name, provider, "", "", problem)
