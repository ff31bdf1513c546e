"""The deadline of a request, which its caller, its stream and its body share.

httpx limits each read and each write separately: it would wait without end for a server that sends a
byte of its head now and then. A request has its deadline in its extensions. The stream checks it
before each read and each write, of the head and of the body.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEADLINE",
    "Deadline",
    "deadline_of",
    "total_timeout_of",
]

DEADLINE = "dcipher.deadline"
"""The extension of a request with its deadline."""
LEAST = 0.001
"""Seconds for the last step, which then times out with the usual error."""


class Deadline:
    """The time limit of one request.

    It begins with the first byte that is sent: waiting for a connection and opening one have their own
    timeouts.
    """

    def __init__(self, seconds: float | None, *, within: float | None = None) -> None:
        """`seconds` from the first byte; `within`: seconds from now on. `None`: no limit."""
        self._seconds = math.inf if seconds is None else seconds
        self._last = math.inf if within is None else monotonic() + within
        self._ends = self._last
        self.has_begun = False
        """Whether it has begun."""
        self.stream: Any = None
        """The stream of the request; `None` before it is sent."""
        self.was_sent = False
        """Whether a part of the request itself may have been sent."""
        self.is_for_head = False
        """Whether it ends with the head: the body may take as long as data arrives."""

    def begin(self, stream: Any = None) -> None:
        """Begins with the first bytes on `stream`, also to a proxy; `None`: by a custom transport."""
        if not self.has_begun:
            self.has_begun, self.stream = True, stream
            if self._seconds != math.inf:
                self._ends = min(monotonic() + self._seconds, self._last)

    def restart(self, seconds: float | None) -> None:
        """Sets the remaining seconds; `None`: no limit."""
        self._ends = math.inf if seconds is None else monotonic() + seconds

    @property
    def left(self) -> float:
        """The remaining seconds; below 0 after the deadline."""
        return self._ends - monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.left < 0

    def check(self) -> None:
        """Raises `httpx.ReadTimeout` after the deadline."""
        if self.is_over:
            raise httpx.ReadTimeout("the response took longer than the timeout")

    def bounded(self, timeout: float | None) -> float | None:
        """Returns the seconds for the next step, which has its own timeout."""
        if self._ends == math.inf:
            return timeout
        left = max(self._ends - monotonic(), LEAST)
        return left if timeout is None or left < timeout else timeout

    def to_read(self, timeout: float | None) -> float | None:
        """Returns the seconds for a read. Raises `httpx.ReadTimeout`.

        If data is available, a read does not time out, however short its time.
        """
        if self._ends == math.inf:
            return timeout
        left = self._ends - monotonic()
        if left < 0:
            self.check()
        return left if timeout is None or left < timeout else timeout

    def to_connect(self, timeout: float | None) -> float | None:
        """Returns the seconds for a step of opening a connection. Raises `httpx.ConnectTimeout`."""
        if self.is_over:
            raise httpx.ConnectTimeout("the connection took longer than the timeout")
        return self.bounded(timeout)

    def abort(self) -> None:
        """Interrupts waiting for the response, from another thread."""
        if self.stream is not None:
            self.stream.opened.abort()


def deadline_of(extensions: Mapping[str, Any]) -> Deadline:
    """Returns the deadline of a request; without one, a deadline for the head: the sum of its timeouts."""
    known: Deadline | None = extensions.get(DEADLINE)
    if known is None:
        known = Deadline(total_timeout_of(extensions.get("timeout") or {}))
        known.is_for_head = True
    return known


def total_timeout_of(timeouts: Mapping[str, float | None]) -> float | None:
    """Returns the total seconds for one request from the timeouts of its phases.

    httpx starts each of them anew with every byte. `None`: one of them has no limit.
    """
    limits = [seconds for seconds in timeouts.values() if seconds is not None]
    return sum(limits) if limits and len(limits) == len(timeouts) else None
