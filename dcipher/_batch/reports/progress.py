"""The progress of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dcipher._progress.displays import Snapshot

__all__ = ["BatchProgress", "sentence", "snapshot"]


@dataclass(frozen=True)
class BatchProgress:
    """A snapshot of the progress of a batch."""

    rows: int | None
    """The number of rows, or `None` while it is not known."""
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The number of rows with an outcome, by status."""
    reused: int = 0
    """How many of them come from the journal."""
    in_flight: int = 0
    """The number of current runs."""
    elapsed: float = 0.0
    """Seconds since the batch began."""
    remaining: float | None = None
    """The estimated seconds until its end, or `None`."""
    paused: str | None = None
    """Why nothing is sent at the moment, or `None`."""
    is_last: bool = False
    """Whether the batch has ended."""

    @property
    def ended(self) -> int:
        """Rows that have their outcome."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        """The number of rows with an outcome other than `done`."""
        return self.ended - self.counts.get("done", 0)


def snapshot(progress: BatchProgress) -> Snapshot:
    """Returns what a display shows of it."""
    return Snapshot(sentence(progress), progress.ended, progress.rows)


def sentence(progress: BatchProgress) -> str:
    """Returns the progress as one line of text."""
    of = "" if progress.rows is None else f" of {progress.rows:,}"
    parts = [f"{progress.ended:,}{of} rows"]
    if progress.reused:
        parts.append(f"{progress.reused:,} from the journal")
    parts += [
        f"{count:,} {status}" for status, count in progress.counts.items() if status != "done"
    ]
    if progress.in_flight:
        parts.append(f"{progress.in_flight} in flight")
    if progress.paused:
        parts.append(f"paused: {progress.paused}")
    elif progress.remaining is not None and not progress.is_last:
        parts.append(f"about {_duration(progress.remaining)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
