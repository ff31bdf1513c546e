"""Values of their own for each process and event loop: sockets and locks of one are of no use in another."""

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
    """A lock that is free in a child process, whichever thread of its parent held it at the fork."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def __call__(self) -> threading.Lock:
        """This process's lock, for a `with`.

        Itself, not something around it: a signal that interrupts a thread finds it either locked by
        a block that will unlock it, or not locked.
        """
        # One step for all threads: whoever is first makes the lock of this process.
        return self._locks.setdefault(os.getpid(), threading.Lock())


# Sockets of the parent process that a fork left in this one: kept, never closed and never used.
# Closing one would say goodbye on a connection that the parent goes on using.
_inherited: list[object] = []


class AsyncScoped(Generic[T]):
    """A value for each process and event loop: sockets of one are of no use in another.

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
        """The value of this process and event loop, made when it is first asked for."""
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
        """What is held for a loop may hold the loop: one that was closed without ending it stays."""
        for reference in self._held.keyrefs():
            loop = reference()
            is_closed: Callable[[], bool] | None = getattr(loop, "is_closed", None)  # asyncio's
            if is_closed is not None and is_closed():
                held = self._held.pop(loop, None)
                if held is not None and held.unreferenced is not None:
                    held.unreferenced.detach()

    def forget(self) -> T | None:
        """Hold nothing for this event loop any more. Gives what was held."""
        held = self._held.pop(_event_loop(), None)
        if held is not None and held.pid != os.getpid():
            _inherited.append(held)
            return None
        return None if held is None else held.value

    async def end(self) -> None:
        """Hold nothing for this event loop any more, and close what was held."""
        held = self._held.pop(_event_loop(), None)
        if held is not None and held.ending is not None:
            await held.ending.aclose()

    def end_silently(self) -> None:
        """Say nothing of what is held when nothing refers to it any more: all was closed that had to be."""
        self._warning.is_due = False

    def peek(self) -> T | None:
        """None: outside its event loop, which has closed what was open, nothing can be done."""
        return None


class _Warning:
    """Whether a client that is dropped is one that was never closed."""

    is_due = True


class _Held(Generic[T]):
    def __init__(self, pid: int, value: T) -> None:
        self.pid = pid
        self.value = value
        self.ending: AsyncGenerator[None] | None = None
        self.unreferenced: finalize[..., object] | None = None


def _event_loop() -> object:
    """The event loop that runs here, as something to know it by."""
    from anyio.lowlevel import current_token

    token: object = current_token()
    return getattr(token, "native_token", token)  # anyio 4.9's token is the native one


async def _until_the_end(
    held: _Held[T], close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None]:
    """An event loop ends the async generators that are open, with all that they wait for (PEP 525)."""
    try:
        yield
    finally:
        if held.unreferenced is not None:
            held.unreferenced.detach()
        held.ending = None  # it knows its event loop, which is not to be kept
        await close(held.value)


def _started(generator: AsyncGenerator[None]) -> AsyncGenerator[None]:
    """At its `yield`: until there, nothing is awaited."""
    with suppress(StopIteration):
        generator.__anext__().__await__().send(None)
    return generator


def _let_go(held: _Held[T], loop: ref[object], warning: _Warning) -> None:
    """Close what a client that was never closed left open, on its event loop, and say so once."""
    if held.pid != os.getpid():
        _inherited.append(held)
        return
    # asyncio ends a generator that nothing refers to; trio does so, too, with a warning of its own.
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
    """A value for each process: a child never uses its parent's sockets."""

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
        """Hold nothing any more. Gives what was held."""
        with self._lock():
            held, self._held = self._held, None
        if held is not None and held[0] != os.getpid():
            _inherited.append(held)
            return None
        return None if held is None else held[1]

    def peek(self) -> T | None:
        """The value of this process, if there is one."""
        held = self._held
        return held[1] if held is not None and held[0] == os.getpid() else None
