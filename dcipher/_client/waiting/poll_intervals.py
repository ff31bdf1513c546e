"""Decides when to poll a run next, and when to give up.

The interval is a fifteenth of the run's age, so that the end is known within a fifteenth of the run's
duration, and a run of an hour costs a few hundred polls. In the first seconds, most runs have not ended
yet: there, it falls from half a second to the shortest.
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
    "first_poll_in",
    "next_poll_in",
]

FIRST_INTERVAL = 0.5
SHORTEST_INTERVAL = 0.18
LONGEST_INTERVAL = 15.0
SHARE_OF_AGE = 1 / 15
SHORTENING = 1 / 3
"""The interval of a new run, multiplied by its age."""

NEW_RUN_GRACE = 10.0
"""Seconds after the start in which a 404 on the status means "not created yet"."""

UNREACHABLE_LIMIT = 900.0
"""Seconds of consecutive failures after which a wait without a timeout ends."""


def first_poll_in(age: float | None) -> float:
    """Returns the seconds until the first poll of a run of this age (`None`: unknown).

    No run is polled before it is half a second old.
    """
    return 0.0 if age is None else max(0.0, FIRST_INTERVAL - age)


def next_poll_in(age: float, jitter: float) -> float:
    """Returns the seconds until the next poll; `jitter` is a random number from [0, 1)."""
    interval = FIRST_INTERVAL
    if age > FIRST_INTERVAL + SHORTEST_INTERVAL:
        new = min(SHORTENING / age, FIRST_INTERVAL)
        interval = min(max(SHARE_OF_AGE * age, new, SHORTEST_INTERVAL), LONGEST_INTERVAL)
    # Ten thousand runs that were started together must not be polled together; the jitter only
    # shortens the interval.
    return interval * (0.95 + 0.05 * jitter)


def ends_the_wait(error: APIError, *, age: float) -> bool:
    """Returns whether an error of a poll is permanent. All other errors are retried for minutes."""
    if isinstance(error, APIStatusError):
        if error.status_code == 404:
            return age > NEW_RUN_GRACE
        return error.status_code < 500 and error.status_code not in {408, 409, 425, 429}
    return isinstance(error, TLSError) or not isinstance(
        error, (APIConnectionError, InvalidResponseError)
    )
