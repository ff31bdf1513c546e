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
    """Waits until a condition is true. The test fails if it never is."""
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
    """Checks that the block ends before the operation that would block it."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < HANG


def fastest(call: Callable[[], object], within: float) -> None:
    """Checks that a call takes less than so many seconds, at least on an idle machine.

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
