"""JSON as RFC 8259 defines it: without NaN and Infinity (section 6), which Pydantic takes."""

from __future__ import annotations

from functools import partial

from pydantic_core import from_json

from dcipher._masking.text import clean

__all__ = ["BLANKS", "flaw_of", "parse_json"]

BLANKS = b" \t\n\r"
"""What may stand between values (RFC 8259, section 2): less than bytes.strip() takes."""

parse_json = partial(from_json, allow_inf_nan=False)


def flaw_of(text: bytes, start: int | None = None) -> str:
    """Why `text` is not one JSON value; empty if it is.

    `start` is its place in the file, where that is known: what is not UTF-8 is named by its byte there.
    """
    try:
        parse_json(text, cache_strings=False)
    except ValueError as error:
        try:
            _ = text.decode()
        except UnicodeDecodeError as undecodable:
            at = "" if start is None else f" at byte {start + undecodable.start}"
            return f"is not UTF-8 text{at}"
        # What stands on one line has no use for its number.
        message = str(error).replace("line 1 column", "column")
        if message.startswith("EOF"):
            message = f"the text ends too early ({message})"
        return clean(message)
    return ""
