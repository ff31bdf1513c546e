"""The deadline of a download's request. Its body is stalled below a rate."""

from __future__ import annotations

import httpx
from typing_extensions import override

from dcipher._concurrency.clock import monotonic
from dcipher._wire.transport.deadlines import Deadline

__all__ = ["TransferDeadline", "stalled", "stalled_after"]

SLOWEST = 1000.0
"""Bytes per second: below this for `STALL` seconds, a transfer is stalled."""
STALL = 30.0


class TransferDeadline(Deadline):
    """The time limit of one request, and then of its body.

    Only the bytes of the body count, not those of its framing (RFC 9112 section 7.1: extensions of
    chunks, the trailer).
    """

    _since: float | None = None
    """When counting began; `None`: the body is not watched yet."""
    _received = 0

    def watch_body(self, until: float) -> None:
        """Watches the body, which must end at `until`. Counting begins anew every `STALL` seconds."""
        self._ends = until
        self.count_anew()

    def count_anew(self) -> None:
        """Begins counting the bytes of the body anew."""
        self._since, self._received = monotonic(), 0

    def arrived(self, size: int) -> None:
        """Counts received bytes of the body. Raises `httpx.ReadTimeout` if there are too few."""
        self._received += size
        self.check()
        if self._since is not None and monotonic() - self._since >= STALL:
            self.count_anew()

    @property
    @override
    def left(self) -> float:
        if self._since is None:
            return super().left
        return min(self._ends, self._since + stalled_after(self._received)) - monotonic()

    @override
    def check(self) -> None:
        if self.is_over and self._since is not None:
            seconds = monotonic() - self._since
            if stalled(self._received, seconds):
                raise httpx.ReadTimeout(f"stalled: {self._received} bytes in {seconds:.0f} s")
        super().check()

    @override
    def to_read(self, timeout: float | None) -> float | None:
        if self._since is None:
            return super().to_read(timeout)
        self.check()
        # The only limit for a silent connection: only completed reads count.
        return self.bounded(timeout)


def stalled(received: int, seconds: float) -> bool:
    """Returns whether a transfer with so many bytes in the last so many seconds is stalled."""
    return seconds >= STALL and received < SLOWEST * seconds


def stalled_after(received: int) -> float:
    """Returns the seconds after which a transfer with so many bytes, and no more, is stalled."""
    return max(STALL, received / SLOWEST)
