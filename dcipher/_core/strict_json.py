"""JSON by the letter of RFC 8259, which has no NaN and no Infinity (section 6).

Pydantic takes them for numbers, so whatever may hold one is looked at by another parser first.
"""

from __future__ import annotations

from pydantic_core import from_json

from .result_errors import ResultSyntaxError
from .text import clean

__all__ = ["BLANKS", "may_hold_nan", "require_json"]

BLANKS = " \t\n\r"
"""What may stand between values (RFC 8259, section 2): less than str.strip() takes."""


def require_json(text: str | bytes | bytearray, location: str) -> None:
    """Raise `ResultSyntaxError` if `text` is not one JSON value; NaN and Infinity are none."""
    try:
        from_json(text, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        # What stands on one line has no use for its number.
        message = str(error).replace("line 1 column", "column")
        if message.startswith("EOF"):
            message = f"the text ends too early ({message})"
        raise ResultSyntaxError(location, clean(message)) from None


def may_hold_nan(text: str | bytes | bytearray) -> bool:
    """Whether NaN or Infinity occurs in `text`: as a value, or inside a string."""
    if isinstance(text, str):
        return "NaN" in text or "Infinity" in text
    return b"NaN" in text or b"Infinity" in text
