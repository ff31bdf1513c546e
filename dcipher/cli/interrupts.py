"""Ctrl-C while a start is under way: it is heard when the start was answered.

Otherwise the answer, and with it the run's id and the URLs of its results, might be lost between
the socket and the line that keeps them.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

__all__ = ["Deferral", "deferred"]


class Deferral:
    """Whether Ctrl-C came meanwhile."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self.came: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal: the second one is not put off."""
        del number, frame
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        self._told()


@contextmanager
def deferred(told: Callable[[], None]) -> Generator[Deferral]:
    """Put off the first Ctrl-C to the end of the block; `told` is called when it comes.

    At the end `KeyboardInterrupt` is not raised: whoever asked looks at `came`, when what was
    answered has been kept.
    """
    deferral = Deferral(told)
    # Where SIGINT is ignored (a job in the background of a shell) it stays so; only the main thread
    # may set handlers.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield deferral
        return
    before = signal.signal(signal.SIGINT, deferral)
    try:
        yield deferral
    finally:
        signal.signal(signal.SIGINT, before)
