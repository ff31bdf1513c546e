"""A command that runs with our streams, our signals and an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
    """Run a command to its end; its exit code as a shell has it. None unsets a variable."""
    # Settings are read in any case of their letters: one for another service must not be left.
    environment = {
        name: value for name, value in os.environ.items() if name.upper() not in variables
    }
    environment |= {name: value for name, value in variables.items() if value is not None}
    with _Forwarding.set_up() as forwarding:
        try:
            child = subprocess.Popen(command, env=environment)  # noqa: S603 (what we are here for)
        except FileNotFoundError:
            say(f"error: {command[0]}: there is no such command.")
            return NOT_FOUND
        except (OSError, ValueError) as error:
            say(f"error: {command[0]}: {getattr(error, 'strerror', None) or error}.")
            return NOT_EXECUTABLE
        forwarding.to(child)
        code = child.wait()
    return 128 - code if code < 0 else code


class _Forwarding:
    """Signals go to the child; those that come before there is one, when there is."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @classmethod
    @contextmanager
    def set_up(cls) -> Generator[_Forwarding]:
        forwarding = cls()
        numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
        # What is ignored stays so, in the child too.
        heard = [one for one in numbers if signal.getsignal(one) is not signal.SIG_IGN]
        before = {one: signal.signal(one, forwarding.forward) for one in heard}
        try:
            yield forwarding
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

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
    """Whether a terminal sends its signals to us and the child alike: not twice, then."""
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
