"""The rows of a result, one by one and in constant memory, each validated as a type.

The formats differ in what a row is, and agree in the rest:

* JSON: the elements of the top-level array; a document that is not an array is one row;
* NDJSON: the lines that are not blank;
* CSV: the records after the header;
* Parquet: the rows (with pyarrow).

A file that is compressed (gzip, Zstandard) is read as what it holds.

A row that does not fit its type is an `InvalidRow` in the stream, so that the caller decides what
becomes of it. A document that breaks its format's grammar raises `ResultSyntaxError` where it
breaks, after the rows before. Text is UTF-8, with or without a byte order mark; NaN and Infinity
are not JSON (RFC 8259, section 6).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from .adapters import adapter_for
from .compression import opened
from .csv_rows import csv_rows
from .file_kinds import kind_of
from .json_rows import json_rows, ndjson_rows
from .parquet_rows import parquet_rows
from .result_errors import InvalidRow, JSONText, ResultSyntaxError
from .result_text import TextReader

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Format", "iter_rows", "iter_texts"]

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
        raise ResultSyntaxError("document", f"has no rows: it is {kind_of(file.read(32))}")
    source = opened(file)
    if format_ is Format.PARQUET:
        return parquet_rows(source, type_, adapter)
    text = TextReader(source)
    if format_ is Format.JSON:
        return json_rows(text, adapter.validator.validate_json)
    if format_ is Format.NDJSON:
        return ndjson_rows(text, adapter.validator.validate_json)
    return csv_rows(text, type_, adapter)


def iter_texts(file: BinaryIO, format_: Format) -> Iterator[JSONText | InvalidRow]:
    """The rows of JSON or NDJSON, each as it stands there: no number loses a digit.

    Raises:
        ResultSyntaxError: while iterating, where the document is not JSON.
    """
    parse = adapter_for(cast("type[object]", Any)).validator.validate_json

    def checked(text: str) -> JSONText:
        parse(text)
        return JSONText(text)

    text = TextReader(opened(file))
    return (json_rows if format_ is Format.JSON else ndjson_rows)(text, checked)
