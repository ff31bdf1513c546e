"""What cannot be the same in async and sync code, side by side.

Each pair has one name, with `Async`/`async_` in front of one.

anyio inside, never asyncio: `asyncio.wait_for` and `asyncio.timeout` lose connections of httpx when
they cancel (observed). It is imported at the first async call: the sync client does not need it.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from weakref import ref

from ._clock import monotonic
from ._scopes import AsyncScoped
from .errors import InvalidParamsError
from .models import Run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence

    import httpx
    from anyio import CapacityLimiter, Semaphore
    from anyio.from_thread import BlockingPortal
    from typing_extensions import ParamSpec

    from ._deadlines import Limit

    P = ParamSpec("P")

__all__ = [
    "AsyncAttempt",
    "AsyncLimiter",
    "AsyncPause",
    "AsyncPlace",
    "AsyncProgressCallback",
    "AsyncSleep",
    "AsyncStatusCallback",
    "Attempt",
    "Limiter",
    "Pause",
    "Place",
    "ProgressCallback",
    "Sleep",
    "StatusCallback",
    "abandon",
    "aborted_with_the_others",
    "async_abandon",
    "async_bounded",
    "async_call_back",
    "async_check_callback",
    "async_close_all",
    "async_close_transport",
    "async_each",
    "async_following",
    "async_in_own_thread",
    "async_in_thread",
    "async_sleep",
    "bounded",
    "call_back",
    "calling_back",
    "check_callback",
    "close_transport",
    "each",
    "following",
    "in_thread",
    "sleep",
    "ungrouped",
]

T = TypeVar("T")

AsyncAttempt: TypeAlias = Callable[[], Awaitable[T]]
Attempt: TypeAlias = Callable[[], T]

AsyncStatusCallback: TypeAlias = Callable[[Run], Awaitable[object]] | Callable[[Run], object]
StatusCallback: TypeAlias = Callable[[Run], object]

AsyncProgressCallback: TypeAlias = (
    Callable[[int, int | None], Awaitable[object]] | Callable[[int, int | None], object]
)
ProgressCallback: TypeAlias = Callable[[int, int | None], object]


calling_back: ContextVar[bool] = ContextVar("calling_back", default=False)
"""Whether a download waits for the callback that this code belongs to."""

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


@contextmanager
def ungrouped() -> Generator[None]:
    """Takes an exception out of the group that it came in, where all that is in it is of one kind.

    trio packs whatever comes out of a nursery, Ctrl-C and a cancellation, too.
    """
    try:
        yield
    except BaseException as error:
        leaves = _leaves(error)
        if leaves[0] is error or len({type(leaf) for leaf in leaves}) > 1:
            raise
        raise leaves[0] from None


def _leaves(error: BaseException) -> list[BaseException]:
    within: Sequence[BaseException] | None = getattr(error, "exceptions", None)
    return [error] if within is None else [leaf for inner in within for leaf in _leaves(inner)]


async def _a_moment_for(thread: threading.Thread, abort: Callable[[], None]) -> None:
    from anyio import CancelScope, sleep

    ends = monotonic() + MOMENT
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


async def async_each(
    jobs: Iterable[AsyncAttempt[object]], at_once: int, meanwhile: AsyncAttempt[object]
) -> None:
    """Do all jobs, so many at once; `meanwhile` is called ten times a second by the task that waits.

    The first error, of a job or of `meanwhile`, cancels the others, and comes out by itself.
    """
    from anyio import Event, create_task_group, move_on_after

    left, working, done = deque(jobs), at_once, Event()
    failures: list[Exception] = []

    async def work() -> None:
        nonlocal working
        while left:
            await left.popleft()()
        working -= 1
        if working == 0:
            done.set()

    async def wait() -> None:
        while not done.is_set():
            with move_on_after(TICK):
                await done.wait()
            await meanwhile()

    with ungrouped():
        async with create_task_group() as group:

            async def guarded(function: AsyncAttempt[None]) -> None:
                try:
                    await function()
                except Exception as error:  # noqa: BLE001 - raised again below
                    failures.append(error)
                    group.cancel_scope.cancel()

            for _ in range(at_once):
                group.start_soon(guarded, work)
            await guarded(wait)
    try:
        for error in failures:
            raise error
    finally:
        failures.clear()  # an error knows this frame, which is not to know the error


def each(jobs: Iterable[Attempt[object]], at_once: int, meanwhile: Attempt[object]) -> None:
    """Do all jobs, so many at once; `meanwhile` is called ten times a second by the thread that waits.

    The first error, of a job or of `meanwhile`, or Ctrl-C, aborts the others, and comes out.
    """
    crew = _Crew(jobs)
    try:
        crew.begin(at_once)
        crew.wait(meanwhile)
    except BaseException:
        crew.stop()
        raise


@contextmanager
def aborted_with_the_others(abort: Callable[[], None]) -> Generator[None]:
    """Where this is a job of `each`, `abort` ends it: from another thread, soon, and more than once."""
    crew = _crew.get()
    if crew is None:
        yield
        return
    crew.add(abort)
    try:
        yield
    finally:
        crew.remove(abort)


class _Crew:
    """Threads that do jobs while another one waits.

    Daemons: one that waits for the network does not keep a program from ending.
    """

    def __init__(self, jobs: Iterable[Attempt[object]]) -> None:
        self._jobs: SimpleQueue[Attempt[object]] = SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._aborts: set[Callable[[], None]] = set()
        self._stopped = False

    def begin(self, at_once: int) -> None:
        """Let so many begin."""
        for _ in range(at_once):
            thread = threading.Thread(
                target=copy_context().run, args=(self._work,), name="dcipher download", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        _crew.set(self)
        try:
            while not self._stopped and (job := self._next()) is not None:
                job()
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that waits
            self._ends.put(error)
        else:
            self._ends.put(None)

    def _next(self) -> Attempt[object] | None:
        with suppress(Empty):
            return self._jobs.get_nowait()
        return None

    def wait(self, meanwhile: Attempt[object]) -> None:
        """Until all have ended. Raises what the first one raised that failed."""
        working = len(self._threads)
        while working > 0:
            try:
                error = self._ends.get(timeout=TICK)
            except Empty:
                meanwhile()
                continue
            if error is not None:
                raise error
            working -= 1

    def add(self, abort: Callable[[], None]) -> None:
        """One more who can be stopped by this."""
        self._aborts.add(abort)
        if self._stopped:
            abort()

    def remove(self, abort: Callable[[], None]) -> None:
        """It has ended."""
        self._aborts.discard(abort)

    def stop(self) -> None:
        """Abort what is under way, and wait a moment for it."""
        self._stopped = True
        ends = monotonic() + MOMENT
        for thread in self._threads:
            while thread.is_alive() and monotonic() < ends:
                # More than once: who connects has nothing yet that could be ended.
                for abort in self._aborts.copy():
                    abort()
                thread.join(0.01)


_crew: ContextVar[_Crew | None] = ContextVar("dcipher_crew", default=None)


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


class AsyncPlace:
    """A place that was taken."""

    def __init__(self, semaphore: Semaphore) -> None:
        self._semaphore: Semaphore | None = semaphore

    def release(self) -> None:
        """Give it back, once."""
        semaphore, self._semaphore = self._semaphore, None
        if semaphore is not None:
            semaphore.release()


class AsyncLimiter:
    """So many at a time.

    `acquire` raises TimeoutError when there is no place within `timeout` seconds.
    """

    def __init__(self, places: int) -> None:
        from anyio import Semaphore

        self._semaphore: Semaphore = Semaphore(places, fast_acquire=True)

    async def acquire(self, timeout: float | None) -> AsyncPlace:
        from anyio import WouldBlock, fail_after

        try:
            self._semaphore.acquire_nowait()
        except WouldBlock:
            with fail_after(timeout):
                await self._semaphore.acquire()
        return AsyncPlace(self._semaphore)


MANY_PLACES = 10_000
"""More than this are as good as no limit, and are not counted."""


class Place:
    """A place that was taken, and that is given back at the latest when nobody knows of it any more.

    A signal may interrupt a thread between any two steps (Ctrl-C, a time limit of the program's):
    what was taken must not be lost then.
    """

    __slots__ = ("_free",)

    def __init__(self, free: ref[SimpleQueue[Place]] | None) -> None:
        self._free: ref[SimpleQueue[Place]] | None = free

    def release(self) -> None:
        """Give it back, once."""
        reference, self._free = self._free, None
        free = None if reference is None else reference()
        if free is not None:
            free.put(Place(ref(free)))

    __del__ = release


class Limiter:
    """So many at a time.

    `acquire` raises TimeoutError when there is no place within `timeout` seconds. A queue, since
    each of its steps is one step for signals, too: a semaphore's are several, with a lock between
    them that would stay locked.
    """

    def __init__(self, places: int) -> None:
        self._free: SimpleQueue[Place] = SimpleQueue()
        self._is_endless = places > MANY_PLACES
        for _ in range(0 if self._is_endless else places):
            self._free.put(Place(ref(self._free)))

    def acquire(self, timeout: float | None) -> Place:
        if self._is_endless:
            return Place(None)
        try:
            return self._free.get(timeout=timeout)
        except Empty:
            raise TimeoutError from None


async def async_close_transport(transport: httpx.AsyncBaseTransport) -> None:
    """Close it even where the call is being cancelled: the connection is given back, not lost."""
    from anyio import CancelScope

    with CancelScope(shield=True):
        await transport.aclose()


async def async_close_all(transports: set[httpx.AsyncBaseTransport]) -> None:
    """Close them, and empty the set."""
    while transports:
        await async_close_transport(transports.pop())


def close_transport(transport: httpx.BaseTransport) -> None:
    """Close it."""
    transport.close()


def async_abandon(_transports: list[httpx.AsyncBaseTransport], *, silently: bool) -> None:
    """Nothing, `silently` or not: the event loop closes what was left open, and warns of it itself."""
    _ = silently


def abandon(transports: list[httpx.BaseTransport], *, silently: bool) -> None:
    """Close what a client that was never closed left open, and say so once, unless `silently`."""
    if not transports or sys.is_finalizing():
        return
    for transport in transports:
        transport.close()
    if not silently:
        warnings.warn(
            "A dcipher client was never closed: use `with`, or call close().",
            ResourceWarning,
            stacklevel=3,
        )


async def async_bounded(
    limit: Limit, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `function` gives. Raises TimeoutError when it takes longer than the limit."""
    from anyio import CancelScope, current_time

    with CancelScope(deadline=current_time() + limit.left) as scope, limit():

        def begun() -> None:
            scope.deadline = current_time() + limit.left

        limit.on_begin = begun
        try:
            return await function(*args, **kwargs)
        finally:
            limit.on_begin = None  # it knows its event loop, which is not to be kept
    # Not `fail_after`: it asks whether the deadline has passed, and one that was moved in the turn of
    # the loop in which it came has not. What has cancelled cannot be taken back.
    raise TimeoutError


def bounded(limit: Limit, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` gives. What it waits for on the network times out when it takes longer."""
    with limit():
        return function(*args, **kwargs)


async def async_following(iterator: AsyncIterator[T], limit: Limit) -> T | None:
    """The next of them within the limit; `None` at the end."""
    return await async_bounded(limit, anext, iterator, None)


def following(iterator: Iterator[T], limit: Limit) -> T | None:
    """The next of them within the limit; `None` at the end."""
    return bounded(limit, next, iterator, None)


OWN_THREADS = 32
MOMENT = 0.5
"""Seconds that a cancelled call waits for its thread."""
TICK = 0.1
"""Seconds between two calls of what is called while jobs are done."""
_own_threads = AsyncScoped(_new_limiter)
