"""Rows of JSON and NDJSON: what is read, what is refused, however the bytes arrive."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, Json, TypeAdapter

from dcipher._core import json_arrays, result_text
from dcipher._core.result_errors import InvalidRow
from dcipher._core.rows import Format
from tests.core.reading import BOM, Topic, in_chunks, read, read_until_error


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 16, 1 << 18])
@pytest.mark.parametrize(
    "text",
    [
        "[]",
        " \n[ \t\r\n ] \n",
        "[1]",
        "[12,34 ,-5.5e-3, 1e5,0]",
        "[true,false,null]",
        '["a,]}[{", "\\"", "\\\\", "\\ud83d\\ude00", "é中😀"]',
        '[{"a": 1}, {"a": 2}, {"a": 3},\n{"a": 4}  ,  {"a": 5}]',
        '[{"a":[{"b":1},{"b":2}]},{"a":[{"b":3},{"b":4}]},{"a":[]}]',
        '[{"t":"},{"},{"t":"},{"},{"t":"x"}]',
        "[[1],[2],[[3],[4]],[]]",
        '[{},{},[],[],"",{}]',
        '[{"t":"NaN"},{"t":"Infinity"},{"t":"-Infinity"}]',
        '[1,"a",null,{"a":1},{"a":2},[1],[2],3]',
    ],
)
def test_an_array_has_the_rows_that_it_has(text: str, chunk: int) -> None:
    """The elements are those of `json.loads`, wherever a chunk of the file ends."""
    with in_chunks(chunk):
        assert read(text.encode()) == json.loads(text)
        assert read(BOM + text.encode()) == json.loads(text)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"},{[]é'), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(JSON_VALUES, max_size=8),
    st.sampled_from([1, 2, 3, 5, 8, 13, 64]),
    st.sampled_from([(None, (", ", ": ")), (None, (",", ":")), (1, (",", ": "))]),
    st.booleans(),
)
def test_any_values_in_any_chunks(
    values: list[object], chunk: int, style: tuple[int | None, tuple[str, str]], ascii_only: bool
) -> None:
    """Whatever the values, the layout and the chunks, JSON and NDJSON give the same rows."""
    indent, separators = style
    text = json.dumps(values, indent=indent, separators=separators, ensure_ascii=ascii_only)
    lines = "\r\n".join(json.dumps(v, ensure_ascii=ascii_only) for v in values)
    with in_chunks(chunk):
        assert read(text.encode()) == values
        assert read(lines.encode(), Any, Format.NDJSON) == values


@settings(max_examples=150, deadline=None)
@given(st.text('[]{},:" \\u1eE-.truefalsnN\n', max_size=30).map(lambda text: f"[{text}]"))
def test_what_is_accepted_is_json(text: str) -> None:
    """An array is read without an error only if it is JSON, and then it is the same."""
    found, error = read_until_error(text.encode())
    if error is None:
        assert found == json.loads(text)
    else:
        with pytest.raises(ValueError, match=r"."):
            TypeAdapter(Any).validate_json(text.replace("NaN", "?"))


@pytest.mark.parametrize("chunk", [1, 4, 1 << 18])
@pytest.mark.parametrize(
    ("text", "before", "location", "message"),
    [
        (b"", 0, "document", "is empty"),
        (BOM + b" \n", 0, "document", "is empty"),
        (b"[", 0, "[0]", "ends too early"),
        (b"[1, 2", 1, "[1]", "ends too early"),
        (b"[1, 2,", 2, "[2]", "ends too early"),
        (b'[{"a": 1}, {"a": 2}, {"a"', 2, "[2]", "ends too early"),
        (b'[1, "two', 1, "[1]", "ends too early"),
        (b'{"a": [1', 0, "document", "ends too early"),
        (b"[1,]", 1, "[1]", "Expecting value"),
        (b"[,1]", 0, "[0]", "Expecting value"),
        (b"[1 2]", 0, "[0]", "Expecting ',' or ']'"),
        (b'[{"a":1} {"a":2}]' + b" " * 99, 0, "[0]", "Expecting ',' or ']'"),
        (b"[1.]", 0, "[0]", "Expecting"),
        (b"[01]", 0, "[0]", "Expecting"),
        (b"[1}", 0, "[0]", "Expecting"),
        (b"[1]]", 1, "document", "more text"),
        (b"[1] \n {}", 1, "document", "more text"),
        (b"[] 1", 0, "document", "more text"),
        (b"1 2", 0, "document", "trailing"),
        (b"[1, NaN]", 1, "[1]", "NaN is not JSON"),
        (b"[{}, {}, {}, {}, -Infinity]", 4, "[4]", "-Infinity is not JSON"),
        (b'[{"a":1},{"a":2},{"a":3},{"a":Infinity},{"a":4}]', 3, "[3]", "Infinity is not JSON"),
        (b'{"a": NaN}', 0, "document", "expected value"),
        (b'["\n"]', 0, "[0]", "control character"),
        (b'["\\ud800"]', 0, "[0]", "hex escape"),
        (b'[1, "ok", "\xff"]', 2, "document", "not UTF-8 text at byte 11"),
        (BOM + b"[1, 2, \xc3", 2, "document", "not UTF-8 text at byte 10"),
        (b"[1, " + b"9" * 5000 + b"]", 1, "[1]", "out of range"),
        (b"[1, " + b"[" * 300 + b"]" * 300 + b"]", 1, "[1]", "recursion"),
        (b"[1, " + b"[" * 200_000 + b"]" * 200_000 + b"]", 1, "[1]", "deep|recursion|memory"),
    ],
)
def test_broken_json_is_refused_where_it_breaks(
    text: bytes, before: int, location: str, message: str, chunk: int
) -> None:
    """The rows before the damage come out, then one error that says where and what."""
    with in_chunks(chunk if len(text) < 9999 else 1 << 18):
        found, error = read_until_error(text)
    assert len(found) == before
    assert error is not None
    assert error.location == location
    assert re.search(message, error.message)


@pytest.mark.parametrize(("text", "row"), [("{}", {}), (' "a" ', "a"), ("12", 12), ("null", None)])
def test_a_document_that_is_no_array_is_one_row(text: str, row: object) -> None:
    """An object or a scalar at the top is the only row."""
    assert read(text.encode()) == [row]


def test_an_only_row_may_be_invalid() -> None:
    """One object that does not fit is an invalid row like any other."""
    (row,) = read(b'{"name": "NaN"}', Topic)
    assert isinstance(row, InvalidRow)
    assert (row.number, row.location) == (0, "[0].score")


def test_numbers_are_what_validate_json_makes_of_them() -> None:
    """Wide integers stay exact; a float that overflows is not touched here."""
    assert read(b"[123456789012345678901234567890, 1e999]") == [
        123456789012345678901234567890,
        float("inf"),
    ]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("chunk", [7, 300, 1 << 18])
def test_each_row_is_validated_once(chunk: int, *, nested: bool) -> None:
    """A validator with a memory sees each row once, invalid or not."""
    seen: list[int] = []

    def once(row: dict[str, Any]) -> dict[str, Any]:
        seen.append(row["i"])
        if row["i"] % 3 == 0:
            raise ValueError("a third")
        return row

    inside = [{"a": 1}, {"b": 2}] if nested else []
    text = json.dumps([{"i": i, "t": inside if i % 4 else []} for i in range(40)])
    with in_chunks(chunk):
        found = read(text.encode(), Annotated[dict[str, Any], AfterValidator(once)])
    assert seen == list(range(40))
    assert [isinstance(row, InvalidRow) for row in found] == [i % 3 == 0 for i in range(40)]


def test_a_field_of_json_text_that_breaks_is_an_invalid_row() -> None:
    """Broken JSON inside a string is the row's fault, not the document's."""
    (row,) = read(b'[{"a": "[1"}]', dict[str, Json[Any]])
    assert row.errors[0]["type"] == "json_invalid"
    (row,) = read(b'["[1"]', Json[Any])
    assert row.location == "[0]"


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_one_huge_element_is_read_in_linear_time(
    format_: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An element of a thousand chunks is parsed about ten times, not a thousand."""
    looks = 0
    find_end = json_arrays._find_end

    def counted(text: str, start: int) -> tuple[Any, int]:
        nonlocal looks
        looks += 1
        return find_end(text, start)

    monkeypatch.setattr(result_text, "_CHUNK", 1 << 10)
    monkeypatch.setattr(json_arrays, "_find_end", counted)
    text = json.dumps("x" * (1 << 20))
    assert read((f"[{text}]" if format_ is Format.JSON else text).encode(), str, format_) == [
        "x" * (1 << 20)
    ]
    assert looks <= 12


