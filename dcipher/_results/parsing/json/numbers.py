"""Numbers of JSON that a float cannot represent: found in text, and read without loss."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from typing_extensions import Self, override

from .strict import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LossyNumber",
    "far_as_text",
    "long_as_text",
    "may_be_far",
    "may_be_long",
    "parse_decimals",
    "parse_exactly",
]

_SIMPLER = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENT = re.compile(rb"0e[+-]?000")
_RUN = b"0" * 210
"""Digits of the shortest number without such an exponent that is beyond a float: 309, less 99."""
_LONG = re.compile(rb"[0-9.]{16}")  # a float represents every number of 15 digits
_STRING_OR_NUMBER = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL
)


def may_be_far(block: bytes) -> bool:
    """Returns whether there may be a number beyond the range of a float, such as 1e400 and 1e-400."""
    # One character for all digits: two searches are faster than a pattern of sets of them.
    text = block.translate(_SIMPLER)
    return _RUN in text or bool(_EXPONENT.search(text))


def may_be_long(block: bytes) -> bool:
    """Returns whether there may be a number with more digits than a float can represent."""
    return bool(_LONG.search(block))


def far_as_text(text: bytes) -> bytes:
    """Returns the JSON text with numbers beyond the range of a float as strings."""
    return _quoted(text, lambda number: not _is_integer(number) and _is_far(number.decode()))


def long_as_text(text: bytes) -> bytes:
    """Returns the JSON text with all numbers that a float may not represent as strings."""
    return _quoted(text, lambda number: not _is_integer(number) and not _is_short(number.decode()))


def _quoted(text: bytes, is_such: Callable[[bytes], bool]) -> bytes:
    def token(match: re.Match[bytes]) -> bytes:
        found = match[0]
        return b'"' + found + b'"' if not found.startswith(b'"') and is_such(found) else found

    return _STRING_OR_NUMBER.sub(token, text)


def _is_integer(number: bytes) -> bool:
    return number.removeprefix(b"-").isdigit()  # it is exact


def _is_far(number: str) -> bool:
    value = float(number)
    mantissa = number.lower().partition("e")[0]
    return math.isinf(value) or (value == 0 and any(digit in "123456789" for digit in mantissa))


def _is_short(number: str) -> bool:
    """Returns whether a float represents all its digits, in any notation."""
    return len(number) < _SHORT and "e" not in number and "E" not in number


_SHORT = 16  # characters of a number


class LossyNumber(float):
    """The nearest float to a number, which `str` returns in its original notation.

    Pydantic creates a Decimal from the text of a float, so it has all digits of this one.
    """

    _text: str = ""

    def __new__(cls, text: str) -> Self:
        """`text` is the number."""
        number = super().__new__(cls, text)
        number._text = text
        return number

    @override
    def __str__(self) -> str:
        return self._text

    @override
    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)


def parse_exactly(text: bytes | str, *, far_as_text: bool = False) -> tuple[object, bool]:
    """Returns the value of valid JSON text, and whether it has a number with many digits.

    Such a number is a `LossyNumber`, if another one has the same float.
    """
    has_long = False

    def number(token: str) -> float | str:
        nonlocal has_long
        value = float(token)
        if _is_short(token):
            return value
        has_long = True
        if repr(value) == token:
            return value
        return token if far_as_text and _is_far(token) else LossyNumber(token)

    value: object = json.loads(text, parse_float=number)
    return value, has_long


def parse_decimals(text: str) -> object:
    """Returns the value of JSON text as `parse_exactly` does. Raises ValueError for invalid JSON."""
    value: object = parse_json(text)
    return parse_exactly(text)[0] if may_be_long(text.encode()) else value
