"""Handles SIGTERM, which would otherwise end the process immediately."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Generator


__all__ = ["async_terminable", "terminable"]


@contextmanager
def async_terminable() -> Generator[None]:
    """Does nothing: the program that runs the event loop handles SIGTERM."""
    yield


@contextmanager
def terminable() -> Generator[None]:
    """Makes SIGTERM raise SystemExit in the block, in the main thread, if there is no other handler."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        # A generator may be closed by another thread than the one that began it.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
