"""Rows and types that are difficult to read."""

from __future__ import annotations

import dataclasses
import io
import json
import tracemalloc
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr
from typing_extensions import TypedDict

from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError, ResultSyntaxError
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format, iter_rows
from tests.results.rows.reading import BOM, Topic, read, read_until_error

TEXT_FORMATS = [Format.JSON, Format.NDJSON, Format.CSV]


@pytest.mark.parametrize("format_", [Format.NDJSON, Format.CSV])
def test_an_empty_file_has_no_rows(format_: Format) -> None:
    """An empty or blank file has no rows if the format permits that. An empty JSON document is malformed."""
    for body in (b"", BOM):
        assert read(body, Topic, format_) == []
        assert parse_document(body, list[Topic], format_) == []
        with pytest.raises(ResultSyntaxError, match="is empty"):
            read(body, Topic)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"name":"a","score":1}]',
        BOM + b'\r\n[\r\n{"name":"a","score":1}\r\n]\r\n',
        b'{"name":"a","score":1}',
    ],
)
def test_one_row_of_json(body: bytes) -> None:
    """One row, with byte order marks and line ends of another system, or without an array."""
    assert read(body, Topic) == [Topic(name="a", score=1)]


@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_marks_and_line_ends(mark: bytes, end: bytes) -> None:
    """A byte order mark is no part of the first name, CRLF no part of the last cell."""
    lines = mark + end.join([b'{"name":"a","score":1}', b"", b'{"name":"b","score":2}'])
    cells = mark + end.join([b"name,score", b'"a\r\nb ""q""",1', b"b,2", b""])
    assert [row.name for row in read(lines, Topic, Format.NDJSON)] == ["a", "b"]
    assert [row.name for row in read(cells, Topic, Format.CSV)] == ['a\r\nb "q"', "b"]


@pytest.mark.parametrize("format_", TEXT_FORMATS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_another_encoding_is_named(format_: Format, encoding: str) -> None:
    """UTF-16 and UTF-32 are rejected by name, with and without a byte order mark."""
    body = '[{"name":"é"}]'.encode(encoding)
    for call in (read, parse_document):
        advice = f"is {encoding[:6].upper()} text, not UTF-8: save it as UTF-8"
        with pytest.raises(ResultSyntaxError, match=advice):
            call(body, list[Topic], format_)  # type: ignore[operator]


@pytest.mark.parametrize("format_", TEXT_FORMATS)
def test_latin_1_is_rejected(format_: Format) -> None:
    """The error has the position of a byte that is not UTF-8. No text is changed.

    It ends a CSV and a whole document, and refuses one row of JSON.
    """
    body = 'name,score\n"é",1\n' if format_ is Format.CSV else '{"name":"é","score":1}\n'
    latin = BOM + body.encode("latin-1")
    words = f"not UTF-8 text at byte {latin.index(0xE9)}"
    with pytest.raises(ResultReadError, match=words):
        parse_document(latin, list[Any], format_)
    if format_ is Format.CSV:
        with pytest.raises(ResultSyntaxError, match=words):
            read(latin, list[Any], format_)
    else:
        (row,) = read(latin, list[Any], format_)
        assert row.errors[0]["msg"].endswith(words)


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_deep_nesting_is_no_crash(format_: Format) -> None:
    """A hundred thousand brackets are an error, in a row and in a document."""
    for body in (b"[" * 100_000, b'[{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
        if format_ is Format.NDJSON and body.endswith(b"]"):
            assert isinstance(read(body, Any, format_)[0], InvalidRow)
        else:
            with pytest.raises(ResultSyntaxError):
                read(body, Any, format_)
        with pytest.raises(ResultReadError):
            parse_document(body, Any, format_)


def test_numbers_beyond_64_bits() -> None:
    """Integers of any size are exact, and a float type has the nearest float."""
    big = 2**64 + 1
    body = f'[{{"n": {big}}}, {{"n": {-big}}}, {{"n": 1e400}}]'.encode()
    found = read(body, dict[str, int])
    assert found[:2] == [{"n": big}, {"n": -big}]
    assert isinstance(found[2], InvalidRow)
    assert read(b"n\n%d\n" % big, dict[str, int], Format.CSV) == [{"n": big}]
    wide = b"[" + b"9" * 5000 + b"]"
    with pytest.raises(ResultSyntaxError, match="out of range"):
        parse_document(wide, Any, Format.JSON)
    (row,) = read(wide)
    assert "out of range" in row.errors[0]["msg"]


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"nan"])
def test_nan_is_not_json(word: bytes) -> None:
    """RFC 8259 has no NaN; in a CSV it is text that a float may be made of."""
    for format_, body in ((Format.JSON, b'[{"a": %s}]'), (Format.NDJSON, b'{"a": %s}')):
        with pytest.raises(ResultReadError, match=r"expected|invalid number|Expecting"):
            parse_document(body % word, list[dict[str, float]], format_)
        found, error = read_until_error(body % word, dict[str, float], format_)
        assert error or isinstance(found[0], InvalidRow)
    (row,) = read(b"a\n%s\n" % word, dict[str, float], Format.CSV)
    assert row["a"] != 0


