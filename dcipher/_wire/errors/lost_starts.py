"""The error for a start whose response was lost, so that no run is lost or paid for twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher.errors import APIError, SubmissionUnknownError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from dcipher._wire.messages.operations import Operation
    from dcipher.resilience import Resilience

__all__ = ["is_in_doubt", "unknown_submission"]

_IN_DOUBT = "The run may have been started."


def unknown_submission(
    error: APIError, operation: Operation, resilience: Resilience, *, in_doubt: bool
) -> APIError:
    """Returns the error to raise for a call that failed for good with `error`.

    `in_doubt`: after one of its attempts, it was not known whether the service had accepted it. If
    such a start must not be retried, this is a `SubmissionUnknownError`. If its retries failed, it is
    `error` itself, with advice.
    """
    if operation.name != "start" or not in_doubt:
        return error
    key = operation.idempotency_key
    how = f"{_IN_DOUBT} To repeat the start without starting a second run, "
    advice = f"{how}pass idempotency_key={key!r}.", f"{how}pass --idempotency-key {key}."
    if resilience.resend_ambiguous:
        return with_hint(error, *advice)
    unknown = SubmissionUnknownError(
        f"The response to the start of flow {operation.flow_id} was lost ({error.message})",
        flow_id=operation.flow_id,
        idempotency_key=key or "",
        request=error.request,
        attempts=error.attempts,
        request_id=error.request_id,
    )
    return with_hint(unknown, *advice)


def is_in_doubt(error: APIError) -> bool:
    """Returns whether the error is of a start that may have been accepted."""
    return _IN_DOUBT in str(error)
