"""The rows of a batch as a table, from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dcipher._batch.journal.reading import Known, read_rows
from dcipher._extras.libraries import library
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher._batch.journal.store import Journal

__all__ = ["COLUMNS", "JournalRows"]

COLUMNS: Final = (
    "key", "index", "status", "task_id", "attempts", "seconds", "started_at", "files", "error_type", "error",
)  # fmt: skip
"""For each row: when its run was started (seconds since 1970), how long it took, and why it is not done."""
BATCH: Final = 10_000


class JournalRows:
    """The rows of one batch, read from its journal on demand.

    A batch without a journal keeps its temporary one for that; a pickle does not contain it.
    """

    def __init__(self, journal: Journal) -> None:
        self._path: Path | None = journal.path
        self._session: int = journal.session
        self._journal: Journal | None = journal if journal.path is None else None

    def __iter__(self) -> Iterator[Known]:
        if self._path is None and self._journal is None:
            raise DcipherError(
                "This copy of the report has no rows: it was pickled, and had no journal."
            )
        yield from read_rows(self._path, self._session, self._journal)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_journal": None}

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns the rows as an Arrow stream, in constant memory."""
        pa = library("pyarrow", "arrow")
        types = {
            "index": pa.int64(), "attempts": pa.int64(), "seconds": pa.float64(),
            "started_at": pa.float64(), "files": pa.list_(pa.string()),
        }  # fmt: skip
        schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])

        def batches() -> Iterator[Any]:
            chunk: list[dict[str, Any]] = []
            for row in self:
                chunk.append({name: getattr(row, name) for name in COLUMNS})
                if len(chunk) == BATCH:
                    yield pa.RecordBatch.from_pylist(chunk, schema=schema)
                    chunk = []
            yield pa.RecordBatch.from_pylist(chunk, schema=schema)

        reader = pa.RecordBatchReader.from_batches(schema, batches())
        return reader.__arrow_c_stream__(requested_schema)
