"""Limits how many callers do something at the same time."""

from __future__ import annotations

import math
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from anyio import Semaphore
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["MANY_PERMITS", "AsyncLimiter", "AsyncPermit", "Limiter", "Permit"]


class AsyncPermit:
    """Permission for one caller at a time, until it is released."""

    def __init__(self, semaphore: Semaphore) -> None:
        self._semaphore: Semaphore | None = semaphore

    def release(self) -> None:
        """Returns the permit. A later call does nothing."""
        semaphore, self._semaphore = self._semaphore, None
        if semaphore is not None:
            semaphore.release()


class AsyncLimiter:
    """A limit of concurrent callers.

    `acquire` raises TimeoutError when no permit is available within `timeout` seconds.
    """

    def __init__(self, permits: int) -> None:
        from anyio import CancelScope, Semaphore, WouldBlock, current_time

        self._semaphore: Semaphore = Semaphore(permits, fast_acquire=True)
        self._would_block = WouldBlock
        self._scope, self._now = CancelScope, current_time

    async def acquire(self, timeout: float | None) -> AsyncPermit:
        try:
            self._semaphore.acquire_nowait()
        except self._would_block:
            ends = math.inf if timeout is None else self._now() + timeout
            # Not fail_after, which takes half a kilobyte more: ten thousand may wait at the same time.
            with self._scope(deadline=ends) as scope:
                await self._semaphore.acquire()
            if scope.cancelled_caught:
                raise TimeoutError from None
        return AsyncPermit(self._semaphore)


MANY_PERMITS = 10_000
"""A higher limit counts as none: permits are not counted then."""


class Permit:
    """Permission for one caller at a time, released at the latest when the object is collected.

    A signal may interrupt a thread between any two steps (Ctrl-C, a time limit of the program's):
    a permit must not be lost then.
    """

    __slots__ = ("_free",)

    def __init__(self, free: ref[SimpleQueue[Permit]] | None) -> None:
        self._free: ref[SimpleQueue[Permit]] | None = free

    def release(self) -> None:
        """Returns the permit. A later call does nothing."""
        reference, self._free = self._free, None
        free = None if reference is None else reference()
        if free is not None:
            free.put(Permit(ref(free)))

    __del__ = release


class Limiter:
    """A limit of concurrent callers.

    `acquire` raises TimeoutError when no permit is available within `timeout` seconds. It is a queue,
    because each operation of a queue is atomic for signals, too; those of a semaphore are not: its
    lock could stay locked.
    """

    def __init__(self, permits: int) -> None:
        self._free: SimpleQueue[Permit] = SimpleQueue()
        self._is_endless = permits > MANY_PERMITS
        for _ in range(0 if self._is_endless else permits):
            self._free.put(Permit(ref(self._free)))

    def acquire(self, timeout: float | None) -> Permit:
        if self._is_endless:
            return Permit(None)
        try:
            return self._free.get(timeout=timeout)
        except Empty:
            raise TimeoutError from None
