"""Escapes untrusted text for a terminal. Reports what a terminal can show."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

from dcipher._masking.text import UNPRINTABLE

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["colours", "is_terminal", "moving", "printable", "printable_json", "width"]

_UNPRINTABLE = re.compile(UNPRINTABLE)
_LINES = re.compile(UNPRINTABLE.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def printable(text: object, *, lines: bool = False) -> str:
    r"""Returns `text` with escaped control characters (`\x1b`); with `lines`, line breaks remain."""
    return (_LINES if lines else _UNPRINTABLE).sub(_escaped, str(text))


def printable_json(document: str) -> str:
    r"""Returns JSON with escaped control characters, also those that JSON permits (`\u009b`)."""
    return _LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    code = ord(character)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def is_terminal(stream: TextIO | None) -> bool:
    """Returns whether `stream` is a terminal that can do more than print lines."""
    try:
        is_tty = stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
    return is_tty and os.environ.get("TERM") != "dumb"


def moving(stream: TextIO | None) -> bool:
    """Returns whether a line may be rewritten. A CI log would contain each version."""
    return is_terminal(stream) and not os.environ.get("CI")


def colours(stream: TextIO | None) -> bool:
    """Returns whether to use colours (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width() -> int:
    """Returns the columns of the terminal; 80 without one."""
    return max(20, shutil.get_terminal_size((80, 24)).columns) if sys.stdout else 80
