"""Waits of the main thread handle signals that do not interrupt them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from dcipher._concurrency.sleeping import Pause, sleep

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pthread_kill")


class Heard(Exception):  # noqa: N818 - it is no error
    pass


@pytest.mark.parametrize("wait", [sleep, Pause().wait])
def test_a_signal_to_another_thread(wait: Callable[[float], None]) -> None:
    """The handler runs within a second, not after the wait of an hour."""

    def hear(*_: object) -> None:
        raise Heard

    def send() -> None:
        time.sleep(0.2)  # the main thread sleeps by then
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, hear)
    sender = threading.Thread(target=send)
    try:
        sender.start()
        with pytest.raises(Heard):
            wait(3600)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def test_how_long_it_takes() -> None:
    """It sleeps as long as requested, and not at all for 0. A pause ends early."""
    began = time.monotonic()
    sleep(0.0)
    sleep(-1.0)
    sleep(0.6)
    assert time.monotonic() - began >= 0.6
    pause = Pause()
    pause.end()
    pause.wait(3600)
