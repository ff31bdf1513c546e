"""Queues between tasks, or between threads."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from dcipher._concurrency.clock import SIGNAL_CHECK

if TYPE_CHECKING:
    from anyio import Event

__all__ = ["AsyncMailbox", "AsyncReply", "Mailbox", "Reply"]

T = TypeVar("T")


class AsyncMailbox(Generic[T]):
    """A queue without a limit, of one event loop."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._waiting: deque[Event] = deque()

    def put(self, item: T) -> None:
        """Appends an item, and wakes a waiting reader."""
        self._items.append(item)
        if self._waiting:
            self._waiting.popleft().set()

    async def get(self, seconds: float | None = None) -> T | None:
        """Returns the oldest item, or `None` after so many seconds without one."""
        if self._items:
            return self._items.popleft()
        from anyio import Event, move_on_after

        if seconds is None:
            while not self._items:
                await self._wait(Event())
        else:
            with move_on_after(seconds):
                while not self._items:
                    await self._wait(Event())
        return self._items.popleft() if self._items else None

    async def _wait(self, event: Event) -> None:
        self._waiting.append(event)
        try:
            await event.wait()
        except BaseException:
            if event.is_set() and self._items and self._waiting:
                self._waiting.popleft().set()  # it was woken for an item that it does not take
            raise
        finally:
            if event in self._waiting:
                self._waiting.remove(event)

    def drain(self) -> list[T]:
        """Removes and returns all items."""
        items = [*self._items]
        self._items.clear()
        return items


class Mailbox(Generic[T]):
    """A queue without a limit, of all threads."""

    def __init__(self) -> None:
        self._items: SimpleQueue[T] = SimpleQueue()

    def put(self, item: T) -> None:
        """Appends an item, and wakes a waiting reader."""
        self._items.put(item)

    def get(self, seconds: float | None = None) -> T | None:
        """Returns the oldest item, or `None` after so many seconds without one."""
        if seconds is None and threading.current_thread() is not threading.main_thread():
            return self._items.get()  # only the main thread handles signals
        while True:
            try:
                return self._items.get(timeout=SIGNAL_CHECK if seconds is None else seconds)
            except Empty:
                if seconds is not None:
                    return None

    def drain(self) -> list[T]:
        """Removes and returns all items."""
        items: list[T] = []
        while True:
            try:
                items.append(self._items.get_nowait())
            except Empty:
                return items


class AsyncReply:
    """Something that another task will have done, or failed to do."""

    def __init__(self) -> None:
        from anyio import Event

        self._event = Event()
        self._error: BaseException | None = None

    def settle(self, error: BaseException | None = None) -> None:
        """Reports that it is done, or why it is not."""
        self._error = error
        self._event.set()

    async def wait(self) -> None:
        """Waits for it. Raises the error that it failed with."""
        await self._event.wait()
        if self._error is not None:
            raise self._error


class Reply:
    """Something that another thread will have done, or failed to do."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: BaseException | None = None

    def settle(self, error: BaseException | None = None) -> None:
        """Reports that it is done, or why it is not."""
        self._error = error
        self._event.set()

    def wait(self) -> None:
        """Waits for it. Raises the error that it failed with."""
        self._event.wait()
        if self._error is not None:
            raise self._error
