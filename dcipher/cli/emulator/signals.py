"""Serving until a signal says that it is over."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

__all__ = ["Ending", "until_ended"]

# A hung-up terminal, too: the files of a server are to be removed then.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Ended(BaseException):
    """A signal came; as KeyboardInterrupt is one, it is no Exception."""


class Ending:
    """How the serving ended: `code` is 0 after Ctrl-C, 128+n after another signal."""

    def __init__(self) -> None:
        self.code: int = 0
        self.came: bool = False

    def wait(self) -> None:
        """Until a signal comes, which is an exception in the main thread."""
        try:
            while True:
                time.sleep(3600)
        finally:
            self.came = True


@contextmanager
def until_ended() -> Generator[Ending]:
    """Ends the block at SIGINT, SIGTERM or SIGHUP; what cleans up within it is not interrupted."""
    ending = Ending()
    before: dict[int, Any] = {}

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if ending.came:  # a second one does not break the cleaning up, which is short
            return
        ending.code = 0 if number == signal.SIGINT else 128 + number
        raise _Ended

    if threading.current_thread() is threading.main_thread():
        for one in (signal.SIGINT, *_ENDING):
            # What is ignored stays so: a job in the background of a shell, or one under nohup.
            if signal.getsignal(one) is not signal.SIG_IGN:
                before[one] = signal.signal(one, end)
    try:
        yield ending
    except _Ended:
        pass
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
