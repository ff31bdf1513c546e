"""Ctrl-C, and the signals that end a program: heard while a start is under way when it was answered.

Otherwise the answer, and with it the run's id and the URLs of its results, might be lost between
the socket and the line that keeps them. SIGTERM (a job of CI that is cancelled, a container that is
stopped) and SIGHUP (a terminal that is closed) would end the process on the spot.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

__all__ = ["Deferral", "Stopped", "deferred", "heeded"]

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal ends the command, as Ctrl-C does; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number: int = number


def _raised(number: int) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise _raised(number)


class Deferral:
    """Whether a signal came meanwhile."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._number: int = 0

    @property
    def came(self) -> bool:
        """Whether one came."""
        return self._number != 0

    def end(self) -> None:
        """Raise what was put off, if anything was."""
        if self.came:
            raise _raised(self._number)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals: the second one is not put off."""
        del frame
        if self.came:
            raise _raised(number)
        self._number = number
        self._told()


@contextmanager
def heeded() -> Generator[None]:
    """Within the block, SIGTERM and SIGHUP are exceptions, `Stopped`: it cleans up, and says which run."""
    with _handled(_stop, dict.fromkeys(_ENDING, signal.SIG_DFL)):
        yield


@contextmanager
def deferred(told: Callable[[], None]) -> Generator[Deferral]:
    """Put off the first signal to the end of the block; `told` is called when it comes.

    At the end nothing is raised: whoever asked calls `end`, when what was answered has been kept.
    """
    deferral = Deferral(told)
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}
    with _handled(deferral, {**usual, **dict.fromkeys(_ENDING, _stop)}):
        yield deferral


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], usual: dict[int, Any]
) -> Generator[None]:
    """A handler for the signals that have their usual one."""
    before: dict[int, Any] = {}
    # Where one is ignored (a job in the background of a shell, nohup) it stays so; only the main
    # thread may set handlers.
    main = threading.current_thread() is threading.main_thread()
    try:
        for number, expected in usual.items():
            if main and signal.getsignal(number) is expected:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
