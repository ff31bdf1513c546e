"""Classifies failed requests, for their row and for the batch; pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from dcipher._wire.retries import Failure, Outcome, backoff, failure_of
from dcipher.errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    DcipherError,
    NotFoundError,
    PermissionDeniedError,
    ResultExpiredError,
    RunCancelledError,
    RunFailedError,
    SubmissionUnknownError,
    TLSError,
)
from dcipher.errors._hints import with_hint, without_hint

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.resilience import Resilience

__all__ = ["Verdict", "advised", "delay_of", "how_to_go_on", "patience", "verdict_of"]

E = TypeVar("E", bound="DcipherError | None")

NEW_RUN: float = 10.0
"""Seconds after the start in which a 404 on the status means "not created yet"."""
UNREACHABLE: float = 900.0
"""Seconds of failures without a success after which a batch ends."""


class Verdict(Enum):
    """What to do about a failed request."""

    REFUSED = "refused"
    """The service is busy: retry later; it does not count as an attempt of the row."""
    NOT_SENT = "not sent"
    """It was not sent: retry."""
    LOST = "lost"
    """It may have been received: retry with the same idempotency key."""
    UNKNOWN = "unknown"
    """It may have been received, and a retry is forbidden."""
    ROW = "row"
    """The row is the cause: it fails, and the others continue."""
    BATCH = "batch"
    """Every row would fail for this reason: nothing more is sent."""


def verdict_of(
    error: APIError, resilience: Resilience, *, age: float | None = None
) -> tuple[Verdict, Failure]:
    """Classifies an error of a start; or of a poll, if `age` (of the run, in seconds) is given."""
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
    """Returns the seconds until the next attempt; `jitter` is a random number from [0, 1)."""
    return max(failure.retry_after or 0.0, backoff(max(failures, 1), resilience)) * (
        1 + 0.25 * jitter
    )


def patience(failure: Failure, resilience: Resilience, *, ever_succeeded: bool) -> float:
    """Returns the seconds of failures without a success after which a batch ends.

    If nothing ever succeeded, it is the time for which one call would be retried: the URL may be wrong.
    """
    if ever_succeeded:
        return resilience.deadline or UNREACHABLE
    most = resilience.max_retries
    if failure.max_retries is not None:
        most = min(most, failure.max_retries)
    return sum(backoff(attempt, resilience) for attempt in range(1, most + 1))


def how_to_go_on(journal: Path | None, ended: int, running: int) -> str:
    """Returns the state of the rows, and how to resume, in a sentence each."""
    how = (
        "There is no journal: the next call cannot resume these runs. Pass journal=… to resume."
        if journal is None
        else f"To resume from {journal}, run the same line again: nothing is started twice."
    )
    rows = "1 row has an outcome" if ended == 1 else f"{ended:,} rows have an outcome"
    runs = "1 run continues" if running == 1 else f"{running:,} runs continue"
    return f"{rows}, {runs}. {how}"


def advised(error: E) -> E:
    """Returns the error of a run with advice for a row: its idempotency key is not the user's."""
    if isinstance(error, RunCancelledError):
        error.message = without_hint(error)
        return with_hint(error, "If you still need its result, give the row another key.")
    if isinstance(error, (RunFailedError, ResultExpiredError)):
        error.message = without_hint(error)
        return with_hint(
            error,
            "To run its flow again, pass retry_failed=True.",
            "To run its flow again, pass --retry-failed.",
        )
    return error
