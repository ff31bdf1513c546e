"""The standard streams, with closed pipes, full disks and narrow encodings."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["finish", "prepare", "print_line", "silence"]


def prepare() -> None:
    """Makes the streams escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(text: str) -> int:
    """Writes a line to stdout. Returns the exit code."""
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
    """Flushes stdout, so that a full disk can be reported."""
    if sys.stdout is not None:
        sys.stdout.flush()


def silence(stream: TextIO) -> None:
    """Redirects a stream to the null device, so that the interpreter's last flush prints no traceback."""
    # As Python advises: docs.python.org/3/library/signal.html#note-on-sigpipe
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
