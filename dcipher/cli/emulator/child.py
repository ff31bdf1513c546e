"""Runs a command as a child process: its environment, its signals, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import SIGNAL_CHECK
from dcipher.cli.app.signals import handled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import FrameType

__all__ = ["run_child"]

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_OF_THE_TERMINAL = ("SIGINT", "SIGQUIT")


def run_child(
    command: Sequence[str], variables: Mapping[str, str | None], say: Callable[[str], None]
) -> int:
    """Runs a command, and returns its exit code as a shell does. `None` unsets a variable."""
    # Settings are case-insensitive: a variable for another service must not remain.
    environment = {
        name: value for name, value in os.environ.items() if name.upper() not in variables
    }
    environment |= {name: value for name, value in variables.items() if value is not None}
    with _Forwarding.set_up() as forwarding:
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
        except FileNotFoundError:
            say(f"error: {command[0]}: command not found.")
            return NOT_FOUND
        except (OSError, ValueError) as error:
            say(f"error: {command[0]}: {getattr(error, 'strerror', None) or error}.")
            return NOT_EXECUTABLE
        forwarding.to(child)
        code = _ended(child)
    return 128 - code if code < 0 else code


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Returns the exit code. Signals are handled at least every half second."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(SIGNAL_CHECK)


class _Forwarding:
    """Forwards signals to the child; earlier ones as soon as it has started."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @classmethod
    @contextmanager
    def set_up(cls) -> Generator[_Forwarding]:
        forwarding = cls()
        numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
        with handled(forwarding.forward, numbers):
            yield forwarding

    def to(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def forward(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._child is None:
            self._early.append(number)
        elif not (signal.Signals(number).name in _OF_THE_TERMINAL and _in_the_foreground()):
            self._child.send_signal(number)


def _in_the_foreground() -> bool:
    """Returns whether the terminal sends its signals to the child, too: they are not forwarded then."""
    if sys.platform == "win32":
        return True
    try:
        # The controlling terminal, whatever standard input is: `exec -- pytest </dev/null`.
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
