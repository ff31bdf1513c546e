"""Blocking work in a thread: for a moment, or in one of its own."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import nullcontext, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.scopes import AsyncScoped

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio import CapacityLimiter
    from anyio.from_thread import BlockingPortal
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
from dcipher._concurrency.groups import ungrouped
from dcipher._concurrency.workers import STOP_TIMEOUT

__all__ = [
    "OWN_THREADS",
    "async_import_for_threads",
    "async_in_own_thread",
    "async_in_thread",
    "calling_back",
    "import_for_threads",
    "in_thread",
]


T = TypeVar("T")


calling_back: ContextVar[bool] = ContextVar("calling_back", default=False)
"""Whether a download waits for the callback that this code belongs to."""


def async_import_for_threads() -> None:
    """Imports what the functions below import: later there may be no file descriptor left for that."""
    for name in ("anyio.to_thread", "anyio.from_thread"):
        import_module(name)


def import_for_threads() -> None:
    """Imports nothing: this thread is all that is needed."""


async def async_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks on a disk in a thread, so that the event loop goes on."""
    from anyio.to_thread import run_sync

    return await run_sync(partial(function, *args, **kwargs))


async def async_in_own_thread(
    function: Callable[[BlockingPortal], T], abort: Callable[[], None]
) -> T:
    """Call a function that takes long in a thread of its own.

    `function` gets a portal, by which it calls what must run on the event loop. A cancellation calls
    `abort`, and waits a moment for the thread to put its things away, but no longer. The thread is a
    daemon: one that waits for the network does not keep a program from ending. They are counted
    apart from anyio's own, since long downloads must not starve what else an application does in
    threads (FastAPI's plain endpoints, for one). One that a download's own callback asks for is not
    counted: the download waits for it.
    """
    from anyio import Event
    from anyio.from_thread import BlockingPortal

    outcome: list[Callable[[], T]] = []
    limit = nullcontext() if calling_back.get() else _own_threads.get()
    with ungrouped():
        async with limit, BlockingPortal() as portal:
            done = Event()

            def work() -> None:
                outcome.append(_outcome(function, portal))
                # The call may have been cancelled, and its portal with it.
                with suppress(RuntimeError, CancelledError):
                    portal.call(done.set)

            thread = threading.Thread(
                target=copy_context().run, args=(work,), name="dcipher download", daemon=True
            )
            thread.start()
            try:
                await done.wait()
            except BaseException:
                await _a_moment_for(thread, abort)
                raise
    return outcome[0]()


async def _a_moment_for(thread: threading.Thread, abort: Callable[[], None]) -> None:
    from anyio import CancelScope, sleep

    ends = monotonic() + STOP_TIMEOUT
    with CancelScope(shield=True):
        # A thread has no event for its end that a loop could wait for. It is woken up more than
        # once: who connects has nothing yet that could be ended.
        while thread.is_alive() and monotonic() < ends:
            abort()
            await sleep(0.002)


def _outcome(function: Callable[[BlockingPortal], T], portal: BlockingPortal) -> Callable[[], T]:
    """What gives the result of `function`, or raises what it raised."""
    try:
        value = function(portal)
    except BaseException as error:  # noqa: BLE001 - raised again, on the event loop
        return partial(_raise, error)
    return lambda: value


def _raise(error: BaseException) -> Any:
    raise error


def _new_limiter() -> CapacityLimiter:
    from anyio import CapacityLimiter

    return CapacityLimiter(OWN_THREADS)


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it here: this thread has nothing else to do."""
    return function(*args, **kwargs)


OWN_THREADS = 32
_own_threads = AsyncScoped(_new_limiter)
