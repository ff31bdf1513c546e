"""Runs a function beside its caller, until it ends by itself."""

from __future__ import annotations

import os
import sys
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from dcipher._concurrency.clock import SIGNAL_CHECK

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import Event

    from dcipher._concurrency.callables import AsyncAttempt, Attempt

__all__ = ["AsyncBackground", "Background"]


class AsyncBackground:
    """Runs an async function as its own task on the event loop of its caller.

    No task group: one that is open at the `yield` of a generator would cancel the code around the
    loop over it (PEP 789). The function must report its exceptions.
    """

    def __init__(self, function: AsyncAttempt[object], name: str) -> None:
        from anyio import Event

        self._ended: Event = Event()
        self._function = function
        self._name = name
        self._has_begun = False
        self._may_begin = True
        self._task: object = None

    def start(self) -> None:
        """Starts it."""
        from sniffio import current_async_library

        if current_async_library() == "trio":
            from trio.lowlevel import spawn_system_task

            spawn_system_task(self._run, name=self._name, context=copy_context())
            return
        # anyio has no task without a group. It is ended by its own function, never cancelled.
        loop: Any = sys.modules["asyncio"]
        self._task = loop.get_running_loop().create_task(self._run(), name=self._name)

    async def _run(self) -> None:
        if not self._may_begin:
            return
        self._has_begun = True
        try:
            await self._function()
        finally:
            self._ended.set()

    async def wait(self) -> None:
        """Waits for the end of the function, also while being cancelled.

        If the function has not begun, it never does.
        """
        from anyio import CancelScope

        self._may_begin = False
        if self._has_begun:
            with CancelScope(shield=True):
                await self._ended.wait()


class Background:
    """Runs a function in its own thread.

    It is a daemon: a program that ends does not wait for it. The function must
    report its exceptions.
    """

    def __init__(self, function: Attempt[object], name: str) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._function = function
        self._name = name
        self._process = os.getpid()
        self._has_begun = False
        self._may_begin = True

    def start(self) -> None:
        """Starts it. Interrupted by Ctrl-C, it may have started it, or not: `wait` knows."""
        run: Callable[..., object] = copy_context().run
        threading.Thread(target=run, args=(self._run,), name=self._name, daemon=True).start()

    def _run(self) -> None:
        with self._lock:
            if not self._may_begin:
                return
            self._has_begun = True
        try:
            self._function()
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Waits for the end of the function. If it has not begun, it never does.

        In a forked child, where no thread of the parent runs, this does nothing.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            self._may_begin = False
        while self._has_begun and not self._ended.wait(SIGNAL_CHECK):
            pass
