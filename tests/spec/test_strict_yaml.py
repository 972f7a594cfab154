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


def test_an_alias_stands_where_its_anchor_stands() -> None:
    document = read("a: &one {x: 1}\nb: *one\n", "t")
    assert document.data["b"] == {"x": 1}
    assert document.values["b", "x"].line == 1
    assert document.keys["b",].line == 2


def test_merge_keys_are_plain_text() -> None:
    assert read("a: &x {k: 1}\nb: {<<: *x}\n", "t").data["b"] == {"<<": {"k": 1}}


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
