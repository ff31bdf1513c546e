"""Reads the rows of a result one by one, in constant memory, each validated as a type.

A row is:

* JSON: the elements of the top-level array; a document that is not an array is one row;
* NDJSON: the lines that are not blank;
* CSV: the records after the header;
* Parquet: the rows (with pyarrow).

A compressed file (gzip, Zstandard) is decompressed.

A row that does not match its type is an `InvalidRow` in the stream, so that the caller decides what
to do with it. If the rows can no longer be separated, the document raises `ResultSyntaxError`, after
the rows before. Text is UTF-8, with or without a byte order mark; NaN and Infinity
are not JSON (RFC 8259, section 6).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.compression import opened
from dcipher._results.parsing.csv.rows import csv_rows
from dcipher._results.parsing.json.reader import JSONReader
from dcipher._results.parsing.json.rows import ReaderFor, json_rows, ndjson_rows
from dcipher._results.parsing.json.strict import parse_json
from dcipher._results.parsing.parquet.rows import parquet_rows
from dcipher._results.parsing.row_errors import InvalidRow, JSONText, ResultSyntaxError
from dcipher._results.parsing.text_reader import ByteReader, TextReader

from .formats import advice_for, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import TypeAdapter

__all__ = ["Format", "iter_rows", "iter_texts", "json_reader_for"]

T = TypeVar("T")


class Format(str, Enum):
    """The format of a result."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    BINARY = "binary"


def iter_rows(file: BinaryIO, type_: type[T], format_: Format) -> Iterator[T | InvalidRow]:
    """Yields the rows of `file` from its position, each validated as `type_`, or as an `InvalidRow`.

    Each row yields one item, so that `enumerate` counts the rows. Memory is bounded by the largest
    row. `file` is read to its end, and stays open. Binary results have no rows.

    A CSV row is a mapping of the names in the header to text (`TypeAdapter.validate_strings`); for a
    list or tuple type, it is the list of its cells. An empty cell is "", or None if the type rejects
    "" and accepts None. A row with another number of cells than the header is invalid.

    Raises:
        ResultSyntaxError: During iteration: the document is malformed.
    """
    adapter = adapter_for(type_)
    if format_ is Format.BINARY:
        kind = kind_of(file.read(32))
        raise ResultSyntaxError("document", f"has no rows: it is {kind}; {advice_for(kind)}")
    source = opened(file)
    if format_ is Format.PARQUET:
        return parquet_rows(source, type_, adapter)
    if format_ is Format.CSV:
        return csv_rows(TextReader(source), type_)
    return _json_reader(format_)(ByteReader(source), json_reader_for(type_).reader_for, adapter)


def iter_texts(file: BinaryIO, format_: Format) -> Iterator[JSONText | InvalidRow]:
    """Yields the rows of JSON or NDJSON, each as its original text: no number loses a digit.

    Raises:
        ResultSyntaxError: During iteration: the document is not JSON.
    """

    def checked(text: bytes) -> JSONText:
        _ = parse_json(text)
        return JSONText(text.decode())

    source = ByteReader(opened(file))
    return _json_reader(format_)(source, lambda _: checked, cast("Any", adapter_for(str)))


def json_reader_for(type_: type[T]) -> JSONReader[T]:
    """Validates JSON as a type."""
    anything = type_ is cast("object", Any) or type_ is object
    return JSONReader(adapter_for(type_), anything=anything)


def _json_reader(
    format_: Format,
) -> Callable[[ByteReader, ReaderFor[T], TypeAdapter[T]], Iterator[T | InvalidRow]]:
    return json_rows if format_ is Format.JSON else ndjson_rows
