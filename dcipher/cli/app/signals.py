"""Ctrl-C, SIGTERM and SIGHUP: as exceptions, deferred during a start, or as the end of a server.

SIGTERM (a cancelled CI job, a stopped container) and SIGHUP (a closed terminal) would otherwise end
the process at once, without a message about its run.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dcipher._concurrency.sleeping import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import FrameType

__all__ = ["Deferral", "Ending", "Stopped", "deferred", "handled", "heeded", "until_ended"]

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal ends the command, as Ctrl-C does. `number`: the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number: int = number


def _raised(number: int) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise _raised(number)


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], numbers: Sequence[int]
) -> Generator[None]:
    """Handles signals in the block, in the main thread only, and restores the handlers at its end.

    Ignored signals stay ignored: those of a background job of a shell, or with nohup.
    """
    before: dict[int, Any] = {}
    try:
        for number in numbers:
            is_main = threading.current_thread() is threading.main_thread()
            if is_main and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def heeded() -> Generator[None]:
    """In the block, SIGTERM and SIGHUP raise `Stopped`."""
    with handled(_stop, _ENDING):
        yield


class Deferral:
    """The handler that defers the first signal. `came`: whether there was one."""

    def __init__(self, on_signal: Callable[[], None]) -> None:
        self._on_signal = on_signal
        self._number: int = 0

    @property
    def came(self) -> bool:
        """Whether a signal was deferred."""
        return self._number != 0

    def end(self) -> None:
        """Raises the deferred exception, if any."""
        if self.came:
            raise _raised(self._number)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal. The second one is not deferred."""
        del frame
        if self.came:
            raise _raised(number)
        self._number = number
        self._on_signal()


@contextmanager
def deferred(on_signal: Callable[[], None]) -> Generator[Deferral]:
    """Defers the first signal in the block, and calls `on_signal` for it.

    Otherwise the response to a start, with the id of the run and the URLs of its results, could be
    lost between the socket and the ledger. The caller calls `end` after the response is stored.
    """
    deferral = Deferral(on_signal)
    with handled(deferral, (signal.SIGINT, *_ENDING)):
        yield deferral


class _Ended(BaseException):
    """A signal has ended the server. Not an `Exception`, as KeyboardInterrupt is not."""


class Ending:
    """The end of a server. `code`: 0 after Ctrl-C, 128+n after another signal."""

    def __init__(self) -> None:
        self.code: int = 0
        self.came: bool = False

    def wait(self) -> None:
        """Waits for a signal."""
        try:
            while True:
                sleep(3600)
        finally:
            self.came = True


@contextmanager
def until_ended() -> Generator[Ending]:
    """Ends the block at SIGINT, SIGTERM or SIGHUP. Its cleanup is not interrupted by a second one."""
    ending = Ending()

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if not ending.came:
            ending.code = 0 if number == signal.SIGINT else 128 + number
            raise _Ended

    with handled(end, (signal.SIGINT, *_ENDING)), suppress(_Ended):
        yield ending
