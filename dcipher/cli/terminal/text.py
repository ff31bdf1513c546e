"""Text from elsewhere, made fit for a terminal, and what a terminal is asked about itself."""

from __future__ import annotations

import os
import re
import shutil
import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["colours", "is_terminal", "moving", "printable", "printable_json", "width"]

# C0 and C1 controls (the second hold a one-byte CSI), the marks that turn a line around
# (CVE-2021-42574), and halves of surrogate pairs.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_LINES = re.compile(_UNPRINTABLE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def printable(text: object, *, lines: bool = False) -> str:
    r"""`text` with its control characters escaped (`\x1b`); with `lines`, its line breaks stay."""
    return (_LINES if lines else _UNPRINTABLE).sub(_escaped, str(text))


def printable_json(document: str) -> str:
    r"""JSON whose text holds no control characters that JSON itself would let pass (`\u009b`)."""
    return _LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    code = ord(character)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees `stream`, on a terminal that knows more than lines."""
    try:
        seen = stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
    return seen and os.environ.get("TERM") != "dumb"


def moving(stream: TextIO | None) -> bool:
    """Whether a line may be rewritten there: not in a log of CI, which keeps each version."""
    return is_terminal(stream) and not os.environ.get("CI")


def colours(stream: TextIO | None) -> bool:
    """Whether colours are welcome (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return max(20, shutil.get_terminal_size((80, 24)).columns) if sys.stdout else 80
