"""What cannot be the same in async and sync code, side by side.

Each pair has one name, with `Async`/`async_` in front of one.

anyio inside, never asyncio: `asyncio.wait_for` and `asyncio.timeout` lose connections of httpx when
they cancel (observed). It is imported at the first async call: the sync client does not need it.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .errors import InvalidParamsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from anyio import CapacityLimiter, Semaphore
    from anyio.from_thread import BlockingPortal
    from anyio.lowlevel import RunVar, RunvarToken
    from typing_extensions import ParamSpec

    from .models import Run

    P = ParamSpec("P")

__all__ = [
    "AsyncAttempt",
    "AsyncLimiter",
    "AsyncProgressCallback",
    "AsyncScoped",
    "AsyncStatusCallback",
    "Attempt",
    "Limiter",
    "ProgressCallback",
    "Scoped",
    "StatusCallback",
    "abandon",
    "async_abandon",
    "async_bounded",
    "async_call_back",
    "async_check_callback",
    "async_close_transport",
    "async_in_own_thread",
    "async_in_thread",
    "async_sleep",
    "bounded",
    "call_back",
    "check_callback",
    "close_transport",
    "in_thread",
    "sleep",
]

T = TypeVar("T")

AsyncAttempt: TypeAlias = "Callable[[], Awaitable[T]]"
Attempt: TypeAlias = "Callable[[], T]"

AsyncStatusCallback: TypeAlias = "Callable[[Run], Awaitable[object]] | Callable[[Run], object]"
StatusCallback: TypeAlias = "Callable[[Run], object]"

AsyncProgressCallback: TypeAlias = (
    "Callable[[int, int | None], Awaitable[object]] | Callable[[int, int | None], object]"
)
ProgressCallback: TypeAlias = "Callable[[int, int | None], object]"


async def async_sleep(seconds: float) -> None:
    """Let others run for so long."""
    from anyio import sleep as anyio_sleep

    await anyio_sleep(seconds)


def sleep(seconds: float) -> None:
    """Block this thread for so long."""
    time.sleep(seconds)


async def async_in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks on a disk in a thread, so that the event loop goes on."""
    from anyio.to_thread import run_sync

    return await run_sync(partial(function, *args, **kwargs))


async def async_in_own_thread(function: Callable[[BlockingPortal], T]) -> T:
    """Call a function that takes long in a thread of its own. A cancellation does not wait for it.

    `function` gets a portal, by which it calls what must run on the event loop. The thread is a
    daemon: one that waits for the network does not keep a program from ending. They are counted
    apart from anyio's own, since long downloads must not starve what else an application does in
    threads (FastAPI's plain endpoints, for one).
    """
    from anyio import Event
    from anyio.from_thread import BlockingPortal

    outcome: list[Callable[[], T]] = []
    async with _own_threads.get(), BlockingPortal() as portal:
        done = Event()

        def work() -> None:
            outcome.append(_outcome(function, portal))
            # The call may have been cancelled, and its portal with it.
            with suppress(RuntimeError, CancelledError):
                portal.call(done.set)

        threading.Thread(
            target=copy_context().run, args=(work,), name="dcipher download", daemon=True
        ).start()
        await done.wait()
    return outcome[0]()


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


def async_check_callback(name: str, function: object) -> None:
    """Raises `InvalidParamsError` for what cannot be called, before anything is sent."""
    if function is not None and not callable(function):
        raise InvalidParamsError(f"{name} must be a function, not {type(function).__name__}.")


def check_callback(name: str, function: object) -> None:
    """Raises `InvalidParamsError` for what cannot be called here, before anything is sent."""
    async_check_callback(name, function)
    if iscoroutinefunction(function):
        raise InvalidParamsError(f"{name} is an async function: this client calls plain ones.")


async def async_call_back(function: Callable[..., Any] | None, *args: object) -> None:
    """Call a callback of the user's, if there is one: a plain function or an async one."""
    if function is not None:
        result = function(*args)
        if isawaitable(result):
            await result


def call_back(function: Callable[..., Any] | None, *args: object) -> None:
    """Call a callback of the user's, if there is one."""
    if function is not None:
        function(*args)


