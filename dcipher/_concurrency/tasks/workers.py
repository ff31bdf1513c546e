"""Runs several jobs at the same time; the first error cancels the others."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.sleeping import AsyncAlarm

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from dcipher._concurrency.callables import AsyncAttempt, Attempt

from dcipher._concurrency.groups import ungrouped

from .threads import STOP_TIMEOUT

__all__ = ["TICK", "abort_on_stop", "async_each", "each"]


async def async_each(
    jobs: Iterable[AsyncAttempt[object]], concurrency: int, on_tick: AsyncAttempt[object]
) -> None:
    """Runs all jobs, `concurrency` of them at a time; the waiting task calls `on_tick` every `TICK`.

    The first error, of a job or of `on_tick`, cancels the others and is raised, not in a group.
    """
    from anyio import create_task_group

    left, working, alarm = deque(jobs), concurrency, AsyncAlarm()
    failures: list[Exception] = []

    async def work() -> None:
        nonlocal working
        while left:
            await left.popleft()()
        working -= 1
        if working == 0:
            alarm.ring()

    async def wait() -> None:
        while working > 0:
            await alarm.sleep(TICK)
            await on_tick()

    with ungrouped():
        async with create_task_group() as group:

            async def guarded(function: AsyncAttempt[None]) -> None:
                try:
                    await function()
                except Exception as error:  # noqa: BLE001 - raised again below
                    failures.append(error)
                    group.cancel_scope.cancel()

            for _ in range(concurrency):
                group.start_soon(guarded, work)
            await guarded(wait)
    try:
        for error in failures:
            raise error
    finally:
        failures.clear()  # an error refers to this frame: no reference cycle


def each(jobs: Iterable[Attempt[object]], concurrency: int, on_tick: Attempt[object]) -> None:
    """Runs all jobs, `concurrency` of them at a time; the waiting thread calls `on_tick` every `TICK`.

    The first error, of a job or of `on_tick`, or Ctrl-C, aborts the others and is raised.
    """
    workers = _Workers(jobs)
    try:
        workers.start(concurrency)
        workers.wait(on_tick)
    except BaseException:
        workers.stop()
        raise


@contextmanager
def abort_on_stop(abort: Callable[[], None]) -> Generator[None]:
    """Registers a function that ends this job of `each` when its pool stops; outside of a job, does nothing.

    `abort` may be called from another thread, at any moment, and more than once.
    """
    workers = _current.get()
    if workers is None:
        yield
        return
    workers.add(abort)
    try:
        yield
    finally:
        workers.remove(abort)


class _Workers:
    """A pool of threads that run jobs while another thread waits.

    They are daemons: a thread that waits for the network does not keep a program from ending.
    """

    def __init__(self, jobs: Iterable[Attempt[object]]) -> None:
        self._jobs: SimpleQueue[Attempt[object]] = SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._outcomes: SimpleQueue[BaseException | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._aborts: set[Callable[[], None]] = set()
        self._stopped = False

    def start(self, concurrency: int) -> None:
        """Starts `concurrency` threads."""
        for _ in range(concurrency):
            thread = threading.Thread(
                target=copy_context().run, args=(self._work,), name="dcipher download", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        _current.set(self)
        try:
            while not self._stopped and (job := self._next()) is not None:
                job()
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that waits
            self._outcomes.put(error)
        else:
            self._outcomes.put(None)

    def _next(self) -> Attempt[object] | None:
        with suppress(Empty):
            return self._jobs.get_nowait()
        return None

    def wait(self, on_tick: Attempt[object]) -> None:
        """Waits until all threads have ended. Raises the error of the first one that failed."""
        working = len(self._threads)
        while working > 0:
            try:
                error = self._outcomes.get(timeout=TICK)
            except Empty:
                on_tick()
                continue
            if error is not None:
                raise error
            working -= 1

    def add(self, abort: Callable[[], None]) -> None:
        """Registers a function that ends a job in progress."""
        self._aborts.add(abort)
        if self._stopped:
            abort()

    def remove(self, abort: Callable[[], None]) -> None:
        """Removes it: the job has ended."""
        self._aborts.discard(abort)

    def stop(self) -> None:
        """Aborts the jobs in progress, and waits at most `STOP_TIMEOUT` for their threads."""
        self._stopped = True
        ends = monotonic() + STOP_TIMEOUT
        for thread in self._threads:
            while thread.is_alive() and monotonic() < ends:
                # More than once: a job that still connects has nothing yet that could be aborted.
                for abort in self._aborts.copy():
                    abort()
                thread.join(0.01)


# A context variable, because a job is any function: `each` cannot pass it the pool, and downloads also
# run outside of one. tests/results/downloads/test_several_results.py: test_a_url_that_has_expired
_current: ContextVar[_Workers | None] = ContextVar("dcipher_workers", default=None)
TICK = 0.1
"""Seconds between two calls of `on_tick`."""
