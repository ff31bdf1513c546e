"""What is sent again, when, and until when: values only.

The rules that read them stand in `_wire/errors/retries.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ConfigurationError

__all__ = ["RETRY_STATUSES", "Resilience"]

LONGEST = 10**9
"""Seconds: thirty years. What is longer is a mistake."""

RETRY_STATUSES = frozenset({408, 409, 425, 429, *range(500, 600)})
"""The statuses that are tried again by default."""


@dataclass(frozen=True)
class Resilience:
    """How hard to try.

    Immutable; `dataclasses.replace` derives another. Raises `ConfigurationError` for what makes no
    sense.
    """

    max_retries: int = 5
    """Attempts after the first; 0 switches retries off."""
    backoff_initial: float = 0.5
    """Seconds before the first retry; each further one waits twice as long, with jitter."""
    backoff_max: float = 8.0
    """Seconds that a backoff takes at most."""
    max_retry_after: float = 120.0
    """Seconds of `Retry-After` that are waited for.

    When the service asks for more, the error comes at once.
    """
    retry_statuses: frozenset[int] = RETRY_STATUSES
    """Statuses that are tried again. Any collection of ints is taken."""
    resend_ambiguous: bool = True
    """Whether a start whose answer was lost is sent again, with the same `Idempotency-Key`.

    With `False` it is a `SubmissionUnknownError` instead. A GET is always sent again.
    """
    deadline: float | None = None
    """Seconds that a call may take with all its retries; `None`: no limit but `max_retries`.

    While a run is waited for: how long the API may stay unreachable (`None`: 15 minutes).
    """

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int):
            raise ConfigurationError("max_retries must be a whole number: 0 switches retries off.")
        if self.max_retries < 0:
            raise ConfigurationError("max_retries must not be negative: 0 switches retries off.")
        for name in ("backoff_initial", "backoff_max", "max_retry_after"):
            _check_seconds(name, getattr(self, name), smallest=0.0)
        if self.deadline is not None:
            _check_seconds("deadline", self.deadline, smallest=1e-3)
        if not isinstance(self.resend_ambiguous, bool):
            raise ConfigurationError("resend_ambiguous must be True or False.")
        object.__setattr__(self, "retry_statuses", _statuses(self.retry_statuses))


def _statuses(value: object) -> frozenset[int]:
    items: list[object] = [*value] if isinstance(value, Iterable) else [None]
    statuses = frozenset(item for item in items if type(item) is int and 100 <= item <= 599)
    if len(statuses) != len(set(items)):
        raise ConfigurationError("retry_statuses must be statuses, such as {429, 503}.")
    return statuses


def _check_seconds(name: str, value: object, *, smallest: float) -> None:
    number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else value
    # A comparison with an int first: no float can hold every int.
    if not smallest <= number <= LONGEST:
        raise ConfigurationError(
            f"{name} must be a finite number of seconds, at least {smallest:g}."
        )