@pytest.mark.parametrize("chunk", [1, 3, 1 << 18])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (BOM, []),
        (b"\n \r\n\t\n", []),
        (b"1\n2\n3", [1, 2, 3]),
        (b'{"a":1}\r\n\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}]),
        (BOM + '[1]\n  [2]  \n"\u2028é"'.encode(), [[1], [2], "\u2028é"]),
        (b'{"a":"NaN"}\n{"a":"Infinity"}', [{"a": "NaN"}, {"a": "Infinity"}]),
    ],
)
def test_ndjson_is_read_by_line(text: bytes, expected: list[object], chunk: int) -> None:
    """Blank lines, CRLF, a byte order mark and a missing last newline do not matter."""
    with in_chunks(chunk):
        assert read(text, Any, Format.NDJSON) == expected


@pytest.mark.parametrize(
    ("text", "before", "location", "message"),
    [
        (b'1\n\n{"a":', 1, "line 3", "ends too early"),
        (b"1\n2 3\n4", 1, "line 2", "trailing characters at column 3"),
        (b"1\nNaN\n", 1, "line 2", "expected value"),
        (b"1\n2\n\xff\n", 2, "document", "byte 4"),
    ],
)
def test_a_line_that_is_not_json_ends_the_reading(
    text: bytes, before: int, location: str, message: str
) -> None:
    """A broken or cut line is an error of the document, never a row to skip."""
    found, error = read_until_error(text, Any, Format.NDJSON)
    assert len(found) == before
    assert error is not None
    assert (error.location, message in error.message) == (location, True)
