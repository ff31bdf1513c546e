"""A table of many rows is read in constant memory."""

from __future__ import annotations

import io
import json
import tracemalloc

import pytest
from pydantic import BaseModel

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

from dcipher._results.rows.reading import Format  # noqa: E402
from dcipher._results.tables import row_reader  # noqa: E402
from dcipher._results.tables.table import ROWS  # noqa: E402
from tests.results.tables.results import table  # noqa: E402

MIB = 1 << 20


class Row(BaseModel):
    n: int
    text: str


def peak(rows: int, type_: type[Row] | None) -> tuple[int, int]:
    """Returns the peak memory of Python and of Arrow for reading these rows."""
    body = b"".join(b'{"n": %d, "text": "some words in it"}\n' % n for n in range(rows))
    return peak_of(body, rows, type_, Format.NDJSON, 4096)


def peak_of(
    body: bytes, rows: int, type_: type[Row] | None, format_: Format, size: int = ROWS
) -> tuple[int, int]:
    with table(body, type_=type_, format_=format_) as made:
        del body
        tracemalloc.start()
        seen, arrow = 0, 0
        for batch in made.batches(size):
            seen += batch.num_rows
            arrow = max(arrow, pa.total_allocated_bytes())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seen == rows
    return most, arrow


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rows", "type_"), [(300_000, None), (1_000_000, Row)], ids=["inferred", "model"]
)
def test_a_million_rows(rows: int, type_: type[Row] | None) -> None:
    """A million rows need about as much memory as fifty thousand."""
    few, few_arrow = peak(50_000, type_)
    many, many_arrow = peak(rows, type_)
    assert many < 1.5 * few + 1_000_000
    assert many_arrow < 1.5 * few_arrow + 1_000_000


def test_long_rows_make_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends after some bytes, also with fewer rows."""
    monkeypatch.setattr(row_reader, "_BYTES", 1_000_000)
    body = b'{"text": "' + b"x" * 10_000 + b'"}\n'
    with table(body * 600, format_=Format.NDJSON) as made:
        counts = [batch.num_rows for batch in made.batches()]
    assert sum(counts) == 600
    assert len(counts) > 1


def wide(rows: int, width: int, *, alike: bool) -> list[dict[str, object]]:
    """Rows of long text: the same in each, or another one."""
    return [{"n": n, "text": f"{0 if alike else n:08}" * (width // 8)} for n in range(rows)]


def written(rows: list[dict[str, object]], format_: Format) -> bytes:
    lines = [json.dumps(row) for row in rows]
    if format_ is Format.PARQUET:
        file = io.BytesIO()
        # A page is read whole, and pyarrow ends one after that many rows at the earliest.
        pq.write_table(pa.Table.from_pylist(rows), file, write_batch_size=4)
        return file.getvalue()
    if format_ is Format.CSV:
        return "\n".join(["n,text", *(f"{row['n']},{row['text']}" for row in rows)]).encode()
    body = "\n".join(lines) if format_ is Format.NDJSON else f"[{', '.join(lines)}]"
    return body.encode()


WIDE = [
    pytest.param(format_, width, marks=[] if format_ is Format.PARQUET else pytest.mark.thorough)
    for format_ in (Format.PARQUET, Format.CSV, Format.JSON, Format.NDJSON)
    for width in (200_000, 2_000_000)
]


@pytest.mark.parametrize("type_", [None, Row], ids=["inferred", "model"])
@pytest.mark.parametrize("alike", [False, True], ids=["different", "alike"])
@pytest.mark.parametrize(("format_", "width"), WIDE)
def test_wide_rows_are_few_at_once(
    format_: Format, width: int, type_: type[Row] | None, *, alike: bool
) -> None:
    """A batch ends after some bytes, for any width and encoding of the rows."""
    rows = 60 * MIB // width
    body = written(wide(rows, width, alike=alike), format_)
    before = pa.total_allocated_bytes()
    most, arrow = peak_of(body, rows, type_, format_)
    assert most + arrow - before < 32 * MIB


def test_parquet_whose_rows_become_wide() -> None:
    """The metadata of the next row group, not the batches before, limits its batch."""
    file = io.BytesIO()
    parts = [wide(50_000, 8, alike=False), wide(200, 200_000, alike=False)]
    tables = [pa.Table.from_pylist(part) for part in parts]
    with pq.ParquetWriter(file, tables[0].schema, write_batch_size=4) as writer:
        for one in tables:
            writer.write_table(one)
    before = pa.total_allocated_bytes()
    most, arrow = peak_of(file.getvalue(), 50_200, None, Format.PARQUET)
    assert most + arrow - before < 32 * MIB


def test_a_dictionary_is_not_read_for_each_row() -> None:
    """Columns with a dictionary keep their type, and batches of many rows."""
    words = pa.array([f"word {n}" for n in range(60_000)])
    column = pa.DictionaryArray.from_arrays(pa.array(range(60_000), pa.int32()), words)
    file = io.BytesIO()
    pq.write_table(pa.table({"a": column, "b": range(60_000)}), file)
    with table(file.getvalue(), format_=Format.PARQUET) as made:
        batches = list(made.batches())
        assert made.to_arrow().column("a").to_pylist() == words.to_pylist()
    assert len(batches) < 20
    assert {batch.schema.field("a").type for batch in batches} == {column.type}
