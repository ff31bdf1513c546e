"""Results for the tests of tables, without a server."""

from __future__ import annotations

from typing import Any

from dcipher import Run, Table
from dcipher._results.outputs.temporary_files import StoredFile
from dcipher._results.rows.reading import Format
from dcipher._results.tables.reading import Part

__all__ = ["table"]


def table(*bodies: bytes, type_: Any = None, format_: Format | None = Format.JSON) -> Table:
    """A table of results with these bytes, as a client makes one."""
    run = Run(flow_id="f", task_id="t")
    return Table(tuple(part(run, n, body, format_) for n, body in enumerate(bodies)), type_)


def part(run: Run, index: int, body: bytes, format_: Format | None) -> Part:
    stored = StoredFile()
    stored.file.write(body)
    return Part(run, index, stored, format_)
