"""Sleeps, and waits that another thread can end."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["AsyncPause", "AsyncSleep", "Pause", "Sleep", "async_sleep", "sleep"]


AsyncSleep: TypeAlias = Callable[[float], Awaitable[None]]
Sleep: TypeAlias = Callable[[float], None]


async def async_sleep(seconds: float) -> None:
    """Let others run for so long."""
    from anyio import sleep as anyio_sleep

    await anyio_sleep(seconds)


def sleep(seconds: float) -> None:
    """Block this thread for so long."""
    time.sleep(seconds)


class AsyncPause:
    """Waits that can be ended from another thread."""

    def __init__(self) -> None:
        self.ended: bool = False

    async def wait(self, seconds: float) -> None:
        """Wait so long. What runs on an event loop is cancelled there, and needs no other end."""
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
        """Whether `end` was called."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        self._event.wait(seconds)

    def end(self) -> None:
        """Wait no longer, now and later."""
        self._event.set()
