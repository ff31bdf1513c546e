"""Encodes rows as JSON, NDJSON or CSV, one by one."""

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
from dcipher.cli.terminal.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
"""The column of rows without names, as in `runs.table`."""


def plain_value(value: object) -> object:
    """Returns a row as JSON values: bytes as base64, NaN and infinity as null."""
    return cast("object", to_jsonable_python(_with_text(value), inf_nan_mode="null"))


def _with_text(value: object) -> object:
    # Pydantic uses the URL-safe alphabet; most readers expect that of RFC 4648 section 4.
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(cast("Any", value))).decode()
    if isinstance(value, Mapping):
        found = cast("Mapping[object, object]", value)
        return {name: _with_text(one) for name, one in found.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text(one) for one in cast("Sequence[object]", value)]
    return value


def json_bytes(rows: Iterable[object]) -> Iterator[bytes]:
    """Yields a JSON array with a row on each line."""
    before = b"[\n"
    for row in rows:
        yield before + _encoded(row)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def ndjson_bytes(rows: Iterable[object]) -> Iterator[bytes]:
    """Yields a JSON value on each line."""
    for row in rows:
        yield _encoded(row) + b"\n"


def _encoded(row: object) -> bytes:
    if not isinstance(row, JSONText):
        return to_json(row, inf_nan_mode="null")
    # Line breaks are only between tokens: those within text are escaped (RFC 8259 section 7).
    return row.strip().replace("\r", " ").replace("\n", " ").encode()


def csv_bytes(
    rows: Iterable[object], columns: Sequence[str] | None, place: Callable[[], str]
) -> Iterator[bytes]:
    """Yields CSV (RFC 4180). Without `columns`, those of the first row are used.

    Text is written unchanged, other values as JSON; null and missing values are empty. Raises
    `CommandError` for a row with an unknown column; `place` returns which row it is.
    """
    line = io.StringIO()
    writer = csv.writer(line)
    if columns is not None:
        writer.writerow(columns)
    for row in rows:
        cells = as_cells(row)
        if columns is None:
            columns = list(cells)
            writer.writerow(columns)
        if not columns:
            raise no_column(place())
        if unknown := [name for name in cells if name not in columns]:
            raise _unknown_column(place(), unknown[0])
        writer.writerow([cell_text(cells.get(name)) for name in columns])
        yield _taken(line)
    yield _taken(line)


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode("utf-8", "backslashreplace")


def as_cells(row: object) -> Mapping[str, object]:
    """Returns a row as a mapping of column names to values."""
    return cast("Mapping[str, object]", row) if isinstance(row, Mapping) else {VALUE: row}


def cell_text(value: object) -> str:
    """Returns the text of a cell: text unchanged, other values as JSON; null is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def no_column(place: str) -> CommandError:
    """Returns the error for rows without columns."""
    return CommandError(
        f"R{place[1:]} has no columns. CSV and Parquet have no rows without columns.",
        next_step="convert to NDJSON: --to ndjson",
    )


def _unknown_column(place: str, name: str) -> CommandError:
    return CommandError(
        f"R{place[1:]} has the column {shown_name(name)!r}, which the first row lacks. CSV "
        "has its columns before its rows.",
        next_step="pass --model MODULE:NAME with all columns, or convert to NDJSON: --to ndjson",
    )


def columns_of_type(type_: Any) -> list[str] | None:
    """Returns the columns of a type in CSV, if it declares them."""
    try:
        with warnings.catch_warnings():
            # Of defaults that JSON cannot represent, which are not needed.
            warnings.simplefilter("ignore")
            schema = adapter_for(type_).json_schema(mode="serialization")
    except PydanticUserError:  # a field without a JSON schema
        return None
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    properties = schema.get("$defs", {}).get(name, schema).get("properties")
    if properties and hasattr(type_, "model_fields"):  # the schema ignores exclude=True
        fields = type_.model_fields.items()
        left_out = {f.serialization_alias or name for name, f in fields if f.exclude}
        return [name for name in properties if name not in left_out]
    return None if properties is None else list(properties)
