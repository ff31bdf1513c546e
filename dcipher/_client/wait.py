"""The time of one wait for one run: how old it is, how much is left, when the next look is due."""

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
from dcipher._wire.errors.retries import backoff, failure_of
from dcipher.errors import ConfigurationError, InvalidParamsError
from dcipher.logs import logger

from . import outcomes, polling

if TYPE_CHECKING:
    from dcipher.errors import APIError
    from dcipher.models import Run
    from dcipher.resilience import Resilience

__all__ = ["Wait", "check_wait_timeout", "for_a_new_run"]


class Wait:
    """Reads the clocks for `_client/polling.py`.

    Durations are measured on the monotonic one: the other may be set.
    """

    def __init__(
        self, run: Run, resilience: Resilience, timeout: float | None, poll_interval: float | None
    ) -> None:
        self.timeout = check_wait_timeout(timeout)
        self._interval = _seconds("poll_interval", poll_interval)
        self._resilience = resilience
        self._started = monotonic()
        self._age_at_start = _age(run)
        self._failures = 0
        self._unseen_since = self._started
        self._warned = False
        self.last_error: APIError | None = None

    def age(self) -> float:
        """Seconds since the run was started; where that is not known, since the wait began."""
        return (self._age_at_start or 0.0) + monotonic() - self._started

    def left(self) -> float | None:
        """Seconds until the wait's time is over; `None`: it has no end."""
        return None if self.timeout is None else self.timeout - (monotonic() - self._started)

    def time_for_a_look(self) -> float | None:
        """Seconds that a look may take.

        Not past the end of the wait, but the last one gets a second.
        """
        left = self.left()
        return None if left is None else max(left, 1.0)

    def first(self) -> float:
        """Seconds until the first look."""
        return polling.first_look_in(self._age_at_start)

    def after_look(self, run: Run) -> float:
        """Seconds until the next look, after one that saw `run`."""
        self._failures, self.last_error, self._unseen_since = 0, None, monotonic()
        step = self._step()
        self._warn_of_expiry(run, step)
        return step

    def after_failure(self, error: APIError, run: Run) -> float:
        """Seconds until the next look, after one that failed. Raises what ends the wait."""
        # A run that is known by its ids alone may be of any age.
        age = math.inf if self._age_at_start is None else self.age()
        if polling.ends_the_wait(error, age=age):
            raise error
        self._failures += 1
        self.last_error = error
        self._give_up_if_unreachable(error, run)
        log = logger.warning if self._failures == 1 else logger.info
        log(
            "run %s: a look at its status failed (%s); waiting goes on",
            run.task_id,
            type(error).__name__,
        )
        asked = failure_of(error, self._resilience).retry_after or 0.0
        # The run may end long before the time that the service asks for.
        asked = min(asked, self._resilience.max_retry_after)
        return max(asked, self._step(), backoff(self._failures, self._resilience))

    def _step(self) -> float:
        if self._interval is not None:
            return self._interval
        return polling.next_look_in(self.age(), random.random())  # noqa: S311 - spreads looks, guards nothing

    def _give_up_if_unreachable(self, error: APIError, run: Run) -> None:
        limit = self._resilience.deadline or polling.UNREACHABLE_LIMIT
        unseen_for = monotonic() - self._unseen_since
        if self.timeout is None and unseen_for > limit:
            raise outcomes.interrupted(run, unseen_for) from error

    def _warn_of_expiry(self, run: Run, step: float) -> None:
        """Once, at the last look before the expiry: at the next one it may be too late."""
        ends = [output.expires_at.timestamp() for output in run.outputs if output.expires_at]
        left = min(ends, default=math.inf) - time.time()
        if left > step or run.is_terminal or self._warned:
            return
        self._warned = True
        logger.warning(
            "run %s: the signed URL of its result %s, and it is still %s: the result cannot be downloaded then",
            clean(run.task_id),
            f"expires in {left:.0f} s" if left > 0 else "has expired by the clock of this machine",
            clean(str(run.status)),
        )


def for_a_new_run(resilience: Resilience, run: Run) -> Resilience:
    """A 404 on the status of a run that was started seconds ago means "not there yet"."""
    age = _age(run)
    if age is None or age > polling.NEW_RUN_GRACE:
        return resilience
    return replace(resilience, retry_statuses=resilience.retry_statuses | {404})


def check_wait_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """Seconds for a wait; no time at all is one look. Raises `InvalidParamsError`."""
    return 0.0 if timeout == 0 and timeout is not False else _seconds(name, timeout)


def _seconds(name: str, value: float | None) -> float | None:
    try:
        return None if value is None else check_timeout(value, name)
    except ConfigurationError as error:
        raise InvalidParamsError(str(error)) from None


def _age(run: Run) -> float | None:
    """A date in the future is another machine's clock: the run counts as new."""
    if run.created_at is None:
        return None
    created = (
        run.created_at if run.created_at.tzinfo else run.created_at.replace(tzinfo=timezone.utc)
    )
    return max(0.0, (datetime.now(timezone.utc) - created).total_seconds())
