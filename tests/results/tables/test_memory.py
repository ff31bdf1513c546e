"""A table of many rows is read in memory that does not grow with their number."""

from __future__ import annotations

import tracemalloc

import pytest
from pydantic import BaseModel

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

from dcipher._results.rows.reading import Format  # noqa: E402
from dcipher._results.tables import row_reader  # noqa: E402 - after the skip
from tests.results.tables.results import table  # noqa: E402


class Row(BaseModel):
    n: int
    text: str


def peak(rows: int, type_: type[Row] | None) -> tuple[int, int]:
    """Bytes of Python and of Arrow that reading so many rows takes at its peak."""
    body = b"".join(b'{"n": %d, "text": "some words in it"}\n' % n for n in range(rows))
    with table(body, type_=type_, format_=Format.NDJSON) as made:
        del body
        tracemalloc.start()
        seen, arrow = 0, 0
        for batch in made.batches(size=4096):
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
    """What very many rows need is what fifty thousand need, nearly."""
    few, few_arrow = peak(50_000, type_)
    many, many_arrow = peak(rows, type_)
    assert many < 1.5 * few + 1_000_000
    assert many_arrow < 1.5 * few_arrow + 1_000_000


def test_long_rows_make_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends where its rows were many bytes, before it has the rows that it might have."""
    monkeypatch.setattr(row_reader, "_BYTES", 1_000_000)
    body = b'{"text": "' + b"x" * 10_000 + b'"}\n'
    with table(body * 600, format_=Format.NDJSON) as made:
        counts = [batch.num_rows for batch in made.batches()]
    assert sum(counts) == 600
    assert len(counts) > 1
