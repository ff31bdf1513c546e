"""JSON as RFC 8259 defines it: without NaN and Infinity (section 6), which Pydantic accepts."""

from __future__ import annotations

from functools import partial

from pydantic_core import from_json

from dcipher._masking.text import clean

__all__ = ["BLANKS", "flaw_of", "parse_json"]

BLANKS = b" \t\n\r"
"""Whitespace between values (RFC 8259, section 2): fewer characters than bytes.strip() removes."""

parse_json = partial(from_json, allow_inf_nan=False)


def flaw_of(text: bytes, start: int | None = None) -> str:
    """Returns why `text` is not one JSON value, or the empty string if it is one.

    `start` is the offset of the text in the file, if known. An error of UTF-8 names the byte in the file.
    """
    try:
        parse_json(text, cache_strings=False)
    except ValueError as error:
        try:
            _ = text.decode()
        except UnicodeDecodeError as undecodable:
            at = "" if start is None else f" at byte {start + undecodable.start}"
            return f"is not UTF-8 text{at}"
        # A document of one line needs no line number.
        message = str(error).replace("line 1 column", "column")
        if message.startswith("EOF"):
            message = f"the text ends too early ({message})"
        return clean(message)
    return ""
