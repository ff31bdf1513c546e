"""Complete results: their format, and their value as a type."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, Json, RootModel

from dcipher._results.parsing.compression import opened
from dcipher._results.rows.documents import (
    Format,
    ResultSyntaxError,
    ResultTypeError,
    detect_format,
    parse_document,
)

BOM = b"\xef\xbb\xbf"


class Topic(BaseModel):
    name: str
    score: float


class Report(BaseModel):
    topics: list[Topic]


class Topics(RootModel[list[Topic]]):
    pass


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", Format.JSON),
        ("Application/JSON ; charset=utf-8", Format.JSON),
        ("text/json", Format.JSON),
        ("application/vnd.api+json", Format.JSON),
        ("application/x-ndjson", Format.NDJSON),
        ("application/jsonl", Format.NDJSON),
        ("application/jsonlines", Format.NDJSON),
        ("application/x-jsonlines;charset=utf-8", Format.NDJSON),
        ("text/csv; header=present", Format.CSV),
        ("application/csv", Format.CSV),
    ],
)
def test_the_content_type_decides_first(content_type: str, expected: Format) -> None:
    """It takes precedence over the name and the bytes."""
    assert detect_format(content_type, "result.bin", b"\0") is expected


@pytest.mark.parametrize(
    "content_type", [None, "", "application/octet-stream", "binary/octet-stream", "text/plain"]
)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.json", Format.JSON),
        ("dir.csv/A.JSON", Format.JSON),
        ("a.ndjson", Format.NDJSON),
        ("a.jsonl", Format.NDJSON),
        ("a.b.csv", Format.CSV),
        ("csv", Format.BINARY),
        ("a.parquet", Format.PARQUET),
        ("a.json.gz", Format.JSON),
        ("a.CSV.zst", Format.CSV),
        ("a.gz", Format.BINARY),
        (None, Format.BINARY),
    ],
)
def test_the_name_decides_without_a_specific_type(
    content_type: str | None, name: str | None, expected: Format
) -> None:
    """With a generic type, or none, the suffix decides, in any case."""
    assert detect_format(content_type, name, b"\0") is expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'[{"a": 1}]', Format.JSON),
        (BOM + b' \n {"a":\n 1}', Format.JSON),
        (b'{"a": 1}', Format.JSON),
        (b'{"a": 1}\n', Format.JSON),
        (b'{"a": 1}\r\n{"a": 2', Format.NDJSON),
        (BOM + b'{"a": 1}\n\n{"a": 2}\n', Format.NDJSON),
        (b"[1]\n[2]\n", Format.NDJSON),
        (b'[{"a": 1},\n{"a": 2}]', Format.JSON),
        (b'{"a": [1,', Format.JSON),
        (b'"text"', Format.JSON),
        (b"12", Format.JSON),
        (b"id,name\n1,x\n2,y\n3,cut", Format.CSV),
        (BOM + b'"id","name"\r\n1,"x\r\ny"\r\n', Format.CSV),
        (b'id,name\n1,"a cell that\nis cut', Format.CSV),
        ("name,é\nx,\xe9".encode()[:-1], Format.CSV),
        (b"", Format.BINARY),
        (b"plain text", Format.BINARY),
        (b"id,name", Format.BINARY),  # one line is no table
        (b"Rivers flow into lakes, and lakes into seas.", Format.BINARY),
        (b"Rivers flow, lakes rest.\nSeas rise, seas fall.\n", Format.BINARY),
        (b"Roses are red,\nviolets are blue,\n", Format.BINARY),
        (b"# Title, with more\n\n- one, two\n- three, four\n", Format.BINARY),
        (b"| a | b |\n|---|---|\n| 1 | 2 |\n", Format.BINARY),
        (b"river\nlake\nsea\n", Format.BINARY),
        (b"2026-01-01 10:00:00,123 INFO a\n2026-01-01 10:00:01,123 INFO b\n", Format.BINARY),
        (b"1,2\n3,4\n", Format.BINARY),
        (b"a,a\n3,4\n", Format.BINARY),
        (b"[Note] Rivers flow.\n", Format.BINARY),
        (b"{name} flows\n", Format.BINARY),
        (b"a\tb\n1\t2\n", Format.CSV),
        (b"a;b\r\n1,5;2\r\n", Format.CSV),
        (b"name,2025,2026\nx,1,2\n", Format.CSV),
        (b",a,b\n0,1,2\n", Format.CSV),
        (b"a,b,\n1,2,\n", Format.CSV),
        (b"sep=;\na;b\n", Format.CSV),
        (b"a,b\r1,2\r", Format.CSV),
        ("Größe,Länge\n1,2\n".encode(), Format.CSV),
        (b" 42 ", Format.JSON),
        (b'[{"a": 1}\n,{"a": 2}\n]', Format.JSON),
        (b'{"a": [1\n]\n}', Format.JSON),
        (b'{"a": 1}\n\n  \n', Format.JSON),
        (b"[1]\n2\n", Format.NDJSON),
        (b"One, two.\nThree.\n", Format.BINARY),
        (b"<html>,</html>", Format.BINARY),
        (b"\x89PNG\r\n\x1a\n,\n", Format.BINARY),
        (b"PK\x03\x04,\0", Format.BINARY),
    ],
)
def test_the_first_bytes_decide_last(head: bytes, expected: Format) -> None:
    """Without a type and a suffix, the first bytes decide."""
    assert detect_format(None, None, head) is expected


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": "%s"}\n{"a": 2}\n', Format.NDJSON),
        (BOM + b'{"a": "%s"}\r\n\r\n{"a": 2}', Format.NDJSON),
        (b'["%s"]\n[2]\n', Format.NDJSON),
        (b'{"a": "%s"}\n', Format.JSON),
        (b'{"a": "%s"}', Format.JSON),
        (b'[{"a": "%s"},\n{"a": 2}]', Format.JSON),
        (b'[{"a": "%s"}\n, {"a": 2}]', Format.JSON),
        (b'{"a": "%s", "b": [1\n]}', Format.JSON),
    ],
)
def test_a_head_within_the_first_line(body: bytes, expected: Format, pack: Any) -> None:
    """A first line that is longer than the head is read to its end, in pieces."""
    whole = body % (b"x" * 5_000_000)
    file = io.BytesIO(pack(whole))
    head = file.read(1 << 16)

    def opened_again() -> Any:
        file.seek(0)
        return opened(file)

    assert detect_format(None, None, head, opened_again) is expected
    for content_type, name in ((None, "r.json"), ("application/json", None)):
        assert detect_format(content_type, name, head, opened_again) is Format.JSON


@settings(max_examples=200, deadline=None)
@given(st.text() | st.none(), st.text() | st.none(), st.binary(max_size=80))
def test_detecting_never_fails(content_type: str | None, name: str | None, head: bytes) -> None:
    """Any header, name and content has a result."""
    assert isinstance(detect_format(content_type, name, head), Format)


JSON_ROWS = b'[{"name": "a", "score": 1}, {"name": "b", "score": 2.5}]'
NDJSON_ROWS = b'{"name": "a", "score": 1}\r\n\n{"name": "b", "score": 2.5}'
CSV_ROWS = b"name,score\na,1\nb,2.5\n"
TOPICS = [Topic(name="a", score=1), Topic(name="b", score=2.5)]


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize(
    ("body", "format_"),
    [(JSON_ROWS, Format.JSON), (NDJSON_ROWS, Format.NDJSON), (CSV_ROWS, Format.CSV)],
)
@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (list[Topic], TOPICS),
        (Sequence[Topic], TOPICS),
        (tuple[Topic, ...], tuple(TOPICS)),
        (tuple[Topic, Topic], tuple(TOPICS)),
        (Annotated[list[Topic], Field(max_length=2)], TOPICS),
        (list[Topic] | None, TOPICS),
        (Topics, Topics(TOPICS)),
    ],
)
def test_rows_become_the_type_in_every_format(
    body: bytes, format_: Format, type_: Any, expected: object, mark: bytes, wrap: type[Any]
) -> None:
    """The same rows in the three formats are the same value, with a byte order mark or without."""
    assert parse_document(wrap(mark + body), type_, format_) == expected


def test_an_iterable_of_rows_is_a_list() -> None:
    """A type such as Iterable[X] is a list of rows."""
    assert list(parse_document(NDJSON_ROWS, Iterable[Topic], Format.NDJSON)) == TOPICS


def test_a_json_document_may_be_anything() -> None:
    """JSON is validated unchanged."""
    report = parse_document(b'{"topics": %s}' % JSON_ROWS, Report, Format.JSON)
    assert report == Report(topics=TOPICS)
    assert parse_document(b' "text" ', str, Format.JSON) == "text"
    assert parse_document(b'{"a": [1, "NaN"]}', Any, Format.JSON) == {"a": [1, "NaN"]}


@pytest.mark.parametrize("type_", [Any, object, list])
def test_untyped_rows_are_plain(type_: Any) -> None:
    """Without a type, NDJSON is a list of values and CSV one of mappings to text."""
    assert parse_document(b"1\n[2]\n", type_, Format.NDJSON) == [1, [2]]
    assert parse_document(b"a,b\n1,\n", type_, Format.CSV) == [{"a": "1", "b": ""}]


def test_as_text_everything_is_text() -> None:
    """A JSON string is its value, and any other document its text, also a malformed one."""
    for body in (
        "Rivers, lakes.",
        "42",
        "1.50",
        '{"a": 1}',
        "[Note] x",
        '{"a": ',
        "a,b\n1,2\n",
        "",
    ):
        format_ = detect_format("text/plain", "result", body.encode())
        assert parse_document(BOM + body.encode(), str, format_) == body
    assert parse_document(b'"\\u00e9"', str, Format.JSON) == "é"


def test_bytes_and_text_are_unchanged() -> None:
    """Bytes are unchanged. From text, only the byte order mark is removed."""
    for format_ in Format:
        assert parse_document(bytearray(BOM + b"\0x"), bytes, format_) == BOM + b"\0x"
    for format_ in (Format.NDJSON, Format.CSV, Format.BINARY):
        assert parse_document(memoryview(BOM + "é\r\n".encode()), str, format_) == "é\r\n"
    assert parse_document(b"\0", Any, Format.BINARY) == b"\0"


@pytest.mark.parametrize(
    ("body", "type_", "format_", "location", "message"),
    [
        (b"", Any, Format.JSON, "document", "is empty"),
        (BOM + b" \n", Any, Format.JSON, "document", "is empty"),
        (b'{"a": [1, 2', Any, Format.JSON, "document", "ends too early"),
        (b"[1,]", list[int], Format.JSON, "document", "trailing comma"),
        (b"[1] 2", list[int], Format.JSON, "document", "trailing characters"),
        (b'{"name": "NaN", "score": NaN}', Topic, Format.JSON, "document", "expected value"),
        (b'"\xff"', Any, Format.JSON, "document", "not UTF-8 text at byte 1"),
        (b"[" * 300 + b"]" * 300, Any, Format.JSON, "document", "recursion"),
        (b"1\n2,3\n", list[int], Format.NDJSON, "[1]", "trailing"),
        (b"1\n2,3\n", list[int] | None, Format.NDJSON, "[1]", "trailing"),
        (b'"a\nb"', list[str] | None, Format.NDJSON, "[0]", ""),
        (b"[1\n2]\n3,4", list[Any] | None, Format.NDJSON, "[0]", "too early"),
        (b'a\n"', Any, Format.CSV, "row 0", "ends inside a quoted cell"),
        (BOM + b'"\xff"', Any, Format.JSON, "document", "not UTF-8 text at byte 4"),
        (BOM + b"x\xff", str, Format.JSON, "document", "not UTF-8 text at byte 4"),
        (BOM + b"a,b\nx,\xff\n", Any, Format.CSV, "document", "not UTF-8 text at byte 9"),
        (b"\xff", str, Format.CSV, "document", "not UTF-8 text at byte 0"),
        (b"\0", list[Topic], Format.BINARY, "document", "read it as bytes"),
    ],
)
def test_the_location_of_a_syntax_error(
    body: bytes, type_: Any, format_: Format, location: str, message: str
) -> None:
    """Malformed content is a syntax error for any type."""
    with pytest.raises(ResultSyntaxError) as raised:
        parse_document(body, type_, format_)
    assert raised.value.location == location
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("body", "type_", "format_", "location"),
    [
        (b'[{"name": "a", "score": "x"}]', list[Topic], Format.JSON, "[0].score"),
        (b'{"topics": [{"name": "a"}]}', Report, Format.JSON, "topics[0].score"),
        (b'"hunter2"', int, Format.JSON, "document"),
        (b'"[1"', Json[Any], Format.JSON, "document"),
        (b'{"name": "a"}', list[Topic], Format.NDJSON, "[0].score"),
        (b'{"name": "a"}', Topics, Format.NDJSON, "[0].score"),
        (b"name,score\na,1\nb,hunter2\n", list[Topic], Format.CSV, "row 1, column score"),
        (b"name,score\na,1\nb,hunter2\n", Topics, Format.CSV, "[1].score"),
        (b"name,score\na\n", Topics, Format.CSV, "row 0"),
    ],
)
def test_the_location_of_a_type_error(
    body: bytes, type_: Any, format_: Format, location: str
) -> None:
    """An invalid value is a type error with the path, and without the value."""
    with pytest.raises(ResultTypeError) as raised:
        parse_document(body, type_, format_)
    assert raised.value.location == location
    assert raised.value.errors
    assert "hunter2" not in f"{raised.value} {raised.value!r}"
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=50) | st.text('[]{},:" 1eNa\n', max_size=30).map(str.encode),
    st.sampled_from(list(Format)),
    st.sampled_from([Any, int, list[int], tuple[str, ...], Topics, bytes, str]),
)
def test_any_bytes_are_a_value_or_one_of_two_errors(
    body: bytes, format_: Format, type_: Any
) -> None:
    """Any bytes raise only `ResultSyntaxError` and `ResultTypeError`."""
    refusal, value = None, None
    try:
        value = parse_document(body, type_, format_)
    except (ResultSyntaxError, ResultTypeError) as error:
        refusal = error
    if refusal is not None:
        assert refusal.location
        assert refusal.message
    else:
        assert type_ is not bytes or value == body


@pytest.mark.parametrize(
    ("body", "format_"),
    [
        (b'[{"a": 1}, {"a": "x"}]', Format.JSON),
        (b'{"a": 1}\n{"a": "x"}', Format.NDJSON),
        (b"a\n1\nx\n", Format.CSV),
    ],
)
def test_the_number_of_a_row_that_does_not_fit(body: bytes, format_: Format) -> None:
    """It is an attribute of the error in every format, as for the rows themselves."""
    for type_ in (list[dict[str, int]], tuple[dict[str, int], ...]):
        with pytest.raises(ResultTypeError) as caught:
            parse_document(body, type_, format_)
        assert caught.value.row == 1
