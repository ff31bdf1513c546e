"""The rules of retries: whether and when a request is sent again, by what the failed attempt may have done; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dcipher._urls.hosts import is_this_machine
from dcipher.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    InvalidResponseError,
    TLSError,
)

from .errors.causes import chain, client_certificate_cause, tls_cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcipher.resilience import Resilience

__all__ = [
    "Failure",
    "Outcome",
    "failure_of",
    "is_repeatable",
    "next_delay",
    "status_failure",
    "transport_failure",
    "transport_outcome",
]


class Outcome(Enum):
    """What an attempt may have done."""

    NOT_SENT = "not sent"
    """No connection, or none available in the pool: nothing was sent. Any method is retried."""
    REJECTED = "rejected"
    """429, 425, 503 with Retry-After: the service did not process it.

    Any method is retried, not before `Retry-After`.
    """
    AMBIGUOUS = "ambiguous"
    """It may have been processed: a reset, a read timeout, a 500, an unusable 2xx.

    Only idempotent requests are retried.
    """
    PERMANENT = "permanent"
    """A retry would fail for the same reason."""


@dataclass(frozen=True)
class Failure:
    """A failed attempt, as far as it matters for a retry."""

    outcome: Outcome
    retry_after: float | None = None
    max_retries: int | None = None
    """Attempts after the first, if fewer than usual make sense."""


# By the names of httpx's exceptions: a request whose connection failed cannot have reached the
# server.
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
_AMBIGUOUS = frozenset(
    {
        "ReadError",
        "WriteError",
        "CloseError",
        "ReadTimeout",
        "WriteTimeout",
        "RemoteProtocolError",
        "OSError",  # TimeoutError: the exchange took too long; ssl.SSLError, after the handshake
    }
)


def transport_outcome(error: BaseException) -> Outcome:
    """Classifies an exception of httpx."""
    # httpx parses Location even if it does not follow it: there was a response, and the next is the same.
    if str(error).startswith("Invalid URL in location header"):
        return Outcome.PERMANENT
    names = {cls.__name__ for cls in type(error).__mro__}
    if "ConnectError" in names and tls_cause(error) is not None:
        return Outcome.PERMANENT  # the next handshake would fail, too
    if client_certificate_cause(error) is not None:
        return Outcome.PERMANENT
    if names & _NOT_SENT:
        return Outcome.NOT_SENT
    return Outcome.AMBIGUOUS if names & _AMBIGUOUS else Outcome.PERMANENT


def transport_failure(error: BaseException, host: str) -> Failure:
    """Classifies an exception of httpx for a request to `host`.

    A refused connection to this machine means that no server listens. It is retried once, in case the
    server is restarting.
    """
    is_refused = any(isinstance(behind, ConnectionRefusedError) for behind in chain(error))
    most = 1 if is_refused and is_this_machine(host) else None
    return Failure(transport_outcome(error), max_retries=most)


def status_failure(
    status_code: int, retry_after_seconds: float | None, resilience: Resilience
) -> Failure:
    """Classifies an error status."""
    if status_code not in resilience.retry_statuses:
        return Failure(Outcome.PERMANENT, retry_after_seconds)
    unread = status_code in {425, 429} or (status_code == 503 and retry_after_seconds is not None)
    return Failure(Outcome.REJECTED if unread else Outcome.AMBIGUOUS, retry_after_seconds)


def failure_of(error: APIError, resilience: Resilience) -> Failure:
    """Classifies one of our own errors."""
    if isinstance(error, APIStatusError):
        return status_failure(error.status_code, error.retry_after, resilience)
    if isinstance(error, InvalidResponseError):
        return Failure(Outcome.AMBIGUOUS)
    if isinstance(error, APIConnectionError) and not isinstance(error, TLSError):
        cause = error.__cause__
        if cause is None:
            return Failure(Outcome.AMBIGUOUS)
        url = "" if error.request is None else error.request.url
        return transport_failure(cause, urlsplit(url).hostname or "")
    return Failure(Outcome.PERMANENT)


# RFC 9110 section 9.2.2: idempotent methods.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})


def is_repeatable(method: str, headers: Mapping[str, str], resilience: Resilience) -> bool:
    """Returns whether a request is idempotent: by its method, or by its `Idempotency-Key`."""
    if method.upper() in _IDEMPOTENT:
        return True
    return resilience.resend_ambiguous and "idempotency-key" in headers


def may_resend(outcome: Outcome, *, repeatable: bool) -> bool:
    """Returns whether a request may be retried after `outcome`. `repeatable`: it is idempotent."""
    if outcome is Outcome.AMBIGUOUS:
        return repeatable
    return outcome is not Outcome.PERMANENT


def next_delay(
    failure: Failure,
    resilience: Resilience,
    *,
    repeatable: bool,
    attempts: int,
    elapsed: float,
    jitter: float,
    limited: int | None = None,
) -> float | None:
    """Returns the seconds until the next attempt; `None`: there is none.

    `attempts` were made in `elapsed` seconds; `jitter` is a random number from [0, 1). The last
    `limited` of them failed with a limit of their own, as `failure` does; by default, all.
    """
    in_a_row = attempts if limited is None else limited
    if failure.max_retries is not None and in_a_row > failure.max_retries:
        return None
    if attempts > resilience.max_retries or not may_resend(failure.outcome, repeatable=repeatable):
        return None
    asked = failure.retry_after or 0.0
    if asked > resilience.max_retry_after:
        return None
    delay = max(asked, backoff(attempts, resilience)) * (1 + 0.25 * jitter)
    out_of_time = resilience.deadline is not None and elapsed + delay > resilience.deadline
    return None if out_of_time else delay


def backoff(attempts: int, resilience: Resilience) -> float:
    """Returns the seconds to wait after so many attempts, before jitter: twice as long each time."""
    # 2.0 ** 1024 overflows; the cap is reached long before.
    doubled = resilience.backoff_initial * 2.0 ** min(attempts - 1, 64)
    return min(doubled, resilience.backoff_max)
