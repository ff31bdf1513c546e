"""The rows of a result, one by one and in constant memory, each validated as a type.

The formats differ in what a row is, and agree in the rest:

* JSON: the elements of the top-level array; a document that is not an array is one row;
* NDJSON: the lines that are not blank;
* CSV: the records after the header;
* Parquet: the rows (with pyarrow).

A file that is compressed (gzip, Zstandard) is read as what it holds.

A row that does not fit its type is an `InvalidRow` in the stream, so that the caller decides what
becomes of it. A document whose rows cannot be told apart any more raises `ResultSyntaxError` where
it breaks, after the rows before. Text is UTF-8, with or without a byte order mark; NaN and Infinity
are not JSON (RFC 8259, section 6).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.compression import opened
from dcipher._results.parsing.csv.rows import csv_rows
from dcipher._results.parsing.json.rows import ReaderFor, json_rows, ndjson_rows
from dcipher._results.parsing.json.strict import JSONReader, parse_json
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
    """How a result is written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    BINARY = "binary"


def iter_rows(file: BinaryIO, type_: type[T], format_: Format) -> Iterator[T | InvalidRow]:
    """The rows of `file` from where it stands, each validated as `type_`, or why it does not fit.

    Every row gives one item, so that `enumerate` gives its number. Memory is bounded by the largest
    row. `file` is read to its end, and stays open. Binary results have no rows.

    A CSV row is a mapping by the header's names to text (`TypeAdapter.validate_strings`), and for a
    list or tuple type the row's cells. An empty cell is "", or None where the type refuses "" and
    takes None. A row with another number of cells than the header is invalid.

    Raises:
        ResultSyntaxError: while iterating, where the document breaks its format.
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
    """The rows of JSON or NDJSON, each as it stands there: no number loses a digit.

    Raises:
        ResultSyntaxError: while iterating, where the document is not JSON.
    """

    def checked(text: bytes) -> JSONText:
        _ = parse_json(text)
        return JSONText(text.decode())

    source = ByteReader(opened(file))
    return _json_reader(format_)(source, lambda _: checked, cast("Any", adapter_for(str)))


def json_reader_for(type_: type[T]) -> JSONReader[T]:
    """What reads JSON as a type."""
    anything = type_ is cast("object", Any) or type_ is object
    return JSONReader(adapter_for(type_), anything=anything)


def _json_reader(
    format_: Format,
) -> Callable[[ByteReader, ReaderFor[T], TypeAdapter[T]], Iterator[T | InvalidRow]]:
    return json_rows if format_ is Format.JSON else ndjson_rows
