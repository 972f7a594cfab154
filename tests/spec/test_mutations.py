"""Whatever becomes of a spec, it is answered with problems that have a place in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpazoo.paths import data_folder
from hpazoo.spec import problems_of
from hpazoo.spec.problems import Problem, as_github, as_json, as_text

SPECS = [path.read_text(encoding="utf-8") for path in data_folder("specs").glob("*.yaml")]
FOLDER = Path(__file__).parent.parent / "specs"
SPECS += [(FOLDER / "valid" / "everything.yaml").read_text(encoding="utf-8")]
ODD = [
    *("", "~", "true", "-1", "0", "1e400", ".nan", "'", '"', "[", "]", "{", "}", ":", ",", "#"),
    *("- ", "\t", "\n", "&a", "*a", "*.pth", "<<: ", "!!python/name:os", "|", ">", "%", "@", "`"),
    *(
        "[[]]",
        "{a: {b: c}}",
        "acme.net",
        ".x",
        "x" * 300,
        "蛋白质",
        "\u2028",
        "\u0301",
        "\x07",
        "🔬",
    ),
    *("hpa-2018", "hpa-2021", "densenet121", "hpa2021-6th-inception-1024", "---", "...", "'\\0'"),
]

edit = st.tuples(
    st.sampled_from(["delete", "double", "swap", "replace", "insert"]),
    st.booleans(),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(ODD),
)


def mutate(text: str, what: str, lines: bool, here: float, there: float, odd: str) -> str:
    """Change one line or one token."""
    parts = text.splitlines(keepends=True) if lines else tokens(text)
    if not parts:
        return text + odd
    a, b = int(here * len(parts)), int(there * len(parts))
    if what == "delete":
        del parts[a]
    elif what == "double":
        parts.insert(b, parts[a])
    elif what == "swap":
        parts[a], parts[b] = parts[b], parts[a]
    elif what == "replace":
        parts[a] = odd + ("\n" if lines else "")
    else:
        parts.insert(a, odd)
    return "".join(parts)


def tokens(text: str) -> list[str]:
    out, word = [], ""
    for character in text:
        if character.isalnum() or character in "_-.":
            word += character
            continue
        out += [word, character] if word else [character]
        word = ""
    return [*out, word] if word else out


def check(problems: list[Problem]) -> None:
    for problem in problems:
        source, line, column, length = problem.place
        assert 1 <= line <= len(source.lines)
        assert 1 <= column <= len(source.lines[line - 1]) + 1
        assert length >= 1
        assert problem.message
    assert len(json.loads(as_json(problems))) == len(problems)
    as_text(problems).encode()
    assert len(as_github(problems).encode().splitlines()) == len(problems)


# no database and no shrinking of what passes: the folder of a session is one file written over
QUICK: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=1600, **QUICK)
@given(st.sampled_from(SPECS), st.lists(edit, min_size=1, max_size=3))
def test_changed_specs(tmp_path: Path, text: str, edits: list[Any]) -> None:
    path = tmp_path / "spec.yaml"
    for one in edits:
        text = mutate(text, *one)
    path.write_bytes(text.encode())
    check(problems_of(path))


@settings(max_examples=300, **QUICK)
@given(
    st.sampled_from(SPECS),
    st.sampled_from(
        ["", "members", "models", "images", "outputs", "name", "lock", "masks", "study"]
    ),
    st.lists(st.sampled_from(["0", "²", "x", "", "type", "size", "9" * 30, "input"]), max_size=3),
    st.lists(st.sampled_from(ODD), max_size=3),
)
def test_changed_by_options(
    tmp_path: Path, text: str, first: str, rest: list[str], odd: list[str]
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(text.encode())
    setting = ".".join([first, *rest]) + "=" + "".join(odd)
    check(problems_of(path, settings=[setting]))


@settings(max_examples=250, **QUICK)
@given(st.sampled_from(SPECS), st.floats(0, 1, exclude_max=True), st.binary(max_size=4))
def test_changed_bytes(tmp_path: Path, text: str, where: float, odd: bytes) -> None:
    path = tmp_path / "spec.yaml"
    data = text.encode()
    at = int(where * len(data))
    path.write_bytes(data[:at] + odd + data[at + len(odd) :])
    check(problems_of(path))