class AsyncLimiter:
    """So many at a time.

    `acquire` raises TimeoutError when there is no place within `timeout` seconds.
    """

    def __init__(self, places: int) -> None:
        from anyio import Semaphore

        self._semaphore: Semaphore = Semaphore(places, fast_acquire=True)

    async def acquire(self, timeout: float | None) -> None:
        from anyio import WouldBlock, fail_after

        try:
            self._semaphore.acquire_nowait()
        except WouldBlock:
            with fail_after(timeout):
                await self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()


class Limiter:
    """So many at a time.

    `acquire` raises TimeoutError when there is no place within `timeout` seconds.
    """

    def __init__(self, places: int) -> None:
        self._semaphore = threading.Semaphore(places)

    def acquire(self, timeout: float | None) -> None:
        if not self._semaphore.acquire(timeout=timeout):
            raise TimeoutError

    def release(self) -> None:
        self._semaphore.release()


# Sockets of the parent process that a fork left in this one: kept, never closed and never used.
# Closing one would say goodbye on a connection that the parent goes on using.
_inherited: list[object] = []


class AsyncScoped(Generic[T]):
    """A value for each process and event loop: sockets of one are of no use in another."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._variable: RunVar[_Held[T]] | None = None

    def get(self) -> T:
        """The value of this process and event loop, made when it is first asked for."""
        if self._variable is None:
            from anyio.lowlevel import RunVar

            # anyio 4.9 tells variables apart by their names.
            self._variable = RunVar(f"dcipher-{next(_numbers)}")
        pid = os.getpid()
        held = self._variable.get(None)
        if held is not None and held.pid == pid:
            return held.value
        if held is not None:
            _inherited.append(held)
        held = _Held(pid, self._make())
        held.token = self._variable.set(held)
        return held.value

    def forget(self) -> None:
        """Hold nothing for this event loop any more."""
        held = None if self._variable is None else self._variable.get(None)
        if self._variable is not None and held is not None and held.token is not None:
            self._variable.reset(held.token)

    def peek(self) -> T | None:
        """None: outside its event loop, which has closed what was open, nothing can be done."""
        return None


class _Held(Generic[T]):
    def __init__(self, pid: int, value: T) -> None:
        self.pid = pid
        self.value = value
        self.token: RunvarToken[_Held[T]] | None = None


_numbers = itertools.count()


class Scoped(Generic[T]):
    """A value for each process: a child never uses its parent's sockets."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: tuple[int, T] | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        pid = os.getpid()
        held = self._held
        if held is not None and held[0] == pid:
            return held[1]
        if held is not None:
            _inherited.append(held)
            self._lock = threading.Lock()  # the parent may have forked while another thread held it
        with self._lock:
            if self._held is None or self._held[0] != pid:
                self._held = (pid, self._make())
            return self._held[1]

    def forget(self) -> None:
        """Hold nothing any more."""
        self._held = None

    def peek(self) -> T | None:
        """The value of this process, if there is one."""
        held = self._held
        return held[1] if held is not None and held[0] == os.getpid() else None


async def async_close_transport(transport: httpx.AsyncBaseTransport) -> None:
    """Close it even where the call is being cancelled: the connection is given back, not lost."""
    from anyio import CancelScope

    with CancelScope(shield=True):
        await transport.aclose()


def close_transport(transport: httpx.BaseTransport) -> None:
    """Close it."""
    transport.close()


def async_abandon(_transports: list[httpx.AsyncBaseTransport]) -> None:
    """Nothing: the event loop closes what was left open, and warns of it itself."""


def abandon(transports: list[httpx.BaseTransport]) -> None:
    """Close what a client that was never closed left open, and say so once."""
    if transports and not sys.is_finalizing():
        for transport in transports:
            transport.close()
        warnings.warn(
            "A dcipher client was never closed: use `with`, or call close().",
            ResourceWarning,
            stacklevel=3,
        )


async def async_bounded(
    seconds: float | None, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `function` gives. Raises TimeoutError when it takes longer."""
    from anyio import fail_after

    with fail_after(seconds):
        return await function(*args, **kwargs)


def bounded(
    _seconds: float | None,
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """What `function` gives: a blocking call ends by its own timeouts."""
    return function(*args, **kwargs)


OWN_THREADS = 32
_own_threads = AsyncScoped(_new_limiter)
