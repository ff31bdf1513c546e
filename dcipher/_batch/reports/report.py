"""The report of a batch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher._files.paths import path_of
from dcipher._files.replacement import replacing
from dcipher._files.storage_errors import storage_errors
from dcipher.errors import BatchError

from .columns import JournalRows
from .html import page, report_card
from .tally import FailureGroup

if TYPE_CHECKING:
    from .tally import Tally

__all__ = ["BatchReport", "Seconds", "report_of"]


@dataclass(frozen=True)
class Seconds:
    """Durations, in seconds."""

    total: float
    """How long the batch took."""
    throttled: float
    """How long nothing was sent, because of `Retry-After` or an unreachable service."""
    p50: float | None
    """The median duration of the runs, or `None` if none has ended."""
    p90: float | None
    max: float | None


@dataclass(frozen=True)
class BatchReport:
    """The outcomes of a batch, counted."""

    counts: Mapping[str, int]
    """The number of rows by the status of their outcomes."""
    reused: int
    """The number of rows from the journal: nothing was sent for them."""
    left_running: int
    """The number of runs that continue after the batch was stopped. The same call waits for them."""
    seconds: Seconds
    failures: tuple[FailureGroup, ...]
    """The rows that are not `done`, grouped by reason, the most frequent first."""
    resent: tuple[str, ...]
    """The keys of the first 100 rows whose start was retried after a lost response, in any call.

    They may have run twice if the service does not support idempotency keys.
    """
    resent_count: int
    """The number of all rows whose start was retried after a lost response."""
    starts: int
    """The number of requests to start a run, including rejected ones."""
    polls: int
    """The number of polls."""
    stopped: bool
    """Whether the batch was stopped before every row had an outcome."""
    journal: str | None = field(default=None)
    """The path of the journal."""
    resent_late: int = 0
    """How many of the retried starts were sent more than 24 hours after the first time.

    Services forget idempotency keys after a while: these rows may have run twice, even if the
    service supports the keys.
    """

    _rows: JournalRows | None = field(default=None, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """The number of rows that have an outcome."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """The number of rows with the requested result."""
        return self.counts.get("done", 0)

    @property
    def failed(self) -> int:
        """The number of rows whose run failed, or whose params the service rejected."""
        return self.counts.get("failed", 0)

    @property
    def cancelled(self) -> int:
        """The number of rows whose run was cancelled."""
        return self.counts.get("cancelled", 0)

    @property
    def unknown(self) -> int:
        """The number of rows for which it is not known whether their run was started."""
        return self.counts.get("unknown", 0)

    @property
    def expired(self) -> int:
        """The number of rows whose result can no longer be fetched."""
        return self.counts.get("expired", 0)

    @property
    def rejected(self) -> int:
        """The number of rows whose result does not match the type."""
        return self.counts.get("rejected", 0)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns the rows as a table, for polars, pandas, DuckDB and any library that reads Arrow.

        Its columns: key, index, status, task_id, attempts, seconds, started_at, files, error_type and
        error. They are read from the journal.
        """
        if self._rows is None:
            raise BatchError("This report has no rows.")
        return self._rows.__arrow_c_stream__(requested_schema)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report as one HTML file, without scripts; returns its path.

        Raises `LocalStorageError`.
        """
        target = path_of(path)
        with storage_errors(target), replacing(target) as file:
            file.write(page(self).encode())
        return target

    def _repr_html_(self) -> str:
        return report_card(self)

    def __str__(self) -> str:
        parts = [f"{count:,} {status}" for status, count in self.counts.items() if count]
        text = f"{self.rows:,} rows in {self.seconds.total:,.1f} s: {', '.join(parts) or 'none'}"
        if self.reused:
            text += f" ({self.reused:,} from the journal)"
        if self.left_running:
            text += f"; {self.left_running:,} runs continue"
        if self.resent_count:
            text += f"; {self.resent_count:,} starts were retried"
        if self.resent_late:
            text += f", {self.resent_late:,} of them after 24 hours: these may have run twice"
        return f"{text}."


def report_of(
    tally: Tally,
    *,
    left_running: int,
    total: float,
    throttled: float,
    starts: int,
    polls: int,
    stopped: bool,
    journal: str | None,
    rows: JournalRows | None = None,
) -> BatchReport:
    """Returns the report of what was counted."""
    return BatchReport(
        counts=dict(sorted(tally.counts.items())),
        reused=tally.reused,
        left_running=left_running,
        seconds=Seconds(
            total, throttled, tally.percentile(0.5), tally.percentile(0.9), tally.percentile(1.0)
        ),
        failures=tally.groups(),
        resent=tuple(tally.resent),
        resent_count=tally.resent_count,
        resent_late=tally.resent_late,
        starts=starts,
        polls=polls,
        stopped=stopped,
        journal=journal,
        _rows=rows,
    )
