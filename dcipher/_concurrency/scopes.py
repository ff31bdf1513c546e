"""Values for each process and event loop: the sockets and locks of one cannot be used in another."""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary, finalize, ref

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["AsyncScoped", "ForkLock", "Scoped"]

T = TypeVar("T")


class ForkLock:
    """A lock that is not locked in a forked child, even if a thread of its parent held it."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def __call__(self) -> threading.Lock:
        """Returns the lock of this process, for a `with`.

        It is not wrapped: a signal that interrupts a thread finds it either locked by
        a block that will unlock it, or not locked.
        """
        pid = os.getpid()
        # Atomic: the first thread creates the lock of this process.
        return self._locks.get(pid) or self._locks.setdefault(pid, threading.Lock())


# Sockets of the parent process that a fork copied: referenced, but never closed and never used.
# Closing one would end a connection that the parent is using.
_inherited: list[object] = []


class AsyncScoped(Generic[T]):
    """A value for each process and event loop: the sockets of one cannot be used in another.

    `close` is awaited with a value when its event loop ends, or when nothing refers to it any more.
    """

    def __init__(
        self, make: Callable[[], T], close: Callable[[T], Awaitable[None]] | None = None
    ) -> None:
        self._make = make
        self._close = close
        self._held: WeakKeyDictionary[object, _Held[T]] = WeakKeyDictionary()
        self._warning = _Warning()

    def get(self) -> T:
        """Returns the value of this process and event loop, which is created at the first call."""
        loop = _event_loop()
        held = self._held.get(loop)
        pid = os.getpid()
        if held is not None and held.pid == pid:
            return held.value
        if held is not None:
            _inherited.append(held)
        self._forget_closed_loops()
        held = self._held[loop] = _Held(pid, self._make())
        if self._close is not None:
            self._let_it_end(held, loop, self._close)
        return held.value

    def _let_it_end(
        self, held: _Held[T], loop: object, close: Callable[[T], Awaitable[None]]
    ) -> None:
        held.ending = _started(_until_the_end(held, close))
        held.unreferenced = finalize(self, _let_go, held, ref(loop), self._warning)
        held.unreferenced.atexit = False

    def _forget_closed_loops(self) -> None:
        """Removes values of closed loops, which may refer to their loop."""
        for reference in self._held.keyrefs():
            loop = reference()
            is_closed: Callable[[], bool] | None = getattr(loop, "is_closed", None)  # asyncio's
            if is_closed is not None and is_closed():
                held = self._held.pop(loop, None)
                if held is not None and held.unreferenced is not None:
                    held.unreferenced.detach()

    def forget(self) -> T | None:
        """Removes and returns the value of this event loop."""
        held = self._held.pop(_event_loop(), None)
        if held is not None and held.pid != os.getpid():
            _inherited.append(held)
            return None
        return None if held is None else held.value

    async def end(self) -> None:
        """Removes and closes the value of this event loop."""
        held = self._held.pop(_event_loop(), None)
        if held is not None and held.ending is not None:
            await held.ending.aclose()

    def end_silently(self) -> None:
        """Suppresses the warning when nothing refers to the values any more: all were closed."""
        self._warning.is_due = False

    def peek(self) -> T | None:
        """Does nothing: the event loop has ended, and has closed the open values."""
        return None


class _Warning:
    """Returns whether a garbage-collected client was never closed."""

    is_due = True


class _Held(Generic[T]):
    def __init__(self, pid: int, value: T) -> None:
        self.pid = pid
        self.value = value
        self.ending: AsyncGenerator[None] | None = None
        self.unreferenced: finalize[..., object] | None = None


def _event_loop() -> object:
    """Returns a key for the running event loop."""
    from anyio.lowlevel import current_token

    token: object = current_token()
    return getattr(token, "native_token", token)  # anyio 4.9's token is the native one


async def _until_the_end(
    held: _Held[T], close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None]:
    """Runs until the event loop ends, which closes its open async generators (PEP 525)."""
    try:
        yield
    finally:
        if held.unreferenced is not None:
            held.unreferenced.detach()
        held.ending = None  # it refers to its event loop
        await close(held.value)


def _started(generator: AsyncGenerator[None]) -> AsyncGenerator[None]:
    """Advances a generator to its `yield`; nothing is awaited before that."""
    with suppress(StopIteration):
        generator.__anext__().__await__().send(None)
    return generator


def _let_go(held: _Held[T], loop: ref[object], warning: _Warning) -> None:
    """Closes the connections of a client that was never closed, on its event loop, with one warning."""
    if held.pid != os.getpid():
        _inherited.append(held)
        return
    # asyncio and trio close a generator without references; trio warns of it.
    soon: Callable[..., None] | None = getattr(loop(), "run_sync_soon", None)
    if soon is not None and held.ending is not None:
        from trio.lowlevel import spawn_system_task

        soon(spawn_system_task, held.ending.aclose)
    held.ending = None
    if held.value and warning.is_due:
        warnings.warn(
            "A dcipher client was never closed: use `async with`, or await aclose().",
            ResourceWarning,
            stacklevel=2,
        )


class Scoped(Generic[T]):
    """A value for each process: a child never uses the sockets of its parent."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: tuple[int, T] | None = None
        self._lock = ForkLock()

    def get(self) -> T:
        pid = os.getpid()
        held = self._held
        if held is not None and held[0] == pid:
            return held[1]
        with self._lock():
            held = self._held
            if held is not None and held[0] == pid:
                return held[1]
            if held is not None:
                _inherited.append(held)
            self._held = (pid, self._make())
            return self._held[1]

    def forget(self) -> T | None:
        """Removes and returns the value."""
        with self._lock():
            held, self._held = self._held, None
        if held is not None and held[0] != os.getpid():
            _inherited.append(held)
            return None
        return None if held is None else held[1]

    def peek(self) -> T | None:
        """Returns the value of this process, if there is one."""
        held = self._held
        return held[1] if held is not None and held[0] == os.getpid() else None
