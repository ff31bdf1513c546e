"""When to look again, and when to give up.

The step follows the age of the run: a tenth of it, so that the end is known within a tenth of the
run's time, and a run of an hour costs a few hundred looks.
"""

from __future__ import annotations

from dcipher.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    InvalidResponseError,
    TLSError,
)

__all__ = [
    "NEW_RUN_GRACE",
    "UNREACHABLE_LIMIT",
    "ends_the_wait",
    "first_look_in",
    "next_look_in",
]

FIRST_STEP = 0.5
SHORTEST_STEP = 0.2
LONGEST_STEP = 15.0
SHARE_OF_AGE = 0.1

NEW_RUN_GRACE = 10.0
"""Seconds after the start in which a 404 on the status means "not there yet"."""

UNREACHABLE_LIMIT = 900.0
"""Seconds of nothing but failures after which a wait without a limit is given up."""


def first_look_in(age: float | None) -> float:
    """Seconds until the first look at a run of this age (`None`.

    Not known): it is worth none before half a second.
    """
    return 0.0 if age is None else max(0.0, FIRST_STEP - age)


def next_look_in(age: float, jitter: float) -> float:
    """Seconds until the next look at a run of this age; `jitter` is a random number from [0, 1)."""
    step = min(max(SHARE_OF_AGE * age, SHORTEST_STEP), LONGEST_STEP)
    if age < FIRST_STEP + SHORTEST_STEP:
        step = FIRST_STEP
    # Ten thousand runs that were started together must not be asked for together; at most the step
    # itself is waited.
    return step * (0.95 + 0.05 * jitter)


def ends_the_wait(error: APIError, *, age: float) -> bool:
    """Whether a failed look means that the next one fails, too.

    Minutes of anything else do not end a wait.
    """
    if isinstance(error, APIStatusError):
        if error.status_code == 404:
            return age > NEW_RUN_GRACE
        return error.status_code < 500 and error.status_code not in {408, 409, 425, 429}
    return isinstance(error, TLSError) or not isinstance(
        error, (APIConnectionError, InvalidResponseError)
    )
