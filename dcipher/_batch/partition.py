"""A batch of one part of many rows, for the workers of Dask, Ray, Spark or an executor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dcipher
from dcipher._extras.libraries import library
from dcipher._results.parsing.adapters import adapter_for
from dcipher.errors import InvalidParamsError

from .inputs.identity import Identity
from .inputs.rows import rows_of
from .journal.states import Entry

__all__ = ["Partition"]

COLUMNS: Final = ("key", "status", "value", "task_id", "error")
DUMMIES: Final = ({"foo"}, {"1"}, {"a"})
"""The keys of several rows by which Dask finds out what a function returns."""


@dataclass(frozen=True)
class Partition:
    """Runs a flow for each row of a part, in any process; `flows.partition` returns it.

    It can be pickled, and has no API key: the client is created in the worker, with the key of the worker's
    environment (DCIPHER_API_KEY). If a part is executed again, it resumes from its journal if the
    folder is shared; otherwise it repeats the same starts with the same idempotency keys. Rate limits
    apply to one worker: divide them by the number of workers. Pass hundreds of rows at a time.
    """

    flow_id: str
    key: Any
    params: Any
    folder: str
    read: Any
    base_url: str
    resilience: dcipher.Resilience
    allow_insecure: bool
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def rows(self, rows: Sequence[Any], journal: str | None = None) -> list[dcipher.Outcome[Any]]:
        """Runs the flow for each of these rows; returns their outcomes, in the same order.

        For `concurrent.futures` and similar executors: `executor.submit(partition.rows, part)`.
        `journal`: the name of its journal in the folder; by default, it is a hash of the keys.
        """
        given = [*rows]
        if not given:
            return []
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        name = journal or self.journal_of(self.entries(given))
        client = dcipher.Dcipher(
            base_url=self.base_url, resilience=self.resilience, allow_insecure=self.allow_insecure
        )
        with client:
            return [
                *client.flows.map(
                    self.flow_id,
                    given,
                    key=self.key,
                    params=self.params,
                    journal=Path(self.folder, name),
                    read=self.read,
                    ordered=True,
                    progress=False,
                    **self.options,
                )
            ]

    def journal_of(self, entries: Sequence[Entry]) -> str:
        """Returns the name of the journal, which is the same for the same rows in any worker."""
        text = json.dumps([self.flow_id, *(entry.key for entry in entries)])
        return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.db"

    def entries(self, rows: Sequence[Any], first: int = 0) -> list[Entry]:
        """Returns key and params of each row; `first`: the position of the first one."""
        identity = Identity(self.key, self.params)
        return [identity.entry(row, position) for position, row in enumerate(rows, first)]

    def __call__(self, frame: Any) -> Any:
        """Runs the flow for each row of a frame of pandas, polars or pyarrow; returns a frame of that type.

        For `map_partitions` of Dask and `map_batches` of Ray Data. Its columns are those of `schema`:
        `value` is the result as JSON text. A pandas frame keeps its index.
        """
        rows = [*rows_of(frame)]
        if len(rows) > 1 and {entry.key for entry in self.entries(rows)} in DUMMIES:
            raise InvalidParamsError(
                "This looks like the made-up rows by which Dask finds out what a function returns. "
                "Pass the columns to Dask: map_partitions(partition, meta=partition.meta)."
            )
        table = self._table(rows)
        kind = type(frame).__module__.partition(".")[0]
        if kind == "pandas":
            found = table.to_pandas()
            found.index = frame.index
            return found
        return library("polars", "polars").from_arrow(table) if kind == "polars" else table

    def batches(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Runs the flow for each row of each frame; for `mapInPandas` and `mapInArrow` of Spark."""
        for frame in frames:
            found = self(frame)
            if type(frame).__name__ != "RecordBatch":
                yield found
            else:
                yield from found.to_batches()

    def _table(self, rows: list[Any]) -> Any:
        outcomes = self.rows(rows)
        columns = (
            [outcome.key for outcome in outcomes],
            [outcome.status for outcome in outcomes],
            [self._json(outcome) for outcome in outcomes],
            [None if outcome.run is None else outcome.run.task_id for outcome in outcomes],
            [None if outcome.error is None else str(outcome.error) for outcome in outcomes],
        )
        return library("pyarrow", "arrow").table(
            dict(zip(COLUMNS, columns, strict=True)), self.schema
        )

    def _json(self, outcome: dcipher.Outcome[Any]) -> str | None:
        if self.read is None or outcome.status != "done":
            return None
        return adapter_for(self.read).dump_json(outcome.value).decode()

    @property
    def schema(self) -> Any:
        """The columns of the frames that it returns, as a `pyarrow.Schema`."""
        pa = library("pyarrow", "arrow")
        return pa.schema([(name, pa.string()) for name in COLUMNS])

    @property
    def meta(self) -> Any:
        """An empty `pandas.DataFrame` of these columns: Dask's `meta=`."""
        return self.schema.empty_table().to_pandas()

    @property
    def ddl(self) -> str:
        """The columns as Spark's `schema=`."""
        return ", ".join(f"{name} string" for name in COLUMNS)
