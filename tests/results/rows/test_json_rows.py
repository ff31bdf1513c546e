"""Rows of JSON and NDJSON: accepted and rejected ones, in chunks of any size."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat, Json, TypeAdapter

from dcipher._results.parsing import text_reader as result_text
from dcipher._results.parsing.json import arrays as json_arrays
from dcipher._results.parsing.row_errors import InvalidRow
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from tests.results.rows.reading import BOM, Topic, in_chunks, read, read_until_error


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
    """JSON and NDJSON have the same rows for any values, layout and chunks."""
    indent, separators = style
    text = json.dumps(values, indent=indent, separators=separators, ensure_ascii=ascii_only)
    lines = "\r\n".join(json.dumps(v, ensure_ascii=ascii_only) for v in values)
    with in_chunks(chunk):
        assert read(text.encode()) == values
        assert read(lines.encode(), Any, Format.NDJSON) == values


@settings(max_examples=150, deadline=None)
@given(st.text('[]{},:" \\u1eE-.truefalsnN\n', max_size=30).map(lambda text: f"[{text}]"))
def test_only_json_is_accepted(text: str) -> None:
    """An array is read without an error only if it is JSON, and has the same value."""
    found, error = read_until_error(text.encode())
    if error is None and not any(isinstance(row, InvalidRow) for row in found):
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
        (b"[1,]", 1, "[1]", "Expecting value at byte 3"),
        (b"[,1]", 0, "[0]", "Expecting value"),
        (b"[1 2]", 0, "[0]", "Expecting ',' or ']' at byte 2"),
        (b'[{"a":1} {"a":2}]' + b" " * 99, 0, "[0]", "Expecting ',' or ']'"),
        (b"[1.]", 0, "[0]", "Expecting"),
        (b"[01]", 0, "[0]", "Expecting"),
        (b"[1}", 0, "[0]", "Expecting"),
        (b"[1]]", 1, "document", "more text"),
        (b"[1] \n {}", 1, "document", "more text"),
        (b"[] 1", 0, "document", "more text"),
        (b"1 2", 0, "document", "trailing"),
        (b'["a, "b"]', 0, "[0]", "Expecting ',' or ']'"),
        (b'["\\x", 1]', 0, "[0]", r"Invalid \\escape at byte 2$"),
        (BOM + b"[1, 2, \xc3", 2, "[2]", "Expecting value at byte 10"),
        (b"[1, " + b"[" * 200_000 + b"]" * 200_000 + b"]", 1, "[1]", "deep|recursion|memory"),
    ],
)
def test_malformed_json_is_rejected_at_its_position(
    text: bytes, before: int, location: str, message: str, chunk: int
) -> None:
    """The rows before are returned, and then one error with position and reason."""
    with in_chunks(chunk if len(text) < 9999 else 1 << 18):
        found, error = read_until_error(text)
    assert len(found) == before
    assert error is not None
    assert (error.location, error.row) == (location, None if location == "document" else before)
    assert re.search(message, error.message)
    assert not error.message.endswith((" at", ":"))


@pytest.mark.parametrize(("text", "row"), [("{}", {}), (' "a" ', "a"), ("12", 12), ("null", None)])
def test_a_document_that_is_not_an_array_is_one_row(text: str, row: object) -> None:
    """An object or a scalar is the only row."""
    assert read(text.encode()) == [row]


def test_an_only_row_may_be_invalid() -> None:
    """One object that does not fit is an invalid row like any other."""
    (row,) = read(b'{"name": "NaN"}', Topic)
    assert isinstance(row, InvalidRow)
    assert (row.number, row.location) == (0, "[0].score")


SHORT_OF_A_ROW = [
    (b'"\\ud800"', "hex escape"),
    (b'"\\udc00 \\ud800"', "hex escape|surrogate"),
    (b'{"a": "\\ud83d\\u0041"}', "hex escape|surrogate"),
    (b'{"\\udfff": 1}', "hex escape|surrogate"),
    (b'"\xff"', "is not UTF-8 text at byte "),
    (b'{"a": "\xed\xa0\x80"}', "is not UTF-8 text at byte "),
    (b'"a\0b"', "control character"),
    (b'["\t"]', "control character"),
    (b"NaN", "expected value"),
    (b'{"a": -Infinity}', "invalid number|expected"),
    (b"[" * 300 + b"]" * 300, "recursion"),
    (b'{"a":' * 300 + b"1" + b"}" * 300, "recursion"),
    (b"9" * 5000, "out of range"),
]


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
@pytest.mark.parametrize("chunk", [7, 1 << 18])
@pytest.mark.parametrize("type_", [Any, dict[str, Any]])
@pytest.mark.parametrize(("row", "message"), SHORT_OF_A_ROW, ids=lambda value: str(value)[:20])
def test_an_error_inside_a_row_makes_that_row_invalid(
    row: bytes, message: str, type_: Any, chunk: int, format_: Format
) -> None:
    """A malformed row with a known end is rejected, and the rows around it are read."""
    good = b'{"a":1}'
    parts = [good, row, good, row, good]
    body = b"[" + b",".join(parts) + b"]" if format_ is Format.JSON else b"\n".join(parts)
    with in_chunks(chunk):
        found = read(BOM + body, type_, format_)
    assert [found[0], found[2], found[4]] == [{"a": 1}] * 3
    assert [(found[n].number, found[n].location) for n in (1, 3)] == [(1, "[1]"), (3, "[3]")]
    assert [found[n].line for n in (1, 3)] == ([None] * 2 if format_ is Format.JSON else [2, 4])
    (detail,) = found[3].errors
    assert detail["type"] == "json_invalid"
    assert re.search(message, detail["msg"])
    if b"\xff" in row:  # in the file, with its mark
        assert detail["msg"].endswith(f"byte {(BOM + body).rindex(0xFF)}")


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_rows_nested_beyond_every_parser(format_: Format) -> None:
    """A line with closed brackets is an invalid row. The end of an element of an array is unknown."""
    deep = b"[" * 100_000 + b'"]"' + b"]" * 100_000
    if format_ is Format.NDJSON:
        first, row, last = read(b"1\n" + deep + b"\n2\n", Any, format_)
        assert (first, row.errors[0]["type"], last) == (1, "json_invalid", 2)
    else:
        assert read_until_error(b"[1," + deep + b",2]")[0] == [1]


def test_a_single_value_may_be_short_of_a_row() -> None:
    """A document that is one value, with NaN or half a surrogate in it, is one row that does not fit."""
    for body in (b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a": "\xff"}'):
        (row,) = read(body)
        assert (row.location, row.errors[0]["type"]) == ("[0]", "json_invalid")


def test_a_repeated_name_has_the_last_value() -> None:
    """RFC 8259, section 4, permits any. Pydantic, json and all readers here use the last."""
    row = b'{"a": 1, "b": 2, "a": 3}'
    assert read(b"[" + row + b"]") == read(row, Any, Format.NDJSON) == [{"a": 3, "b": 2}]
    assert read(row, dict[str, int]) == [{"a": 3, "b": 2}]


class Numbers(BaseModel):
    exact: Decimal | None = None
    floating: float | None = None
    anything: Any = None
    whole: int | None = None
    either: float | str | None = None


FAR = [
    "1e400",
    "-1E+400",
    "1e-400",
    "-12.5E-999",
    "0.1e309000",
    "9" * 400 + ".5",
    "1" + "0" * 309 + "e1",
    "1" + "0" * 220 + ".0e99",
    "1" + "0" * 210 + "e+99",
    "0." + "0" * 230 + "1E-99",
]


@pytest.mark.parametrize("number", FAR, ids=lambda number: number[:12])
def test_a_number_beyond_a_float_is_not_rounded(number: str) -> None:
    """It is text for Any and exact as Decimal in every reader; as float, it is that of Python."""
    line = f'{{"anything": {number}}}'.encode()
    for found in (
        read(line, Any, Format.NDJSON),
        read(b"[" + line + b"]"),
        read(line, dict[str, Any], Format.NDJSON),
        parse_document(b"[" + line + b"]", Any, Format.JSON),
        parse_document(line, list[dict[str, Any]], Format.NDJSON),
    ):
        assert found == [{"anything": number}]
    for format_ in (Format.JSON, Format.NDJSON):
        (row,) = read(f'{{"exact": {number}, "either": {number}}}'.encode(), Numbers, format_)
        assert (row.exact, row.either) == (Decimal(number), number)
        for type_ in (dict[str, float], Numbers):
            (row,) = read(f'{{"floating": {number}}}'.encode(), type_, format_)
            assert dict(row)["floating"] == float(number)
        (row,) = read(f'{{"floating": {number}}}'.encode(), dict[str, FiniteFloat], format_)
        assert isinstance(row, InvalidRow) == math.isinf(float(number))


def test_representable_numbers_are_numbers() -> None:
    """Large integers are exact, and text that resembles a number remains text."""
    wide = "-" + "9" * 400
    near = ["1.7976931348623157e+308", "5e-324", "1e300", "-1e-300", "0e999", "0.0E-400", "-0.0"]
    body = f'[{wide}, {", ".join(near)}, -0, "1e400", {{"e999": "a 1e-400 b\\" 1e400"}}]'.encode()
    for found in (read(body), parse_document(body, list[Any], Format.JSON)):
        assert found[0] == int(wide)
        assert [repr(n) for n in found[1:8]] == [repr(float(n)) for n in near]
        assert (repr(found[8]), found[9]) == ("0", "1e400")
        assert found[10] == {"e999": 'a 1e-400 b" 1e400'}
    assert read(f'{{"whole": {wide}, "exact": {wide}}}'.encode(), Numbers) == [
        Numbers(whole=int(wide), exact=Decimal(wide))
    ]


class Price(BaseModel):
    name: str
    price: Decimal
    share: float = 0.0
    few: Decimal | None = Field(default=None, decimal_places=2)


@pytest.mark.parametrize(
    "number", ["600000000000000.2", "-0.12345678901234567890123", "3e-324", "1.5", "1" * 40 + ".5"]
)
def test_a_decimal_has_every_digit(number: str) -> None:
    """A number as long as may be is a Decimal of the same digits, in every reader; as float, Python's."""
    line = f'{{"name": "a", "price": {number}, "share": {number}}}'.encode()
    for found in (
        read(line, Price, Format.NDJSON),
        read(b"[" + line + b"]", Price),
        parse_document(b"[" + line + b"]", list[Price], Format.JSON),
    ):
        (row,) = found
        assert (row.price, row.share) == (Decimal(number), float(number))
    assert read(f"[{number}]".encode(), Decimal) == [Decimal(number)]


