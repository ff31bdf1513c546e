"""Waits for events, on a machine of any speed: only a missing event takes long."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["HANG", "at_work", "fastest", "has_become", "no_hang", "until"]

HANG = 60.0
"""Seconds that only what hangs takes."""


def until(reached: Callable[[], object]) -> bool:
    """Wait until something is true. What never becomes so fails the test, which would else only take long."""
    assert has_become(reached), "it did not come within a minute"
    return True


def has_become(reached: Callable[[], object]) -> bool:
    """Wait until something is true; whether it has become so within a minute."""
    ends = time.monotonic() + HANG
    while not (found := reached()) and time.monotonic() < ends:
        time.sleep(0.005)
    return bool(found)


@contextmanager
def no_hang() -> Generator[None]:
    """What is in the block ends before what would hold it up does."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < HANG


def fastest(call: Callable[[], object], within: float) -> None:
    """What is called takes less than so many seconds, at least when the machine has nothing else to do.

    For times of which no wrong one is as long as a hang: a machine that is busy makes some of them
    longer, a broken promise all.
    """
    for _ in range(8):
        began = time.monotonic()
        call()
        if (took := time.monotonic() - began) < within:
            return
    assert took < within


def at_work() -> list[str]:
    """The threads of downloads that are at work, after they had time to end."""

    def names() -> list[str]:
        threads = [thread.name for thread in threading.enumerate()]
        return [name for name in threads if name in {"dcipher download", "dcipher range"}]

    has_become(lambda: not names())
    return names()
