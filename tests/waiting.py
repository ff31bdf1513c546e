"""Waits for what must come, on a machine of any speed: only what never comes takes long."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["HANG", "no_hang", "until"]

HANG = 60.0
"""Seconds that only what hangs takes."""


def until(reached: Callable[[], object], seconds: float = HANG) -> bool:
    """Wait until something is true; whether it has become so within these seconds."""
    ends = time.monotonic() + seconds
    while not (found := reached()) and time.monotonic() < ends:
        time.sleep(0.005)
    return bool(found)


@contextmanager
def no_hang() -> Generator[None]:
    """What is in the block ends before what would hold it up does."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < HANG
