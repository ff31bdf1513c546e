"""Ctrl-C, SIGTERM and SIGHUP: as exceptions, deferred during a start, or as the end of a server.

SIGTERM (a cancelled CI job, a stopped container) and SIGHUP (a closed terminal) would otherwise end
the process at once, without a message about its run.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

__all__ = ["Stopped", "deferred", "handled", "once", "raising_stopped"]

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


def raising_stopped() -> AbstractContextManager[None]:
    """Makes SIGTERM and SIGHUP raise `Stopped` in the block."""
    return handled(_stop, _ENDING)


@contextmanager
def deferred(on_signal: Callable[[], None]) -> Generator[None]:
    """Defers the first signal to the end of the block, and calls `on_signal` for it.

    Otherwise the response to a start, with the id of the run and the URLs of its results, could be
    lost between the socket and the ledger. The second signal is not deferred.
    """
    signals: list[int] = []

    def defer(number: int, frame: FrameType | None) -> None:
        del frame
        if signals:
            raise _raised(number)
        signals.append(number)
        on_signal()

    with handled(defer, (signal.SIGINT, *_ENDING)):
        yield
    for number in signals:
        raise _raised(number)


@contextmanager
def once() -> Generator[None]:
    """Raises the first signal in the block. Ignores later ones: they must not interrupt the cleanup."""
    is_raised = False

    def raise_first(number: int, frame: FrameType | None) -> None:
        nonlocal is_raised
        del frame
        if not is_raised:
            is_raised = True
            raise _raised(number)

    with handled(raise_first, (signal.SIGINT, *_ENDING)):
        yield
