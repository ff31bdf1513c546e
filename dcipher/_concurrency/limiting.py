"""Limits how many callers do something at the same time."""

from __future__ import annotations

import math
from collections import deque
from queue import Empty, SimpleQueue
from weakref import ref

from dcipher._concurrency.sleeping import AsyncAlarm

__all__ = ["MANY_PERMITS", "AsyncLimiter", "AsyncPermit", "Limiter", "Permit"]


class AsyncPermit:
    """Permission for one caller at a time, until it is released."""

    __slots__ = ("_limiter",)

    def __init__(self, limiter: AsyncLimiter) -> None:
        self._limiter: AsyncLimiter | None = limiter

    def release(self) -> None:
        """Returns the permit. A later call does nothing."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.release()


class AsyncLimiter:
    """A limit of concurrent callers, who are served in the order of their calls.

    `acquire` raises TimeoutError when no permit is available within `timeout` seconds. It is no
    `anyio.Semaphore`, which takes a kilobyte more for each caller that waits: ten thousand may.
    """

    def __init__(self, permits: int) -> None:
        self._free = permits
        self._waiting: deque[AsyncAlarm] = deque()

    async def acquire(self, timeout: float | None) -> AsyncPermit:
        if self._free:
            self._free -= 1
            return AsyncPermit(self)
        alarm = AsyncAlarm()
        self._waiting.append(alarm)
        try:
            await alarm.sleep(math.inf if timeout is None else timeout)
        except BaseException:
            if alarm.is_rung:  # cancelled while it had a permit already
                self.release()
            else:
                self._waiting.remove(alarm)
            raise
        if not alarm.is_rung:
            self._waiting.remove(alarm)
            raise TimeoutError
        return AsyncPermit(self)

    def release(self) -> None:
        """Passes a permit on to the caller that waits the longest."""
        while self._waiting:
            if self._waiting.popleft().ring():
                return
        self._free += 1


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
