"""Rows of random models: a table has the values of `records`, cell by cell, and so does every other reader."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime, timezone
from enum import Enum
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import RootModel, TypeAdapter
from pydantic_core import to_json

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

from dcipher._results.rows.documents import parse_document  # noqa: E402
from dcipher._results.rows.reading import Format, iter_rows  # noqa: E402
from tests.results.tables.documents import documents  # noqa: E402
from tests.results.tables.results import table  # noqa: E402


def shown(value: Any, arrow: Any) -> Any:
    """Returns a value of a row as an argument of `pa.Table.from_pylist`, field by field."""
    if value is None:
        return None
    type_ = arrow.type
    if arrow.metadata and b"dcipher.json" in arrow.metadata:
        return to_json(value, inf_nan_mode="null", bytes_mode="base64").decode()
    if isinstance(value, RootModel):
        return shown(value.root, arrow)
    if pa.types.is_struct(type_):
        members = [type_.field(n) for n in range(type_.num_fields)]
        return {one.name: shown(_member(value, one.name), one) for one in members}
    if pa.types.is_list(type_):
        return [shown(item, type_.value_field) for item in value]
    if pa.types.is_map(type_):
        pairs = value.items()
        return [(shown(k, type_.key_field), shown(v, type_.item_field)) for k, v in pairs]
    value = value.value if isinstance(value, Enum) else value
    return str(value) if type_ == pa.string() and not isinstance(value, bytes) else value


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name)


def rows_of(body: bytes, type_: Any, format_: Format) -> list[Any]:
    return list(iter_rows(io.BytesIO(body), type_, format_))


def check(type_: Any, values: list[Any]) -> None:
    """All readers of a document agree with one another, and with Pydantic and pyarrow."""
    lines = [json.dumps(value) for value in values]
    bodies = {
        Format.NDJSON: "\n".join(lines).encode(),
        Format.JSON: ("[" + ", ".join(lines) + "]").encode(),
    }
    expected = [TypeAdapter(type_).validate_json(line) for line in lines]
    for format_, body in bodies.items():
        rows = rows_of(body, type_, format_)
        assert rows == expected
        assert not lines or parse_document(body, list[type_], format_) == expected
        with table(body, type_=type_, format_=format_) as made:
            found = made.to_arrow()
            found.validate(full=True)
            assert found.schema == made.schema
            written = [shown_row(row, found.schema) for row in rows]
            assert found.equals(pa.Table.from_pylist(written, schema=found.schema))
            batches = pa.Table.from_batches(made.batches(2), schema=found.schema)
            assert batches.equals(found)
    file = io.BytesIO()
    pq.write_table(found, file)
    assert rows_of(file.getvalue(), type_, Format.PARQUET) == expected


def shown_row(row: Any, schema: Any) -> dict[str, Any]:
    return {column.name: shown(_member(row, column.name), column) for column in schema}


def plain(value: Any, type_: Any) -> Any:
    """A value of a table, or of a frame, as one of Python; an entry of a map is a pair."""
    for to_python in ("to_pydatetime", "to_pytimedelta", "tolist"):
        if hasattr(value, to_python) and str(value) != "NaT":  # which is what it makes of itself
            return plain(getattr(value, to_python)(), type_)
    if value is None or str(value) in {"<NA>", "NaT"} or _is_nan(value):
        return None
    if pa.types.is_map(type_):
        entries = value.items() if isinstance(value, dict) else map(_pair, value)
        return [(plain(k, type_.key_type), plain(v, type_.item_type)) for k, v in entries]
    if pa.types.is_struct(type_):
        members = [type_.field(n) for n in range(type_.num_fields)]
        return {one.name: plain(value[one.name], one.type) for one in members}
    if pa.types.is_list(type_):
        return [plain(item, type_.value_type) for item in value]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc)
    return bytes(value) if isinstance(value, bytearray) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _pair(entry: Any) -> tuple[Any, Any]:
    return (entry["key"], entry["value"]) if isinstance(entry, dict) else entry


def check_frames(type_: Any, values: list[Any]) -> None:
    """Checks that pandas, polars and DuckDB have the values of the table."""
    body = "\n".join(map(json.dumps, values)).encode()
    with table(body, type_=type_, format_=Format.NDJSON) as made:
        found = made.to_arrow()

        def rows(records: list[dict[Any, Any]]) -> list[dict[str, Any]]:
            return [{c.name: plain(row[c.name], c.type) for c in found.schema} for row in records]

        expected = rows(found.to_pylist())
        if find_spec("pandas"):
            assert rows(made.to_pandas().to_dict("records")) == expected
        # polars 1.32, the lowest, takes a map that is null for one without entries.
        if find_spec("polars") and not version("polars").startswith("1.32."):
            assert rows(made.to_polars().to_dicts()) == expected
        if find_spec("duckdb"):
            import duckdb

            assert rows(duckdb.sql("from made").to_arrow_table().to_pylist()) == expected


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_a_table_has_the_values_of_the_rows(document: tuple[Any, list[Any]]) -> None:
    """Rows, batches and tables of a model have the values of Pydantic, and Parquet of it is read back."""
    check(*document)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_a_frame_has_the_values_of_the_table(document: tuple[Any, list[Any]]) -> None:
    """pandas, polars and DuckDB have the same values at every depth, including nulls."""
    check_frames(*document)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_very_many_tables(document: tuple[Any, list[Any]]) -> None:
    """The same on many more documents."""
    check(*document)


@pytest.mark.long
@pytest.mark.thorough
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_very_many_frames(document: tuple[Any, list[Any]]) -> None:
    """The same on many more documents."""
    check_frames(*document)
