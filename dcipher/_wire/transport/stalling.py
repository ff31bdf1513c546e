"""When a transfer counts as stalled."""

from __future__ import annotations

__all__ = ["SLOWEST", "STALL", "stalled", "stalled_after"]

SLOWEST = 1000.0
"""Bytes a second: below this for `STALL` seconds, a transfer counts as stalled."""
STALL = 30.0


def stalled(received: int, seconds: float) -> bool:
    """Whether a transfer that brought so many bytes in the last so many seconds counts as dead."""
    return seconds >= STALL and received < SLOWEST * seconds


def stalled_after(received: int) -> float:
    """Seconds after which a transfer that brought so many bytes, and no more, counts as dead."""
    return max(STALL, received / SLOWEST)
