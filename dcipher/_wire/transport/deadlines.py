"""When a request has to be over: the one thing that its caller, its stream and its body share.

httpx bounds each read and each write by itself: a server that sends a byte of its head now and then
would be waited for without end. A request carries its deadline in its extensions; the stream that
it goes by asks before each read and each write how much is left, of head and body alike.
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
    "whole",
]

DEADLINE = "dcipher.deadline"
"""The extension of a request that holds its deadline."""
LEAST = 0.001
"""Seconds that the last step gets, which times out then, and says so as every other does."""
SLOWEST = 1000.0
"""Bytes per second: below this for `STALL` seconds, a transfer is stalled."""
STALL = 30.0


class Deadline:
    """The time that one request may take.

    It begins with the first byte that is sent: waiting for a connection, and opening one, have
    timeouts of their own.
    """

    def __init__(self, seconds: float | None, *, within: float | None = None) -> None:
        """`seconds` from the first byte; `within`: seconds from now on. `None`: no end."""
        self._seconds = math.inf if seconds is None else seconds
        self._last = math.inf if within is None else monotonic() + within
        self._ends = self._last
        self._window: float | None = None
        self._since, self._received = 0.0, 0
        self.has_begun = False
        """Whether its time is running."""
        self.stream: Any = None
        """Where it is sent and read; `None` until then."""
        self.was_sent = False
        """Whether something of the request itself may have been sent."""

    def begin(self, stream: Any = None) -> None:
        """Something is sent by `stream`, be it to a proxy; `None`: by whatever the user passed."""
        if not self.has_begun:
            self.has_begun, self.stream = True, stream
            if self._seconds != math.inf:
                self._ends = min(monotonic() + self._seconds, self._last)

    def restart(self, seconds: float | None) -> None:
        """So many seconds are left from now on, whatever there were; `None`: no end."""
        self._ends = math.inf if seconds is None else monotonic() + seconds

    def watch_body(self, window: float, until: float) -> None:
        """From now on the body counts: below a rate, it is stalled; and it is over at `until`.

        What is counted is the body. Its framing may trickle in for as long (RFC 9112 section 7.1: the
        extensions of chunks, the trailer), and brings none of it. `window`: seconds after which
        enough bytes let it count anew.
        """
        self._window, self._ends = window, until
        self.count_anew()

    def count_anew(self) -> None:
        """Count the bytes of the body from now on."""
        self._since, self._received = monotonic(), 0

    def arrived(self, size: int) -> None:
        """So many bytes of the body arrived. Raises `httpx.ReadTimeout` where they are too few."""
        self._received += size
        self.check()
        if self._window is not None and monotonic() - self._since >= self._window:
            self.count_anew()

    @property
    def left(self) -> float:
        """Seconds until the time is over; below 0 after that."""
        if self._window is not None:
            ends = min(self._ends, self._since + stalled_after(self._received))
            return ends - monotonic()
        return math.inf if self._ends == math.inf else self._ends - monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.left < 0

    def check(self) -> None:
        """Raises `httpx.ReadTimeout` when the time is over."""
        if not self.is_over:
            return
        seconds = monotonic() - self._since
        if self._window is not None and stalled(self._received, seconds):
            raise httpx.ReadTimeout(f"stalled: {self._received} bytes in {seconds:.0f} s")
        raise httpx.ReadTimeout("the answer took longer than the timeout")

    def bounded(self, timeout: float | None) -> float | None:
        """Seconds for what comes next, which has a timeout of its own.

        Of a body that is watched, a silent connection has only that: each read that ends is counted.
        """
        if self._ends == math.inf:
            return timeout
        left = max(self._ends - monotonic(), LEAST)
        return left if timeout is None or left < timeout else timeout

    def to_read(self, timeout: float | None) -> float | None:
        """Seconds for a read. Raises `httpx.ReadTimeout`.

        Where data is there, a read does not time out, however short its time.
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
        """Seconds for a step on the way to a connection. Raises `httpx.ConnectTimeout`."""
        if self.is_over:
            raise httpx.ConnectTimeout("the connection took longer than the timeout")
        return self.bounded(timeout)

    def abort(self) -> None:
        """Ends what waits for the answer, from another thread."""
        if self.stream is not None:
            self.stream.abort()


def head_deadline(timeouts: Mapping[str, float | None]) -> Deadline:
    """The deadline of the head of a request that brings none: its phases together."""
    return Deadline(whole(timeouts))


def whole(timeouts: Mapping[str, float | None]) -> float | None:
    """Seconds that one request may take in all where its phases have a timeout each.

    httpx starts each of them anew with every byte. `None`: one of them has none.
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
