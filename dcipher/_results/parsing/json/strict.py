"""JSON by the letter of RFC 8259, and numbers without loss.

Pydantic takes NaN and Infinity, which are not JSON (section 6), and makes inf of 1e400 and 0.0 of
1e-400. Text that may hold one of them is rare: it is looked for first, and read with care.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic_core import from_json

from dcipher._masking.text import clean
from dcipher._results.parsing.row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import TypeAdapter

__all__ = ["BLANKS", "JSONReader", "flaw_of", "may_be_far", "parse_json", "require_json"]

T = TypeVar("T")

BLANKS = b" \t\n\r"
"""What may stand between values (RFC 8259, section 2): less than bytes.strip() takes."""

parse_json = partial(from_json, allow_inf_nan=False)


def require_json(text: bytes, location: str) -> None:
    """Raise `ResultSyntaxError` if `text` is not one JSON value; NaN and Infinity are none."""
    if flaw := flaw_of(text):
        raise ResultSyntaxError(location, flaw)


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


class JSONReader(Generic[T]):
    """Makes values of a type out of JSON text.

    A number that no float holds, 1e400 or 1e-400, is its text where the type takes anything, and exact
    where it is a Decimal. As a float it is what Pydantic, as Python's float(), makes of it.
    """

    def __init__(self, adapter: TypeAdapter[T], *, anything: bool) -> None:
        self._anything: bool = anything
        # The parser by itself gives the same values in less time, and knows no NaN.
        parse = cast("Callable[[bytes], T]", parse_json)
        self._plain: Callable[[bytes], T] = parse if anything else adapter.validator.validate_json
        # To look for such numbers costs, and a type of neither has no use for it.
        self._keeps_numbers: bool = anything or _holds_exact_types(adapter.core_schema)

    def reader_for(self, block: bytes) -> Callable[[bytes], T]:
        """What reads the values in `block`.

        It raises ValidationError where one does not fit, and ValueError where it is not JSON.
        """
        nan = not self._anything and any(one.search(block) for one in _NO_NUMBERS)
        careful = nan or (self._keeps_numbers and may_be_far(block))
        return self._careful if careful else self._plain

    def _careful(self, text: bytes) -> T:
        _ = parse_json(text)
        return self._plain(_quoted(text) if self._keeps_numbers else text)


def _holds_exact_types(schema: object) -> bool:
    """Whether a value somewhere may be anything, or a Decimal."""
    if isinstance(schema, (list, tuple)):
        return any(map(_holds_exact_types, cast("Sequence[object]", schema)))
    if not isinstance(schema, Mapping):
        return False
    found = cast("Mapping[str, object]", schema)
    bare = found.get("type") in _UNTYPED and _UNTYPED[str(found["type"])] not in found
    parts = (part for name, part in found.items() if name not in _NO_SCHEMAS)
    return bare or found.get("type") in {"any", "decimal"} or any(map(_holds_exact_types, parts))


_UNTYPED = {"dict": "values_schema", "list": "items_schema", "set": "items_schema"}
_NO_SCHEMAS = frozenset({"serialization", "metadata", "config", "default", "expected", "members"})


# One literal character to begin with is what `re` looks for fastest.
_NO_NUMBERS = (re.compile(rb"N(?=aN)"), re.compile(rb"I(?=nfinity)"))
_SIMPLER = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENT = re.compile(rb"0e[+-]?000")
_RUN = b"0" * 210
"""Digits of the shortest number without such an exponent that no float holds: 309, less 99."""
_STRING_OR_NUMBER = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL
)


def may_be_far(block: bytes) -> bool:
    """Whether there may be a number that no float holds, such as 1e400 and 1e-400."""
    # One character for all digits: two searches are faster than a pattern of sets of them.
    text = block.translate(_SIMPLER)
    return _RUN in text or bool(_EXPONENT.search(text))


def _quoted(text: bytes) -> bytes:
    """JSON with the numbers that no float holds as strings; integers are exact as they are."""
    return _STRING_OR_NUMBER.sub(_quoted_token, text)


def _quoted_token(token: re.Match[bytes]) -> bytes:
    found = token[0]
    return b'"' + found + b'"' if not found.startswith(b'"') and _is_far(found) else found


def _is_far(number: bytes) -> bool:
    if number.removeprefix(b"-").isdigit():
        return False
    value = float(number)
    mantissa = number.lower().partition(b"e")[0]
    return math.isinf(value) or (value == 0 and any(digit in b"123456789" for digit in mantissa))
