"""Rows of any format: their common rules."""

from __future__ import annotations

import gc
import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._results.parsing.row_errors import InvalidRow, ResultSyntaxError
from dcipher._results.rows.reading import Format, iter_rows
from tests.results.rows.reading import Topic, in_chunks, read, read_until_error

if TYPE_CHECKING:
    from pathlib import Path


class Dribble(io.BytesIO):
    """A file that returns fewer bytes than requested, as sockets and pipes do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 3) if size and size > 0 else size)


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
    """Any bytes in any chunks are rows or raise `ResultSyntaxError`."""
    whole = _outcome(body, format_, type_)
    with in_chunks(chunk):
        assert _outcome(body, format_, type_) == whole


def _outcome(body: bytes, format_: Format, type_: Any) -> tuple[object, str]:
    try:
        found, error = read_until_error(body, type_, format_)
    except ResultSyntaxError as at_once:
        return [], str(at_once)
    return found, str(error)


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        (Format.JSON, b"[%s]" % b",".join([b'{"name":"a","score":1}'] * 9)),
        (Format.NDJSON, b"\n".join([b'{"name":"a","score":1}'] * 9)),
        (Format.CSV, b"name,score\n" + b"a,1\n" * 9),
    ],
)
def test_a_file_may_return_less_than_requested(format_: Format, text: bytes) -> None:
    """A short read is not the end."""
    assert list(iter_rows(Dribble(text), Topic, format_)) == [Topic(name="a", score=1)] * 9


@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON])
def test_invalid_rows_are_in_the_stream(format_: Format) -> None:
    """An invalid row replaces its value, and the rows around it are read.

    Its row is counted from 0, its line from 1, and both are named.
    """
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
        line=None if format_ is Format.JSON else 4,
    )
    lines = format_ is Format.NDJSON
    assert str(found[3].error()) == (
        f"[3].name (row 3{', line 4' * lines}): Input should be a valid string (and 1 more)"
    )
    assert str(found[7].error()) == f"[7].score (row 7{', line 8' * lines}): Field required"


@pytest.mark.parametrize("record", [{"t": "x" * 90}, {"t": [{"a": 1}, {"b": "y" * 90}]}])
@pytest.mark.parametrize("format_", [Format.JSON, Format.NDJSON, Format.CSV])
@pytest.mark.parametrize("size", [4 << 20, pytest.param(32 << 20, marks=pytest.mark.thorough)])
def test_memory_is_constant(
    size: int, format_: Format, record: dict[str, object], tmp_path: Path
) -> None:
    """Reading any number of rows needs less than three megabytes."""
    row = json.dumps(record)
    path = tmp_path / "rows"
    with path.open("w") as file:
        file.write({"json": "[", "ndjson": "", "csv": "a,b\n"}[format_])
        ends = {"json": f"{row}, ", "ndjson": f"{row}\n", "csv": "x" * 90 + ",1\n"}[format_]
        file.writelines(ends for _ in range(size // len(ends)))
        file.write(f"{row}]" if format_ is Format.JSON else "")
    gc.collect()
    gc.disable()  # whoever reads must not depend on it
    tracemalloc.start()
    try:
        with path.open("rb") as file_:
            assert sum(1 for _ in iter_rows(file_, dict[str, Any], format_)) > size // 140
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 3 << 20


def test_a_binary_result_has_no_rows() -> None:
    """Rows of an unknown format are rejected before anything is read."""
    with pytest.raises(ResultSyntaxError, match="neither JSON, NDJSON, CSV nor Parquet"):
        iter_rows(io.BytesIO(b"\0"), bytes, Format.BINARY)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "neither JSON, NDJSON, CSV nor Parquet"),
        ("[1]".encode("utf-16"), "UTF-16 text"),
        (b"<html>", "HTML or XML"),
        (b"PK\x03\x04", "a ZIP archive"),
    ],
)
def test_a_file_without_rows_is_named(body: bytes, words: str) -> None:
    """The error has the kind of the file."""
    with pytest.raises(ResultSyntaxError, match=words):
        iter_rows(io.BytesIO(body), str, Format.BINARY)
