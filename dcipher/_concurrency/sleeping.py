"""Sleeps, and waits that another thread can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from dcipher._concurrency.clock import SIGNAL_CHECK

if TYPE_CHECKING:
    from anyio import CancelScope
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = [
    "Alarm",
    "AsyncAlarm",
    "AsyncSleep",
    "Pause",
    "Sleep",
    "async_sleep",
    "sleep",
]


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


class AsyncAlarm:
    """Sleeps that another task can end early."""

    __slots__ = ("_scope",)

    def __init__(self) -> None:
        self._scope: CancelScope | None = None

    async def sleep(self, seconds: float) -> bool:
        """Sleeps; returns whether `ring` ended it."""
        from anyio import CancelScope
        from anyio import sleep as anyio_sleep

        # Not an event, which takes a kilobyte more: ten thousand may sleep at the same time.
        with CancelScope() as self._scope:
            await anyio_sleep(seconds)
        scope, self._scope = self._scope, None
        return scope.cancelled_caught

    def ring(self) -> None:
        """Ends the sleep in progress, if there is one."""
        if self._scope is not None:
            self._scope.cancel()


class Alarm:
    """Sleeps that another thread can end early.

    It is a queue, because its operations are atomic for signals, too: no lock can stay locked.
    """

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: SimpleQueue[bool] = SimpleQueue()

    def sleep(self, seconds: float) -> bool:
        """Sleeps; returns whether `ring` ended it. Signals are handled at least every half second."""
        is_main = threading.current_thread() is threading.main_thread()
        while seconds > 0:
            part = min(seconds, SIGNAL_CHECK) if is_main else seconds
            try:
                return self._rings.get(timeout=part)
            except Empty:
                seconds -= part
        return False

    def ring(self) -> None:
        """Ends the sleep in progress, or the next one."""
        self._rings.put(True)


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
        """Ends the wait, and every later one."""
        self._event.set()
