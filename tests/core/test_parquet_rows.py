"""Rows of Parquet."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tempfile
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import pytest
from pydantic import BaseModel, Field

from dcipher._core.result_errors import InvalidRow, ResultSyntaxError, ResultTypeError
from dcipher._core.results import detect_format, parse_document
from dcipher._core.rows import Format, iter_rows
from tests.core.reading import Topic, read

pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra `arrow`")
pq = pytest.importorskip("pyarrow.parquet")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parquet(columns: Mapping[str, Sequence[object]], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), file, **options)
    return file.getvalue()


TOPICS = [Topic(name=f"n{i}", score=i / 4) for i in range(3000)]
BODY = parquet(
    {"name": [t.name for t in TOPICS], "score": [t.score for t in TOPICS]}, row_group_size=700
)


def test_rows_of_parquet() -> None:
    """A file of several row groups is rows, plain dicts, cells or models."""
    assert detect_format(None, None, BODY) is Format.PARQUET
    assert detect_format("application/vnd.apache.parquet", None, b"") is Format.PARQUET
    assert read(BODY, Topic, Format.PARQUET) == TOPICS
    assert parse_document(BODY, list[Topic], Format.PARQUET) == TOPICS
    assert parse_document(BODY, Any, Format.PARQUET)[1] == {"name": "n1", "score": 0.25}
    assert parse_document(BODY, list[list[Any]], Format.PARQUET)[1] == ["n1", 0.25]
    assert parse_document(BODY, Annotated[list[Topic], Field(min_length=3000)], Format.PARQUET)
    assert parse_document(BODY, bytes, Format.PARQUET) == BODY
    with tempfile.SpooledTemporaryFile(100) as spool:
        spool.write(BODY)
        spool.seek(0)
        file = cast("BinaryIO", cast("object", spool))
        assert list(iter_rows(file, Topic, Format.PARQUET)) == TOPICS


def test_a_row_of_parquet_that_does_not_fit() -> None:
    """It says which row and column, and has its number in the stream."""

    class Small(BaseModel):
        score: Annotated[float, Field(lt=500)]

    with pytest.raises(ResultTypeError, match=r"^\[2000\]\.score: Input should be less than 500"):
        parse_document(BODY, list[Small], Format.PARQUET)
    (first, *_) = [row for row in read(BODY, Small, Format.PARQUET) if isinstance(row, InvalidRow)]
    assert (first.number, first.raw) == (2000, {"name": "n2000", "score": 500.0})


def test_values_keep_their_types() -> None:
    """Dates, times, decimals, bytes and lists are Python's own."""
    row = {
        "day": date(2026, 11, 21),
        "at": datetime(2026, 11, 21, 1, 2, 3, tzinfo=timezone.utc),
        "price": Decimal("1.50"),
        "blob": b"\x00\xff",
        "tags": ["a", None],
    }
    body = parquet({name: [value] for name, value in row.items()})
    assert parse_document(body, Any, Format.PARQUET) == [row]


@pytest.mark.parametrize("body", [b"", b"PAR1", BODY[:-1], BODY[:300], BODY[:300] + BODY[400:]])
def test_broken_parquet_is_refused(body: bytes) -> None:
    """What is cut or damaged is a syntax error."""
    with pytest.raises(ResultSyntaxError, match="no Parquet that can be read"):
        read(body, Topic, Format.PARQUET)


def test_columns_of_one_name_are_refused() -> None:
    """Of two columns with one name a dict would lose one; as cells both are there."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    with pytest.raises(ResultSyntaxError, match="columns repeat"):
        read(file.getvalue(), dict[str, int], Format.PARQUET)
    assert read(file.getvalue(), list[int], Format.PARQUET) == [[1, 2]]


def test_no_rows() -> None:
    """A file without rows is an empty list."""
    assert parse_document(parquet({"a": pa.array([], pa.int64())}), Any, Format.PARQUET) == []


def test_without_pyarrow_the_extra_is_named() -> None:
    """Where pyarrow is missing the error says what to install, and the bytes can still be had."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from typing import Any; from dcipher._core.results import *; from dcipher._core.rows import Format\n"
        "assert parse_document(b'PAR1', bytes, Format.PARQUET) == b'PAR1'\n"
        "try: parse_document(b'PAR1', Any, Format.PARQUET)\n"
        "except ResultSyntaxError as error: print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "pip install 'dcipher[arrow]'" in done.stdout


def test_parquet_inside_a_compressed_file() -> None:
    """Row by row it cannot be read, which is said; as a whole it can."""
    body = gzip.compress(BODY)
    with pytest.raises(ResultSyntaxError, match="inside a compressed file"):
        read(body, Topic, Format.PARQUET)
    assert parse_document(body, list[Topic], Format.PARQUET) == TOPICS
