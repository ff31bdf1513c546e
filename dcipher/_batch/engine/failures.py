"""What a failed request means for its row, and for the batch; pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from dcipher._wire.errors.retries import Failure, Outcome, backoff, failure_of
from dcipher.errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    SubmissionUnknownError,
    TLSError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.resilience import Resilience

__all__ = ["Verdict", "add_note", "delay_of", "how_to_go_on", "patience", "verdict_of"]

NEW_RUN: float = 10.0
"""Seconds after the start in which a 404 on the status means "not created yet"."""
UNREACHABLE: float = 900.0
"""Seconds of failures alone, without one success between, after which a batch ends."""


class Verdict(Enum):
    """What is to be done about a failed request."""

    REFUSED = "refused"
    """The service is busy: later, and it costs the row nothing."""
    NOT_SENT = "not sent"
    """It did not arrive: again."""
    LOST = "lost"
    """It may have arrived: again, under the same key."""
    UNKNOWN = "unknown"
    """It may have arrived, and is not to be sent again."""
    ROW = "row"
    """The row is at fault: it fails, others go on."""
    BATCH = "batch"
    """Every row would fail like that: nothing more is sent."""


def verdict_of(
    error: APIError, resilience: Resilience, *, age: float | None = None
) -> tuple[Verdict, Failure]:
    """Returns what an error of a start means; of a poll where `age`, of the run in seconds, is given."""
    failure = failure_of(error, resilience)
    if isinstance(error, SubmissionUnknownError):
        return Verdict.UNKNOWN, failure
    if failure.outcome is Outcome.REJECTED:
        return Verdict.REFUSED, failure
    if failure.outcome is Outcome.NOT_SENT:
        return Verdict.NOT_SENT, failure
    if failure.outcome is Outcome.AMBIGUOUS:
        return Verdict.LOST, failure
    if isinstance(error, NotFoundError) and age is not None:
        return (Verdict.LOST if age <= NEW_RUN else Verdict.ROW), failure
    if isinstance(error, (AuthenticationError, PermissionDeniedError, NotFoundError, TLSError)):
        return Verdict.BATCH, failure
    return (Verdict.ROW if isinstance(error, APIStatusError) else Verdict.BATCH), failure


def delay_of(failure: Failure, failures: int, resilience: Resilience, jitter: float) -> float:
    """Returns the seconds until the next attempt, after so many; `jitter` is from [0, 1)."""
    return max(failure.retry_after or 0.0, backoff(max(failures, 1), resilience)) * (
        1 + 0.25 * jitter
    )


def patience(failure: Failure, resilience: Resilience, *, ever_succeeded: bool) -> float:
    """Returns the seconds of failures alone after which a batch ends.

    Where nothing ever succeeded, as long as one call would be retried: the address may be wrong.
    """
    if ever_succeeded:
        return resilience.deadline or UNREACHABLE
    most = resilience.max_retries
    if failure.max_retries is not None:
        most = min(most, failure.max_retries)
    return sum(backoff(attempt, resilience) for attempt in range(1, most + 1))


def how_to_go_on(journal: Path | None, ended: int, running: int) -> str:
    """Returns what became of the rows, and what to do next, in a sentence each."""
    how = (
        "There is no journal: what went on is lost to the next call. Pass journal=… to resume."
        if journal is None
        else f"The same line again resumes from {journal}: nothing is started twice."
    )
    rows = "1 row has its outcome" if ended == 1 else f"{ended:,} rows have their outcome"
    runs = "1 run is still going" if running == 1 else f"{running:,} runs are still going"
    return f"{rows}, {runs}. {how}"


def add_note(error: BaseException, text: str) -> None:
    """Adds a note (PEP 678), as Python does from 3.11 on."""
    notes: list[str] = vars(error).setdefault("__notes__", [])
    if text not in notes:
        notes.append(text)
