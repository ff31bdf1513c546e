"""Runs a function beside its caller, until it ends by itself."""

from __future__ import annotations

import sys
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from dcipher._concurrency.callables import AsyncAttempt, Attempt

__all__ = ["AsyncBackground", "Background"]


class AsyncBackground:
    """Runs an async function as a task of its own on the event loop of its caller.

    No task group: one that is open at the `yield` of a generator would cancel the code around the
    loop over it (PEP 789). What the function raises is the function's to report.
    """

    def __init__(self, function: AsyncAttempt[object], name: str) -> None:
        from anyio import Event
        from sniffio import current_async_library

        self._ended: Event = Event()
        self._function = function
        if current_async_library() == "trio":
            from trio.lowlevel import spawn_system_task

            spawn_system_task(self._run, name=name, context=copy_context())
            return
        # anyio has no task without a group. It is ended by its own function, never cancelled.
        loop: Any = sys.modules["asyncio"]
        self._task: object = loop.get_running_loop().create_task(self._run(), name=name)

    async def _run(self) -> None:
        try:
            await self._function()
        finally:
            self._ended.set()

    async def wait(self) -> None:
        """Waits for the end of the function, also while being cancelled."""
        from anyio import CancelScope

        with CancelScope(shield=True):
            await self._ended.wait()


class Background:
    """Runs a function in a thread of its own.

    It is a daemon: a program that ends does not wait for it. What the function raises is the
    function's to report.
    """

    def __init__(self, function: Attempt[object], name: str) -> None:
        run: Callable[..., object] = copy_context().run
        self._thread = threading.Thread(target=run, args=(function,), name=name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the end of the function."""
        self._thread.join()
