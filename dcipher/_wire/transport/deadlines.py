"""The deadline of a request, which its caller, its stream and its body share, and stalled transfers.

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
    "SLOWEST",
    "STALL",
    "Deadline",
    "head_deadline",
    "stalled",
    "stalled_after",
    "total_timeout_of",
]

DEADLINE = "dcipher.deadline"
"""The extension of a request with its deadline."""
LEAST = 0.001
"""Seconds for the last step, which then times out with the usual error."""
SLOWEST = 1000.0
"""Bytes per second: below this for `STALL` seconds, a transfer is stalled."""
STALL = 30.0


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
        self._window: float | None = None
        self._since, self._received = 0.0, 0
        self.has_begun = False
        """Whether it has begun."""
        self.stream: Any = None
        """The stream of the request; `None` before it is sent."""
        self.was_sent = False
        """Whether a part of the request itself may have been sent."""

    def begin(self, stream: Any = None) -> None:
        """Begins with the first bytes on `stream`, also to a proxy; `None`: by a custom transport."""
        if not self.has_begun:
            self.has_begun, self.stream = True, stream
            if self._seconds != math.inf:
                self._ends = min(monotonic() + self._seconds, self._last)

    def restart(self, seconds: float | None) -> None:
        """Sets the remaining seconds; `None`: no limit."""
        self._ends = math.inf if seconds is None else monotonic() + seconds

    def watch_body(self, window: float, until: float) -> None:
        """Watches the body: it is stalled below a rate, and must end at `until`.

        Only the bytes of the body count, not those of its framing (RFC 9112 section 7.1: extensions of
        chunks, the trailer). `window`: seconds after which counting begins anew.
        """
        self._window, self._ends = window, until
        self.count_anew()

    def count_anew(self) -> None:
        """Begins counting the bytes of the body anew."""
        self._since, self._received = monotonic(), 0

    def arrived(self, size: int) -> None:
        """Counts received bytes of the body. Raises `httpx.ReadTimeout` if there are too few."""
        self._received += size
        self.check()
        if self._window is not None and monotonic() - self._since >= self._window:
            self.count_anew()

    @property
    def left(self) -> float:
        """The remaining seconds; below 0 after the deadline."""
        if self._window is not None:
            ends = min(self._ends, self._since + stalled_after(self._received))
            return ends - monotonic()
        return math.inf if self._ends == math.inf else self._ends - monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.left < 0

    def check(self) -> None:
        """Raises `httpx.ReadTimeout` after the deadline."""
        if not self.is_over:
            return
        seconds = monotonic() - self._since
        if self._window is not None and stalled(self._received, seconds):
            raise httpx.ReadTimeout(f"stalled: {self._received} bytes in {seconds:.0f} s")
        raise httpx.ReadTimeout("the response took longer than the timeout")

    def bounded(self, timeout: float | None) -> float | None:
        """Returns the seconds for the next step, which has its own timeout.

        It is the only limit for a silent connection while a body is watched: only completed reads count.
        """
        if self._ends == math.inf:
            return timeout
        left = max(self._ends - monotonic(), LEAST)
        return left if timeout is None or left < timeout else timeout

    def to_read(self, timeout: float | None) -> float | None:
        """Returns the seconds for a read. Raises `httpx.ReadTimeout`.

        If data is available, a read does not time out, however short its time.
        """
        if self._window is not None:
            self.check()
            return self.bounded(timeout)
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
            self.stream.abort()


def head_deadline(timeouts: Mapping[str, float | None]) -> Deadline:
    """Returns the deadline for the head of a request without one: the sum of its timeouts."""
    return Deadline(total_timeout_of(timeouts))


def total_timeout_of(timeouts: Mapping[str, float | None]) -> float | None:
    """Returns the total seconds for one request from the timeouts of its phases.

    httpx starts each of them anew with every byte. `None`: one of them has no limit.
    """
    total = 0.0
    for seconds in timeouts.values():
        if seconds is None:
            return None
        total += seconds
    return total if timeouts else None


def stalled(received: int, seconds: float) -> bool:
    """Returns whether a transfer with so many bytes in the last so many seconds is stalled."""
    return seconds >= STALL and received < SLOWEST * seconds


def stalled_after(received: int) -> float:
    """Returns the seconds after which a transfer with so many bytes, and no more, is stalled."""
    return max(STALL, received / SLOWEST)
