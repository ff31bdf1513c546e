"""Threads that run flows: daemons, so that a flow that never returns does not block the process."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, TypeVar, final

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.gate import loops

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Workers"]

T = TypeVar("T")


@final
class Workers:
    """Calls functions outside of the event loop, each in a thread. The caller limits their number."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._cancels: set[Callable[[], None]] = set()

    async def call(self, function: Callable[[], T]) -> T:
        """Returns the value of `function`, which must not raise."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(value: T) -> None:
            if not future.done():
                future.set_result(value)

        def work() -> None:
            value = function()
            self._threads.discard(threading.current_thread())
            # The loop is closed if the emulator has stopped: the value is not needed any more.
            with contextlib.suppress(RuntimeError):
                _ = loop.call_soon_threadsafe(settle, value)

        thread = threading.Thread(target=work, name="dcipher-emulator-run", daemon=True)
        self._threads.add(thread)
        thread.start()
        return await future

    def resolve(self, value: object) -> object:
        """Calls a function in the thread of a worker; awaits the result of an `async def` flow."""
        return loops.run(self._awaited(value)) if inspect.isawaitable(value) else value

    async def _awaited(self, awaitable: Awaitable[object]) -> object:
        task = asyncio.ensure_future(awaitable)
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            _ = loop.call_soon_threadsafe(task.cancel)

        self._cancels.add(cancel)
        try:
            return await task
        finally:
            self._cancels.discard(cancel)

    def stop(self, *, grace: float) -> None:
        """Cancels async flows, and waits at most `grace` seconds for the others."""
        for cancel in tuple(self._cancels):
            with contextlib.suppress(
                RuntimeError
            ):  # it has ended meanwhile, and its loop is closed
                cancel()
        deadline = monotonic() + grace
        for thread in tuple(self._threads):
            thread.join(max(0.0, deadline - monotonic()))
