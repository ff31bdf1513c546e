"""The standard streams: what a pipe, a full disk or a narrow encoding does to what is written."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["finish", "prepare", "say", "silence"]


def prepare() -> None:
    """What an encoding cannot write is escaped; it is no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> int:
    """Write a line to stdout; the exit code."""
    if sys.stdout is None:
        print("error: There is no standard output to write to.", file=sys.stderr)  # noqa: T201
        return 1
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        silence(sys.stdout)
        return 141
    except OSError as error:
        silence(sys.stdout)
        print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def finish() -> None:
    """Write out what is buffered, so that a full disk is heard of while it can be said."""
    if sys.stdout is not None:
        sys.stdout.flush()


def silence(stream: TextIO) -> None:
    """Have the interpreter's last flush of `stream` succeed; it would print a traceback."""
    # Python's own advice: docs.python.org/3/library/signal.html#note-on-sigpipe
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
