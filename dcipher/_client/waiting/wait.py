"""The clocks of one wait for one run: its age, the time left, when the next poll is due."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import monotonic
from dcipher._masking.text import clean
from dcipher._settings.checks import check_timeout
from dcipher._wire.retries import backoff, failure_of
from dcipher.errors import ConfigurationError, InvalidParamsError
from dcipher.logs import logger

from . import poll_intervals, run_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.errors import APIError
    from dcipher.models import Run
    from dcipher.resilience import Resilience

    from .flow_pace import Pace

__all__ = ["Wait", "check_wait_timeout", "for_a_new_run"]


class Wait:
    """Reads the clocks for `_client/waiting/poll_intervals.py`.

    Durations are measured by the monotonic clock: the wall clock may be set.
    """

    __slots__ = ("_age_at_start", "_due", "_failures", "_not_before", "_pace", "_poll_interval",
                 "_resilience", "_seen_running", "_started", "_unreachable_since", "_warned", "last_error",
                 "timeout")  # fmt: skip

    def __init__(
        self, run: Run, resilience: Resilience, timeout: float | None, poll_interval: float | None
    ) -> None:
        self.timeout = check_wait_timeout(timeout)
        self._poll_interval = _seconds("poll_interval", poll_interval)
        self._resilience = resilience
        self._started = monotonic()
        self._age_at_start = _age(run)
        self._failures = 0
        self._unreachable_since = self._started
        self._warned = False
        self._pace: Pace | None = None
        self._seen_running = 0.0
        self._due = 0.0
        self._not_before = 0.0
        """When a poll may follow one that failed, by the monotonic clock."""
        self.last_error: APIError | None = None

    def keep_pace(self, pace: Pace, ring: Callable[[], object]) -> None:
        """Polls at the pace of a flow, unless the interval or the age of the run is not ours to know."""
        if self._poll_interval is None and self._age_at_start is not None:
            self._pace = pace
            pace.enter(self, ring)

    def end(self) -> None:
        """Ends it."""
        if self._pace is not None:
            self._pace.leave(self)

    def age(self) -> float:
        """Returns the seconds since the run was started; if unknown, since the wait began."""
        return (self._age_at_start or 0.0) + monotonic() - self._started

    def left(self) -> float | None:
        """Returns the seconds until the timeout; `None`: there is none."""
        return None if self.timeout is None else self.timeout - (monotonic() - self._started)

    def poll_timeout(self) -> float | None:
        """Returns the timeout of a poll in seconds.

        It ends with the wait, but the last poll gets a second.
        """
        left = self.left()
        return None if left is None else max(left, 1.0)

    def first(self) -> float:
        """Returns the seconds until the first poll."""
        own = poll_intervals.first_poll_in(self._age_at_start)
        # A run that is older than usual is polled at once, as one of unknown age is.
        return self._planned(own if own == 0.0 else self._at_pace(own))

    def after_news(self) -> float:
        """Returns the seconds until the next poll, after the pace of the flow has changed."""
        now = monotonic()
        left = max(0.0, self._due - now)
        if self._pace is None:
            return left
        # After a failure, not before the time that the server asked for, or the backoff, has passed.
        earliest = max(self._pace.after_news(self.age()), self._not_before - now)
        return self._planned(min(left, earliest))

    def _planned(self, delay: float) -> float:
        self._due = monotonic() + delay
        return delay

    def _at_pace(self, own: float) -> float:
        return own if self._pace is None else self._pace.interval(self.age(), own, _jitter())

    def after_poll(self, run: Run) -> float:
        """Returns the seconds until the next poll, after one that returned `run`."""
        self._failures, self.last_error, self._unreachable_since = 0, None, monotonic()
        if self._pace is not None:
            self._learn(self._pace, run)
        interval = self._planned(self._next_interval())
        self._warn_of_expiry(run, interval)
        return interval

    def after_failure(self, error: APIError, run: Run) -> float:
        """Returns the seconds until the next poll, after one that failed. Raises a permanent error."""
        # A run that is known only by its ids may be of any age.
        age = math.inf if self._age_at_start is None else self.age()
        if poll_intervals.ends_the_wait(error, age=age):
            raise error
        self._failures += 1
        self.last_error = error
        self._give_up_if_unreachable(error, run)
        log = logger.warning if self._failures == 1 else logger.info
        log(
            "run %s: a poll failed (%s); the wait continues",
            run.task_id,
            type(error).__name__,
        )
        asked = failure_of(error, self._resilience).retry_after or 0.0
        # The run may end long before the time in Retry-After.
        asked = min(asked, self._resilience.max_retry_after)
        pause = max(asked, backoff(self._failures, self._resilience))
        self._not_before = monotonic() + pause
        return self._planned(max(pause, self._next_interval()))

    def _next_interval(self) -> float:
        if self._poll_interval is not None:
            return self._poll_interval
        return self._at_pace(poll_intervals.next_poll_in(self.age(), _jitter()))

    def _learn(self, pace: Pace, run: Run) -> None:
        age = self.age()
        if run.is_terminal:
            pace.leave(self)
            pace.ended(age, self._seen_running)
        else:
            self._seen_running = age
            pace.running(age)

    def _give_up_if_unreachable(self, error: APIError, run: Run) -> None:
        limit = self._resilience.deadline or poll_intervals.UNREACHABLE_LIMIT
        unreachable_for = monotonic() - self._unreachable_since
        if self.timeout is None and unreachable_for > limit:
            raise run_errors.interrupted(run, unreachable_for) from error

    def _warn_of_expiry(self, run: Run, interval: float) -> None:
        """Warns once, at the last poll before the URL expires: the next one may be too late."""
        ends = [output.expires_at.timestamp() for output in run.outputs if output.expires_at]
        left = min(ends, default=math.inf) - time.time()
        if left > interval or run.is_terminal or self._warned:
            return
        self._warned = True
        logger.warning(
            "run %s: the signed URL of its result %s, while it is %s: after that, the result cannot be downloaded",
            clean(run.task_id),
            f"expires in {left:.0f} s" if left > 0 else "has expired by the clock of this machine",
            clean(str(run.status)),
        )


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads polls, guards nothing


def for_a_new_run(resilience: Resilience, run: Run) -> Resilience:
    """Returns a policy that retries a 404 if the run was started seconds ago: it may not exist yet."""
    age = _age(run)
    if age is None or age > poll_intervals.NEW_RUN_GRACE:
        return resilience
    return replace(resilience, retry_statuses=resilience.retry_statuses | {404})


def check_wait_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """Returns the timeout of a wait; 0 means a single poll. Raises `InvalidParamsError`."""
    return 0.0 if timeout == 0 and timeout is not False else _seconds(name, timeout)


def _seconds(name: str, value: float | None) -> float | None:
    try:
        return None if value is None else check_timeout(value, name)
    except ConfigurationError as error:
        raise InvalidParamsError(str(error)) from None


def _age(run: Run) -> float | None:
    """Returns the seconds since the run was created; 0 for a date in the future (clock skew)."""
    if run.created_at is None:
        return None
    created = (
        run.created_at if run.created_at.tzinfo else run.created_at.replace(tzinfo=timezone.utc)
    )
    return max(0.0, (datetime.now(timezone.utc) - created).total_seconds())
