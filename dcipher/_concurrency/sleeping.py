"""Sleeps, and waits that another thread can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from dcipher._concurrency.clock import SIGNAL_CHECK

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["AsyncPause", "AsyncSleep", "Pause", "Sleep", "async_sleep", "sleep"]


AsyncSleep: TypeAlias = Callable[[float], Awaitable[None]]
Sleep: TypeAlias = Callable[[float], None]


async def async_sleep(seconds: float) -> None:
    """Sleeps, without blocking the event loop."""
    from anyio import sleep as anyio_sleep

    await anyio_sleep(seconds)


def sleep(seconds: float) -> None:
    """Sleeps, and blocks this thread. Signals are handled at least every half second."""
    while seconds > 0:
        time.sleep(min(seconds, SIGNAL_CHECK))
        seconds -= SIGNAL_CHECK


class AsyncPause:
    """Waits that can be ended from another thread."""

    def __init__(self) -> None:
        self.ended: bool = False

    async def wait(self, seconds: float) -> None:
        """Waits. On an event loop, cancellation is the only way to end it."""
        await async_sleep(seconds)

    def end(self) -> None:
        """Wait no longer, now and later."""
        self.ended = True


class Pause:
    """Waits that can be ended from another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def ended(self) -> bool:
        """Returns whether `end` was called."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Waits, or returns when `end` is called. Signals are handled at least every half second."""
        while seconds > 0 and not self._event.wait(min(seconds, SIGNAL_CHECK)):
            seconds -= SIGNAL_CHECK

    def end(self) -> None:
        """Wait no longer, now and later."""
        self._event.set()
