"""Rows as the bytes of a file: JSON, NDJSON, CSV. Rows come one by one, and so do the bytes."""

from __future__ import annotations

import base64
import csv
import io
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic.errors import PydanticUserError
from pydantic_core import to_json, to_jsonable_python

from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.row_errors import JSONText, shown_name
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "as_cells",
    "cell_text",
    "columns_of_type",
    "csv_bytes",
    "json_bytes",
    "ndjson_bytes",
    "no_column",
    "plain_value",
]

VALUE = "value"
"""The one column of rows that have no names in them, as in `runs.table`."""


def plain_value(value: object) -> object:
    """A row without a model as values that JSON has: bytes in base64, NaN and infinities null."""
    return cast("object", to_jsonable_python(_with_text(value), inf_nan_mode="null"))


def _with_text(value: object) -> object:
    # Pydantic writes the alphabet of URLs; RFC 4648, section 4, is what others read.
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(cast("Any", value))).decode()
    if isinstance(value, Mapping):
        found = cast("Mapping[object, object]", value)
        return {name: _with_text(one) for name, one in found.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text(one) for one in cast("Sequence[object]", value)]
    return value


def json_bytes(rows: Iterable[object]) -> Iterator[bytes]:
    """A JSON array, one row a line."""
    before = b"[\n"
    for row in rows:
        yield before + _encoded(row)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def ndjson_bytes(rows: Iterable[object]) -> Iterator[bytes]:
    """One JSON value a line."""
    for row in rows:
        yield _encoded(row) + b"\n"


def _encoded(row: object) -> bytes:
    if not isinstance(row, JSONText):
        return to_json(row, inf_nan_mode="null")
    # Line breaks stand between JSON's tokens only: those within text are escaped (RFC 8259 section 7).
    return row.strip().replace("\r", " ").replace("\n", " ").encode()


def csv_bytes(rows: Iterable[object], columns: Sequence[str] | None) -> Iterator[bytes]:
    """CSV as RFC 4180 has it; `columns`, else those of the first row. What is missing is empty.

    Text stands as it is, everything else as JSON writes it; null is empty. Raises `CommandError`
    for a row with a column that is not known.
    """
    line = io.StringIO()
    writer = csv.writer(line)
    if columns is not None:
        writer.writerow(columns)
    for number, row in enumerate(rows):
        cells = as_cells(row)
        if columns is None:
            columns = list(cells)
            writer.writerow(columns)
        if not columns:
            raise no_column(number)
        if unknown := [name for name in cells if name not in columns]:
            raise _unknown_column(number, unknown[0])
        writer.writerow([cell_text(cells.get(name)) for name in columns])
        yield _taken(line)
    yield _taken(line)


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode("utf-8", "backslashreplace")


def as_cells(row: object) -> Mapping[str, object]:
    """A row by the names of its columns."""
    return cast("Mapping[str, object]", row) if isinstance(row, Mapping) else {VALUE: row}


def cell_text(value: object) -> str:
    """What stands in a cell: text as it is, everything else as JSON writes it; null is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def no_column(number: int) -> CommandError:
    """What to raise for rows without columns, where the format cannot hold them."""
    return CommandError(
        f"Row {number} has no columns, and CSV and Parquet have no rows without them.",
        next_step="convert to NDJSON: --to ndjson",
    )


def _unknown_column(number: int, name: str) -> CommandError:
    return CommandError(
        f"Row {number} has the column {shown_name(name)!r}, which the first row has not: CSV says its "
        "columns before its rows.",
        next_step="say them by --model MODULE:NAME, or convert to NDJSON: --to ndjson",
    )


def columns_of_type(type_: Any) -> list[str] | None:
    """The columns that rows of a type have in CSV, if it says them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of defaults that JSON cannot say: they are not asked for
            schema = adapter_for(type_).json_schema(mode="serialization")
    except PydanticUserError:  # a field that JSON Schema knows nothing of
        return None
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    properties = schema.get("$defs", {}).get(name, schema).get("properties")
    if properties and hasattr(type_, "model_fields"):  # the schema knows nothing of exclude=True
        fields = type_.model_fields.items()
        left_out = {f.serialization_alias or name for name, f in fields if f.exclude}
        return [name for name in properties if name not in left_out]
    return None if properties is None else list(properties)
