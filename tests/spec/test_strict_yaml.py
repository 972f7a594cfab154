from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hpazoo.spec.strict_yaml import decode, plain_scalar, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("0x1f", 31),
        ("0o17", 15),
        ("on", "on"),
        ("yes", "yes"),
        ("012", "012"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2021-05-11", "2021-05-11"),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("9" * 40, "9" * 40),
    ],
)
def test_core_schema_scalars(text: str, value: Any) -> None:
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_places_count_from_one() -> None:
    document = read("a: 1\nb:\n  c: [x, 'y z']\n", "t")
    assert document.data == {"a": 1, "b": {"c": ["x", "y z"]}}
    assert document.values["b", "c", 1][1:] == (3, 10, 5)
    assert document.keys["b", "c"][1:] == (3, 3, 1)


def test_an_alias_stands_where_it_is_used_and_its_parts_at_the_anchor() -> None:
    document = read("a: &one {x: 1}\nb: *one\n", "t")
    assert document.data["b"] == {"x": 1}
    assert document.values["b",][1:] == (2, 4, 4)
    assert document.values["b", "x"].line == 1
    assert document.keys["b",].line == 2


def test_merge_keys_are_refused_without_consequences() -> None:
    document = read("a: &x {k: 1, l: 1}\nb: {<<: *x, k: 2}\nc: {'<<': 3}\n", "t")
    assert [problem.place.line for problem in document.problems] == [2]
    assert document.data["b"] == {"k": 2, "l": 1}
    assert document.data["c"] == {"<<": 3}


@pytest.mark.parametrize(
    "text",
    ["a:\t1\n", "a: 1\t\n", "a: 1 \t# c\n", "a: [\n\t1]\n", "\t\na: 1\n", "a: '1'\t\n"],
)
def test_tabs_that_yaml_allows(text: str) -> None:
    document = read(text, "t")
    assert not document.problems
    assert str(document.data["a"]).strip("[]") == "1"


@pytest.mark.parametrize(
    "text",
    [
        *("a: 1\n  b: 2\n", "a:\n    b: 1\n  c: 2\n", "a:\n  - x\n - y\n", "a: x\n- y\n"),
        *("  a: 1\nb: 2\n", "a:\n  - x\n  b: 1\n", "a: 'It's'\n", "a: *.pth\n", "a: *\n"),
        *("a: & b\n", "a: @x\n", "a: %x\n", "%x\na: 1\n", 'a: "abc\nb: 1\n', "a: [1, 2\nb: 3\n"),
        *("a: {x: 1,\n", "a: [{x: 1]\n", "a: ]\n", "a: {x: 1}}\n", "{a: 1 #c}\n", "[1,,2]\n"),
        *("[,1]\n", "a:1\nb: 2\n", "a: 1\nb:1\nc: 1\n", "a: b\tc\n", "a: - b\n", "a: |x\n"),
        *("a: >=3\n", "a: !<x\n", "a: !x!y z\n", 'a: "\\d"\n', 'a: "\\x4"\n', "a: b: c\n"),
        *('a: "\\UFFFFFFFF"\n', "a\nb: 1\n", 'a: "x" y\n', "a: [x] y\n", "a: &x &y 1\n", ": 1\n"),
        *("a: 1\n...\nb: 2\n", "%YAML 9.9\n---\na: 1\n", "[a\n---\nb]\n", "*x : 1\n"),
        *("[- a]\n", "{a: b: c}\n", "a: {x: 1\n  y: 2}\n", "a: ? b\n"),
    ],
)
def test_the_parser_does_not_speak(text: str) -> None:
    (problem,) = read(text, "t").problems
    words = f"{problem.message} {problem.hint} {' '.join(problem.notes)}"
    for word in (
        "scalar",
        "block",
        "flow",
        "node",
        "token",
        "alphanumeric",
        "stream",
        "expected <",
    ):
        assert word not in words
    assert problem.message != "this cannot be read as YAML"


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        ("a: 1\nb: ü\n".encode("latin-1"), 2, 4, "byte 0xfc is not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, 1, "this is UTF-16, not UTF-8"),
        (b"a: 1\n\xff", 2, 1, "byte 0xff is not UTF-8"),
        (b"a: 1\0", 1, 1, "this is not a text file"),
    ],
)
def test_other_encodings(data: bytes, line: int, column: int, message: str) -> None:
    document = decode(data, "t")
    assert not isinstance(document, str)
    (problem,) = document.problems
    assert problem.place[1:3] == (line, column)
    assert problem.message == message


def test_crlf_and_byte_order_mark() -> None:
    text = decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "t")
    assert isinstance(text, str)
    assert read(text, "t").data == {"a": 1, "b": 2}


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("abz:#'\" \n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abc"), plain, min_size=1))
def test_reads_what_yaml_writes(data: dict[str, Any]) -> None:
    document = read(yaml.safe_dump(data), "t")
    assert not document.problems
    assert document.data == data
    assert set(document.values) >= {(key,) for key in data}


@given(st.text(max_size=60))
def test_never_raises(text: str) -> None:
    document = read(text, "t")
    for problem in document.problems:
        assert problem.as_text()
        assert 1 <= problem.place.line <= len(document.source.lines)
