"""Runs a command as a child process: its environment, its signals, its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import SIGNAL_CHECK
from dcipher.cli.app.signals import handled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

__all__ = ["run_child"]

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_OF_THE_TERMINAL = ("SIGINT", "SIGQUIT")


def run_child(
    command: Sequence[str], variables: Mapping[str, str | None], warn: Callable[[str], None]
) -> int:
    """Runs a command, and returns its exit code as a shell does. `None` unsets a variable."""
    # Settings are case-insensitive: a variable for another service must not remain.
    environment = {
        name: value for name, value in os.environ.items() if name.upper() not in variables
    }
    environment |= {name: value for name, value in variables.items() if value is not None}
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        if child is None:
            early.append(number)
        elif not (signal.Signals(number).name in _OF_THE_TERMINAL and _in_the_foreground()):
            child.send_signal(number)

    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    with handled(forward, numbers):
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
        except FileNotFoundError:
            warn(f"error: {command[0]}: command not found.")
            return NOT_FOUND
        except (OSError, ValueError) as error:
            warn(f"error: {command[0]}: {getattr(error, 'strerror', None) or error}.")
            return NOT_EXECUTABLE
        for number in early:
            child.send_signal(number)
        while True:  # signals are handled at least every half second
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(SIGNAL_CHECK)
                return 128 - code if code < 0 else code


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