def test_a_long_number_is_still_a_number() -> None:
    """It is valid as a number: not as text, and as a Decimal of few places by its float."""
    long = "0.10000000000000001"
    (row,) = read(f'[{{"name": {long}, "price": {long}}}]'.encode(), Price)
    assert isinstance(row, InvalidRow)
    assert [error["loc"] for error in row.errors] == [("name",)]
    (row,) = read(f'[{{"name": "a", "price": 1, "few": {long}}}]'.encode(), Price)
    assert row.few == Decimal("0.1")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("chunk", [7, 300, 1 << 18])
def test_each_row_is_validated_once(chunk: int, *, nested: bool) -> None:
    """A validator receives each row once, valid or not."""
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
    """An element of a thousand chunks is parsed about ten times."""
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
    ("text", "before", "line", "message"),
    [
        (b'1\n\n{"a":', 1, 3, "ends too early"),
        (b"1\n2 3\n4", 1, 2, "trailing characters at column 3"),
        (b"1\n2\n\xff\n", 2, 3, "byte 4"),
        (b'1\n"a\n', 1, 2, "control character|too early"),
        (b"1\n" + b"[" * 100_000, 1, 2, "recursion|too early"),
    ],
)
def test_a_line_that_is_cut_ends_the_reading(
    text: bytes, before: int, line: int, message: str
) -> None:
    """A line whose brackets and quotes do not close is an error of the document, never a row to skip."""
    found, error = read_until_error(text, Any, Format.NDJSON)
    assert len(found) == before
    assert error is not None
    assert (error.location, error.row, error.line) == (f"[{before}]", before, line)
    assert str(error).startswith(f"[{before}] (row {before}, line {line}): ")
    assert re.search(message, error.message)
