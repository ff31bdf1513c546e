"""Runs blocking functions in threads."""

from __future__ import annotations

import threading
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

__all__ = [
    "OWN_THREADS",
    "STOP_TIMEOUT",
    "async_import_for_threads",
    "async_in_own_thread",
    "async_in_thread",
    "calling_back",
    "import_for_threads",
    "in_thread",
]


T = TypeVar("T")


# A context variable, because code of the user is between the callback and a download that it starts.
# tests/results/downloads/test_disturbed.py: test_callbacks_that_download
calling_back: ContextVar[bool] = ContextVar("calling_back", default=False)
"""True in a callback that a download waits for."""


def async_import_for_threads() -> None:
    """Imports the modules of the functions below: later, there may be no file descriptor left."""
    for name in ("anyio.to_thread", "anyio.from_thread"):
        import_module(name)


def import_for_threads() -> None:
    """Imports nothing: no thread is started."""


async def async_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that blocks in a thread, so that it does not block the event loop."""
    from anyio.to_thread import run_sync

    return await run_sync(partial(function, *args, **kwargs))


async def async_in_own_thread(
    function: Callable[[BlockingPortal], T], abort: Callable[[], None]
) -> T:
    """Calls a function that takes long in its own thread.

    `function` receives a portal, for calls on the event loop. A cancellation calls
    `abort`, and waits a moment for the thread to clean up, but no longer. The thread is a
    daemon: one that waits for the network does not keep a program from ending. These threads are counted
    separately from those of anyio: long downloads must not starve other work of an application in
    threads (such as FastAPI's blocking endpoints). One that is started by the callback of a download is not
    counted: the download waits for it.
    """
    from concurrent.futures import CancelledError

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
                    portal.start_task_soon(done.set)

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
        # An event loop cannot wait for the end of a thread. It is aborted more than
        # once: a thread that is connecting has nothing yet that could be aborted.
        while thread.is_alive() and monotonic() < ends:
            abort()
            await sleep(0.002)


def _outcome(function: Callable[[BlockingPortal], T], portal: BlockingPortal) -> Callable[[], T]:
    """Returns a function that returns the result of `function`, or raises its exception."""
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
    """Calls it in this thread."""
    return function(*args, **kwargs)


OWN_THREADS = 32
STOP_TIMEOUT = 0.5
"""Seconds that a cancelled call waits for its thread to end."""
_own_threads = AsyncScoped(_new_limiter)
