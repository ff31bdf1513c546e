"""Several jobs at once; the first error ends the others."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from typing_extensions import ParamSpec

    from dcipher._concurrency.callables import AsyncAttempt, Attempt

    P = ParamSpec("P")
from dcipher._concurrency.groups import ungrouped

__all__ = ["MOMENT", "TICK", "aborted_with_the_others", "async_each", "each"]


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
MOMENT = 0.5
"""Seconds that a cancelled call waits for its thread."""
TICK = 0.1
"""Seconds between two calls of what is called while jobs are done."""
