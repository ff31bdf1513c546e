"""The clock for all waits, which test tools do not change or stop.

freezegun replaces `time.monotonic`, wherever a module holds it. What waits for a thread, a socket or
another machine continues, so that a limit on a stopped clock would never pass. Calendar time
(`time.time`, `datetime.now`) is not read here: tests may set it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SIGNAL_CHECK", "monotonic"]

SIGNAL_CHECK: Final = 0.5
"""Seconds after which a wait without a limit begins anew.

Python runs a signal's handler in the main thread, between two instructions: one that arrives just
before a wait begins, or that the system hands to another thread, is handled when that wait ends.
"""


def _unreplaced() -> Callable[[], float]:
    """Returns a clock other than `time.monotonic`, if there is one: it may be replaced already."""
    if hasattr(time, "clock_gettime") and hasattr(time, "CLOCK_MONOTONIC"):
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    real = (time.monotonic,)  # in a tuple: freezegun replaces the names in every module
    return lambda: real[0]()


monotonic: Final = _unreplaced()
"""Returns the seconds since a fixed moment, as `time.monotonic` does."""
