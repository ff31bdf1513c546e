"""Rows of JSON, NDJSON and CSV: what is read, what is refused, however the bytes arrive."""

from __future__ import annotations

import csv
import gc
import io
import json
import pickle
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json, TypeAdapter
from typing_extensions import TypedDict

from dcipher._core import rows
from dcipher._core.rows import (
    Format,
    InvalidRow,
    ResultSyntaxError,
    ResultTypeError,
    adapter_for,
    iter_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

BOM = b"\xef\xbb\xbf"


class Topic(BaseModel):
    name: str
    score: float


class Loose(BaseModel):
    name: str
    score: float | None
    level: int = 1


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    count: int
    score: float | None


class Named(BaseModel):
    label: str = Field(alias="Label Name")


class AsTypedDict(TypedDict):
    name: str
    score: float


@dataclass
class AsDataclass:
    name: str
    score: float


class AsTuple(NamedTuple):
    name: str
    score: float


class Dribble(io.BytesIO):
    """A file that returns less than it is asked for, as sockets and pipes do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 3) if size and size > 0 else size)


def read(body: bytes, type_: Any = Any, format_: Format = Format.JSON) -> list[Any]:
    return list(iter_rows(io.BytesIO(body), type_, format_))


def read_until_error(
    body: bytes, type_: Any = Any, format_: Format = Format.JSON
) -> tuple[list[Any], ResultSyntaxError | None]:
    found: list[Any] = []
    try:
        for row in iter_rows(io.BytesIO(body), type_, format_):
            found.append(row)  # noqa: PERF402 - those before the error are what is asked for
    except ResultSyntaxError as error:
        return found, error
    return found, None


@contextmanager
def in_chunks(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_CHUNK", size)
        yield


# --- JSON ----------------------------------------------------------------------------------------


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
@given(
    st.binary(max_size=60)
    | st.text('[]{},:" \\1eE-.+truefalsnuNaIity\n\r', max_size=40).map(str.encode),
    st.sampled_from(list(Format)),
    st.sampled_from([Any, int, Topic, list[str], dict[str, str], str]),
    st.sampled_from([1, 4, 1 << 18]),
)
def test_any_bytes_are_rows_or_a_syntax_error(
    body: bytes, format_: Format, type_: Any, chunk: int
) -> None:
    """Nothing but rows and `ResultSyntaxError` comes out of any bytes, and chunks do not matter."""
    whole = _outcome(body, format_, type_)
    with in_chunks(chunk):
        assert _outcome(body, format_, type_) == whole


def _outcome(body: bytes, format_: Format, type_: Any) -> tuple[object, str]:
    try:
        found, error = read_until_error(body, type_, format_)
    except ResultSyntaxError as at_once:
        return [], str(at_once)
    return found, str(error)


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


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        (Format.JSON, b"[%s]" % b",".join([b'{"name":"a","score":1}'] * 9)),
        (Format.NDJSON, b"\n".join([b'{"name":"a","score":1}'] * 9)),
        (Format.CSV, b"name,score\n" + b"a,1\n" * 9),
    ],
)
def test_a_file_may_return_less_than_asked(format_: Format, text: bytes) -> None:
    """Short reads are not taken for the end."""
    assert list(iter_rows(Dribble(text), Topic, format_)) == [Topic(name="a", score=1)] * 9


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_rows_that_do_not_fit_are_in_the_stream(format_: Format) -> None:
    """An invalid row takes the place of its value, and the rows around it are read."""
    lines = [f'{{"name": "n{i}", "score": {i}}}' for i in range(10)]
    lines[3] = '{"name": 3, "score": "x"}'
    lines[7] = '{"name": "n7"}'
    text = "[" + ", ".join(lines) + "]" if format_ is Format.JSON else "\n".join(lines)
    found = read(text.encode(), Topic, format_)
    assert [i for i, row in enumerate(found) if not isinstance(row, Topic)] == [3, 7]
    assert found[3] == InvalidRow(
        3,
        "[3].name",
        (
            {"loc": ("name",), "type": "string_type", "msg": "Input should be a valid string"},
            {
                "loc": ("score",),
                "type": "float_parsing",
                "msg": "Input should be a valid number, unable to parse string as a number",
            },
        ),
    )
    assert str(found[3].error()) == "[3].name: Input should be a valid string (and 1 more)"
    assert str(found[7].error()) == "[7].score: Field required"


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
    find_end = rows._find_end

    def counted(text: str, start: int) -> tuple[Any, int]:
        nonlocal looks
        looks += 1
        return find_end(text, start)

    monkeypatch.setattr(rows, "_CHUNK", 1 << 10)
    monkeypatch.setattr(rows, "_find_end", counted)
    text = json.dumps("x" * (1 << 20))
    assert read((f"[{text}]" if format_ is Format.JSON else text).encode(), str, format_) == [
        "x" * (1 << 20)
    ]
    assert looks <= 12


@pytest.mark.parametrize("record", [{"t": "x" * 90}, {"t": [{"a": 1}, {"b": "y" * 90}]}])
@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON, Format.CSV])
def test_memory_does_not_grow_with_the_document(
    format_: Format, record: dict[str, object], tmp_path: Path
) -> None:
    """Eight megabytes of rows take less than four to read."""
    row = json.dumps(record)
    path = tmp_path / "rows"
    with path.open("w") as file:
        file.write({"json": "[", "ndjson": "", "csv": "a,b\n"}[format_])
        ends = {"json": f"{row}, ", "ndjson": f"{row}\n", "csv": "x" * 90 + ",1\n"}[format_]
        file.writelines(ends for _ in range((8 << 20) // len(ends)))
        file.write(f"{row}]" if format_ is Format.JSON else "")
    gc.collect()
    gc.disable()  # whoever reads must not depend on it
    tracemalloc.start()
    try:
        with path.open("rb") as file_:
            assert sum(1 for _ in iter_rows(file_, dict[str, Any], format_)) > 60_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 4 << 20


# --- NDJSON --------------------------------------------------------------------------------------


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


# --- CSV -----------------------------------------------------------------------------------------

TABLE = b'name,score\r\n"a, ""b""",1.5\r\n"c\r\nd",2\r\n\r\n\xc3\xa9,3'
CELLS = [('a, "b"', "1.5"), ("c\r\nd", "2"), ("é", "3")]


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 18])
@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (Any, [{"name": n, "score": s} for n, s in CELLS]),
        (dict[str, str], [{"name": n, "score": s} for n, s in CELLS]),
        (list[str], [list(cells) for cells in CELLS]),
        (Annotated[list[str], "cells"], [list(cells) for cells in CELLS]),
        (Sequence[str], [list(cells) for cells in CELLS]),
        (tuple[str, float], [(n, float(s)) for n, s in CELLS]),
        (Topic, [Topic(name=n, score=float(s)) for n, s in CELLS]),
        (AsTypedDict, [{"name": n, "score": float(s)} for n, s in CELLS]),
        (AsDataclass, [AsDataclass(n, float(s)) for n, s in CELLS]),
        (AsTuple, [AsTuple(n, float(s)) for n, s in CELLS]),
    ],
)
def test_csv_rows_become_the_type(type_: Any, expected: list[object], chunk: int) -> None:
    """Mappings go by the header, sequences by position, and cells are converted."""
    with in_chunks(chunk):
        assert read(BOM + TABLE, type_, Format.CSV) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 3)
    ),
    st.sampled_from([1, 3, 17]),
)
def test_what_the_csv_writer_writes_is_read_back(
    cells: list[tuple[str, str, str]], chunk: int
) -> None:
    """Any cells that are written as CSV come back."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *cells])
    with in_chunks(chunk):
        assert read(file.getvalue().encode(), tuple[str, str, str], Format.CSV) == cells


@pytest.mark.parametrize("text", [b"", BOM, b"name,score\n", b"\n\nname,score"])
def test_a_csv_without_records_has_no_rows(text: bytes) -> None:
    """An empty file or a header alone has no rows."""
    assert read(text, Topic, Format.CSV) == []


def test_aliases_are_the_columns_names() -> None:
    """A field is found under its alias, as in JSON."""
    assert read(b"Label Name\nx\n", Named, Format.CSV) == [Named(**{"Label Name": "x"})]


def test_an_empty_cell_is_none_only_where_empty_text_does_not_fit() -> None:
    """Empty stays text for text, is None for a number or None, and does not fit a plain number."""
    loose = read(b"name,score,level\n,,2\na,1,\na,x,3\n", Loose, Format.CSV)
    assert loose[0] == Loose(name="", score=None, level=2)
    assert (loose[1].location, loose[1].errors[0]["type"]) == ("row 1, column level", "int_parsing")
    assert loose[2].location == "row 2, column score"
    assert read(b"count,score\n1,\n2,2\n", Strict, Format.CSV) == [
        Strict(count=1, score=None),
        Strict(count=2, score=2),
    ]


@pytest.mark.parametrize(
    ("type_", "location"),
    [(Topic, "row 1, column score"), (tuple[str, float], "row 1, column score"), (int, "row 0")],
)
def test_a_csv_row_that_does_not_fit_names_its_column(type_: Any, location: str) -> None:
    """The place is the row's number and the column's name, by position too."""
    found = read(b"name,score\na,1\nb,x\n", type_, Format.CSV)
    assert next(row.location for row in found if isinstance(row, InvalidRow)) == location


@pytest.mark.parametrize(("row", "kind"), [(b"a", "too_few_cells"), (b"a,1,2", "too_many_cells")])
@pytest.mark.parametrize("type_", [Topic, list[str]])
def test_a_ragged_row_is_invalid(type_: Any, row: bytes, kind: str) -> None:
    """A row that is not as wide as the header does not shift its cells: it is invalid."""
    found = read(b"name,score\n" + row + b"\nb,2\n", type_, Format.CSV)
    assert (found[0].location, found[0].errors[0]["type"]) == ("row 0", kind)
    assert not isinstance(found[1], InvalidRow)


def test_columns_that_repeat_are_named() -> None:
    """Two columns of one name cannot be a mapping; by position they can be read."""
    with pytest.raises(ResultSyntaxError, match=r"header: .* 'a'$"):
        read(b"a,b,a\n1,2,3\n", dict[str, str], Format.CSV)
    assert read(b"a,b,a\n1,2,3\n", list[int], Format.CSV) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (b'a,b\n1,2\n"3,4\n5,6\n', 1),
        (b'a,b\n1,2\n"3"x,4\n', 1),
        (b"a,b\n1,2\n\xff,4\n", 1),
        (b'a,b\n1,2\n"' + b"x" * 200_000 + b",4\n", 1),
        (b'a,b\n1,2\n"' + b"x" * 200_000 + b'"x,4\n', 1),
    ],
)
def test_broken_csv_is_refused(text: bytes, before: int) -> None:
    """A quote that does not end, or text after it, is damage, and not a cell."""
    found, error = read_until_error(text, list[str], Format.CSV)
    assert len(found) == before
    assert error is not None


def test_a_cell_may_be_longer_than_the_csv_limit() -> None:
    """Cells beyond `csv.field_size_limit()` are read, and the limit of the process stays."""
    before = csv.field_size_limit()
    long = 'x"y\r\n,' * 50_000
    cells = [("a", long, ""), (long, "", "b"), ("z" * 200_000, "", ""), ("c", "d", "e")]
    file = io.StringIO()
    csv.writer(file).writerows([("a", "b", "c"), *cells])
    assert read(file.getvalue().encode(), tuple[str, str, str], Format.CSV) == cells
    assert csv.field_size_limit() == before


# --- errors and types ----------------------------------------------------------------------------


def test_a_binary_result_has_no_rows() -> None:
    """Rows of bytes that are in none of the formats are refused before anything is read."""
    with pytest.raises(ResultSyntaxError, match="neither JSON, NDJSON nor CSV"):
        iter_rows(io.BytesIO(b"\0"), bytes, Format.BINARY)


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def quote(value: Any) -> Any:
    raise ValueError(f"cannot take {value}, {value!r}: \x1b[31m{'long ' * 99}")


@pytest.mark.parametrize(
    "type_",
    [
        int,
        list[int],
        Annotated[Any, AfterValidator(quote)],
        list[Annotated[Any, AfterValidator(quote)]],
        Annotated[Cat | Dog, Field(discriminator="kind")],
        Literal["a"],
    ],
)
@pytest.mark.parametrize("text", ['["hunter2"]', '[["hunter2"]]', '[{"kind": "hunter2"}]'])
def test_an_error_does_not_tell_the_document(type_: Any, text: str) -> None:
    """No text of an error has a value of the document, a control character or excessive length."""
    (row,) = read(text.encode(), type_)
    error = row.error()
    for told in (str(error), repr(error), repr(row), str(pickle.dumps(error))):
        assert "hunter2" not in told
        assert "\x1b" not in told
    assert all(len(detail["msg"]) <= 200 for detail in row.errors)


def test_errors_survive_pickling() -> None:
    """Both errors come back whole from another process."""
    (row,) = read(b'[{"name": "a"}]', Topic)
    for error in (row.error(), ResultSyntaxError("[3]", "is cut")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(again), str(again)) == (type(error), str(error))
        assert (again.location, again.message, again.errors) == (
            error.location,
            error.message,
            error.errors,
        )
    assert isinstance(row.error(), ResultTypeError)


def test_errors_of_one_row_are_bounded() -> None:
    """A row with thousands of wrong values keeps a hundred reasons."""
    (row,) = read(json.dumps([["x"] * 5000]).encode(), list[int])
    assert len(row.errors) == 100


def test_adapters_are_kept_by_type() -> None:
    """A type's adapter is built once; equal unions of another order do not share theirs."""
    assert adapter_for(list[Topic]) is adapter_for(list[Topic])
    assert read(b'["1"]', int | str) == ["1"]
    assert adapter_for(Cat | Dog) is not adapter_for(Dog | Cat)


def test_a_type_without_a_hash_is_a_type() -> None:
    """Metadata that cannot be hashed does not matter."""
    assert read(b"[1]", Annotated[int, ["unhashable"]]) == [1]
