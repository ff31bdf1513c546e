# Generated from dcipher/_wire/layers/retrying_async.py by scripts/unasync.py: edit that, not this.
"""Retries: the only module that sends a request again.

It uses tenacity; `_wire/retries.py` decides whether and when.
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.sleeping import sleep
from dcipher._wire.errors.causes import chain
from dcipher._wire.retries import Failure, next_delay
from dcipher.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

    from dcipher._concurrency.callables import Attempt
    from dcipher._concurrency.sleeping import Sleep
    from dcipher.resilience import Resilience

__all__ = ["prepare_retries", "send_again"]

T = TypeVar("T")


def prepare_retries() -> bool:
    """Imports tenacity, which takes longer than all of this package that a call needs.

    Returns whether that is possible: not if there are too many open files.
    """
    try:
        import_module("tenacity")
    except OSError:
        return False
    return True


def send_again(
    attempt: Attempt[T],
    failure_of: Callable[[Exception], Failure | None],
    resilience: Resilience,
    *,
    repeatable: bool,
    what: str,
    pause: Sleep = sleep,
    started: float | None = None,
) -> T:
    """Returns the result of the first attempt that succeeds, or raises the error of the last one.

    `failure_of` classifies an exception; `None`: it is not retried. `pause` waits between two
    attempts. `started`: the beginning of the deadline, by the monotonic clock; `None`: now.
    """
    started = monotonic() if started is None else started
    try:
        return attempt()
    except Exception as error:  # classified by failure_of, and raised again unless there is a retry
        rules = _Rules(failure_of, resilience, repeatable, what, started)
        if rules.delay_after(error, attempts=1) is None or not prepare_retries():
            raise
        first = error
    return _again(attempt, first, rules, pause)


def _again(attempt: Attempt[T], first: Exception, rules: _Rules, pause: Sleep) -> T:
    # Only after a failure: a call that succeeds does not pay for it.
    from tenacity import Retrying, stop_never

    failed: list[Exception] = [first]

    def attempt_or_replay() -> T:
        if failed:
            raise failed.pop()  # the attempt before tenacity counts as its first
        return attempt()

    return Retrying(sleep=pause, stop=stop_never, retry=rules.retry, wait=rules.wait, reraise=True)(
        attempt_or_replay
    )


class _Rules:
    """The rules of `_wire/retries.py`, in the form that tenacity needs."""

    def __init__(
        self,
        failure_of: Callable[[Exception], Failure | None],
        resilience: Resilience,
        repeatable: bool,
        what: str,
        started: float,
    ) -> None:
        self._failure_of = failure_of
        self._resilience = resilience
        self._repeatable = repeatable
        self._what = what
        self._started = started
        self._delay: float | None = None
        self._counted = self._limited = 0

    def delay_after(self, error: BaseException, attempts: int) -> float | None:
        failure = self._failure_of(error) if isinstance(error, Exception) else None
        if failure is None:
            return None
        if (
            attempts > self._counted
        ):  # the first failure is seen twice: by the call, and by tenacity
            self._counted = attempts
            self._limited = 0 if failure.max_retries is None else self._limited + 1
        return next_delay(
            failure,
            self._resilience,
            repeatable=self._repeatable,
            attempts=attempts,
            elapsed=monotonic() - self._started,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
            limited=self._limited,
        )

    def retry(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is None:
            return False
        self._delay = self.delay_after(error, state.attempt_number)
        if self._delay is None:
            return False
        log = logger.warning if state.attempt_number == 1 else logger.info
        log(
            "%s: attempt %d failed (%s); the next one in %.2f s",
            self._what, state.attempt_number, _why(error), self._delay,
            extra={"is_retry": True},
        )  # fmt: skip
        return True

    def wait(self, _: RetryCallState) -> float:
        return self._delay or 0.0


def _why(error: BaseException) -> str:
    """Returns why an attempt failed, in our own words: without the text of a server or a library."""
    number = getattr(error, "status_code", None)
    if isinstance(number, int) and number:
        return f"status {number}"
    refused = any(isinstance(behind, ConnectionRefusedError) for behind in chain(error))
    return "connection refused" if refused else type(error).__name__