def test_repeated_headers_and_ragged_rows() -> None:
    """No cell is lost silently: repeated names are rejected, and rows of another length are invalid."""
    with pytest.raises(ResultSyntaxError, match="more than one column is called"):
        read(b"a,a\n1,2\n", dict[str, str], Format.CSV)
    found = read(b"a,b\n1\n1,2\n1,2,3\n", dict[str, str], Format.CSV)
    assert [isinstance(row, InvalidRow) for row in found] == [True, False, True]
    assert [row.raw for row in found if isinstance(row, InvalidRow)] == [["1"], ["1", "2", "3"]]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    label: str = Field(validation_alias=AliasChoices("name", "title"))
    day: date
    price: Decimal
    key: SecretStr
    either: int | str | None = None
    kind: Literal["a", "b"] = "a"


class Typed(TypedDict):
    name: str
    at: datetime


@dataclasses.dataclass
class Plain:
    name: str
    score: float = 0.0


class Pair(NamedTuple):
    name: str
    score: float


ROW = {"title": "t", "day": "2026-11-21", "price": "1.10", "key": "hunter2", "either": "x"}
STAMP = {"name": "n", "at": "2026-11-21T10:00:00Z"}


@pytest.mark.parametrize(
    ("type_", "row"),
    [
        (Strict, ROW),
        (Typed, STAMP),
        (Plain, {"name": "n", "score": "1.5"}),
        (dict[str, Any], STAMP),
        (Topic | Plain, {"name": "n", "score": 2}),
        (Topic | None, None),
        (Pair, ["n", 1.5]),
    ],
    ids=str,
)
def test_json_rows_are_those_of_pydantic(type_: Any, row: Any) -> None:
    """Aliases, strict types, unions, dates, decimals, secrets: as in the complete document."""
    body = json.dumps([row] * 3).encode()
    assert read(body, type_) == parse_document(body, list[type_], Format.JSON)
    lines = (json.dumps(row) + "\n").encode() * 3
    assert read(lines, type_, Format.NDJSON) == read(body, type_)
    assert not any(isinstance(found, InvalidRow) for found in read(body, type_))


def test_csv_rows_of_difficult_types() -> None:
    """A strict model accepts the text of CSV, and an empty cell is None if that is permitted."""
    header, cells = ",".join(ROW), ",".join(ROW.values())
    (row, empty) = read(f"{header}\n{cells}\n{cells[:-1]}\n".encode(), Strict, Format.CSV)
    assert (row.day, row.price, row.either) == (date(2026, 11, 21), Decimal("1.10"), "x")
    assert row.key.get_secret_value() == "hunter2"
    assert empty.either in ("", None)
    (stamped,) = read(b"name,at\nn,2026-11-21T10:00:00Z\n", Typed, Format.CSV)
    assert stamped["at"] == datetime(2026, 11, 21, 10, tzinfo=timezone.utc)
    assert read(b"name,score\nn,1.5\n", Plain, Format.CSV) == [Plain("n", 1.5)]


def test_an_invalid_secret_is_not_shown() -> None:
    """An error of a row names fields and types, but no values."""
    row = {**ROW, "key": ["hunter2"], "kind": "hunter2", "price": "hunter2", "hunter": "hunter2"}
    (invalid,) = read(json.dumps([row]).encode(), Strict)
    assert {e["type"] for e in invalid.errors} >= {
        "string_type",
        "literal_error",
        "extra_forbidden",
    }
    assert "hunter2" not in repr(invalid) + repr(invalid.errors) + str(invalid.error())


def test_patito_models_are_models() -> None:
    """A patito model is validated as any Pydantic model is."""
    patito = pytest.importorskip("patito", reason="patito is not installed")

    class Measured(patito.Model):  # type: ignore[misc,name-defined]
        name: str
        score: float

    assert [row.score for row in read(b"name,score\na,1\n", Measured, Format.CSV)] == [1.0]


@pytest.mark.thorough
@pytest.mark.parametrize("format_", TEXT_FORMATS)
def test_one_row_of_200_mib(format_: Format) -> None:
    """Memory is a few times the size of a row, and time is linear."""
    size = 200 << 20
    text = b"x" * size
    body = {
        Format.JSON: b'[{"name": "' + text + b'", "score": 1}]',
        Format.NDJSON: b'{"name": "' + text + b'", "score": 1}\n',
        Format.CSV: b"name,score\n" + text + b",1\n",
    }[format_]
    tracemalloc.start()
    try:
        rows = iter_rows(io.BytesIO(body), Topic, format_)
        assert [len(row.name) for row in rows if not isinstance(row, InvalidRow)] == [size]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * size
