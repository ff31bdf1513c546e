"""Sleeps, and waits that another thread can end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from sniffio import current_async_library

from dcipher._concurrency.clock import SIGNAL_CHECK

if TYPE_CHECKING:
    import asyncio

    from anyio import CancelScope


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

    # Ten thousand may sleep at the same time: an event takes a kilobyte more, and so does a scope.
    __slots__ = ("_scope", "_woken", "is_rung")

    def __init__(self) -> None:
        self._scope: CancelScope | None = None
        self._woken: asyncio.Future[None] | None = None
        self.is_rung = False
        """Whether `ring` ended the last sleep, or is about to."""

    def sleep(self, seconds: float) -> Awaitable[bool]:
        """Sleeps; returns whether `ring` ended it."""
        self.is_rung = False
        is_asyncio = current_async_library() == "asyncio"
        return self._until_woken(seconds) if is_asyncio else self._in_scope(seconds)

    async def _until_woken(self, seconds: float) -> bool:
        import asyncio

        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = loop.call_later(seconds, _wake, self._woken) if seconds < math.inf else None
        try:
            await self._woken
        finally:
            self._woken = None
            if timer is not None:
                timer.cancel()
        return self.is_rung

    async def _in_scope(self, seconds: float) -> bool:
        from anyio import CancelScope
        from anyio import sleep as anyio_sleep

        try:
            with CancelScope() as self._scope:
                await anyio_sleep(seconds)
        finally:
            self._scope = None
        return self.is_rung

    def ring(self) -> bool:
        """Ends the sleep in progress, and returns whether there is one that no other ring has ended."""
        if (self._woken is None and self._scope is None) or self.is_rung:
            return False
        self.is_rung = True
        if self._woken is not None:
            _wake(self._woken)
        if self._scope is not None:
            self._scope.cancel()
        return True


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


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
