"""The retry policy: which requests are retried, when, and for how long.

These are values only. `_wire/retries.py` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ConfigurationError

__all__ = ["RETRY_STATUSES", "Resilience"]

LONGEST = 10**9
"""Seconds: thirty years. A longer time is a mistake."""

RETRY_STATUSES = frozenset({408, 409, 425, 429, *range(500, 600)})
"""The statuses that are retried by default."""


@dataclass(frozen=True)
class Resilience:
    """The retry policy of a client.

    It is immutable: `dataclasses.replace` derives another one.

    Raises:
        ConfigurationError: A value is invalid.
    """

    max_retries: int = 5
    """Attempts after the first. 0 disables retries."""
    backoff_initial: float = 0.5
    """Seconds before the first retry. The delay doubles with each retry, plus jitter."""
    backoff_max: float = 8.0
    """The longest delay of the backoff, in seconds."""
    max_retry_after: float = 120.0
    """The longest `Retry-After` that is obeyed, in seconds.

    If the service asks for more, the error is raised at once.
    """
    retry_statuses: frozenset[int] = RETRY_STATUSES
    """The statuses that are retried, as any collection of integers."""
    resend_ambiguous: bool = True
    """Whether a start whose response was lost is retried, with the same `Idempotency-Key`.

    If `False`, it raises `SubmissionUnknownError`. A GET is always retried.
    """
    deadline: float | None = None
    """Seconds for a call with all its retries. `None`: only `max_retries` limits it.

    During a wait for a run: how long the API may be unreachable (`None`: 15 minutes). A download
    also ends at that time, even while its body is arriving.
    """

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int):
            raise ConfigurationError("max_retries must be an integer. 0 disables retries.")
        if self.max_retries < 0:
            raise ConfigurationError("max_retries must not be negative. 0 disables retries.")
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
    if not all(type(item) is int and item in statuses for item in items):
        raise ConfigurationError("retry_statuses must be HTTP statuses, such as {429, 503}.")
    return statuses


def _check_seconds(name: str, value: object, *, smallest: float) -> None:
    number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else value
    # A comparison with an int first: no float can hold every int.
    if not smallest <= number <= LONGEST:
        raise ConfigurationError(
            f"{name} must be a finite number of seconds, at least {smallest:g}."
        )
