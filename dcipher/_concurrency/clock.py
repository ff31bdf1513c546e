"""The clock by which all waiting is measured: one that no test tool turns or stops.

freezegun replaces `time.monotonic`, wherever a module holds it. What waits for a thread, a socket or
another machine goes on meanwhile, so that a limit on a stopped clock never comes. What a calendar
says (`time.time`, `datetime.now`) is not read here: those are a test's to set.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["monotonic"]


def monotonic() -> float:
    """Seconds since some moment in the past, as `time.monotonic` counts them."""
    return _REAL[0]()


def _real() -> Callable[[], float]:
    """Not `time.monotonic` where there is another: it may be replaced when this is imported."""
    if hasattr(time, "clock_gettime") and hasattr(time, "CLOCK_MONOTONIC"):
        read, clock = time.clock_gettime, time.CLOCK_MONOTONIC
        return lambda: read(clock)
    return time.monotonic


# In a tuple: freezegun looks through the names of every module.
_REAL: Final = (_real(),)
