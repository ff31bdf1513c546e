"""A limit of so many at a time."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from anyio import Semaphore
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["MANY_PLACES", "AsyncLimiter", "AsyncPlace", "Limiter", "Place"]


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
