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
from dcipher._results.parsing.adapters import is_pydantics
from dcipher._results.parsing.row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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

    Pydantic makes a Decimal of the float that is nearest to a number, and so loses its 17th digit: what it
    takes is given to it once more with numbers as text, which it reads exactly.
    """

    def __init__(self, adapter: TypeAdapter[T], *, anything: bool) -> None:
        self._anything: bool = anything
        # The parser by itself gives the same values in less time, and knows no NaN.
        parse = cast("Callable[[bytes], T]", parse_json)
        self._plain: Callable[[bytes], T] = parse if anything else adapter.validator.validate_json
        # To look for such numbers costs, and a type of neither has no use for it.
        kinds = frozenset(_kinds(adapter.core_schema))
        self._keeps_numbers: bool = anything or not kinds.isdisjoint({"any", "decimal"})
        self._is_exact: bool = "decimal" in kinds and kinds.isdisjoint(_TELL_TEXT)

    def reader_for(self, block: bytes) -> Callable[[bytes], T]:
        """What reads the values in `block`.

        It raises ValidationError where one does not fit, and ValueError where it is not JSON.
        """
        nan = not self._anything and any(one.search(block) for one in _NO_NUMBERS)
        careful = (
            nan
            or (self._keeps_numbers and may_be_far(block))
            or (self._is_exact and _LONG.search(block))
        )
        return self._careful if careful else self._plain

    def _careful(self, text: bytes) -> T:
        _ = parse_json(text)
        value = self._plain(_quoted(text, _is_far) if self._keeps_numbers else text)
        if not self._is_exact:
            return value
        try:
            return self._plain(_quoted(text, _is_no_integer))
        except ValueError:  # a strict float, or a Decimal of few places
            return value


def _kinds(schema: object) -> Iterator[str]:
    """The types of the core schemas in one; `any`, too, for the items of what has no type for them."""
    if isinstance(schema, (list, tuple)):
        for part in cast("Sequence[object]", schema):
            yield from _kinds(part)
    elif isinstance(schema, Mapping):
        found = cast("Mapping[str, object]", schema)
        kind = found.get("type")
        if isinstance(kind, str):
            yield "any" if kind in _UNTYPED and _UNTYPED[kind] not in found else kind
        if callable(function := found.get("function")) and not is_pydantics(function):
            yield "validator"
        if kind == "union" and not {"float", "decimal"}.isdisjoint(_kinds(found["choices"])):
            yield "union of numbers"
        yield from _kinds([part for name, part in found.items() if name not in _NO_SCHEMAS])


_UNTYPED = {"dict": "values_schema", "list": "items_schema", "set": "items_schema"}
_NO_SCHEMAS = frozenset({"serialization", "metadata", "config", "default", "expected", "members"})
_TELL_TEXT = frozenset({"any", "union of numbers", "validator"})
"""What makes of the text of a number something else than of the number, or must see each row once."""


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


_LONG = re.compile(rb"[0-9.]{16}")  # a float holds every digit of 15


def _quoted(text: bytes, is_such: Callable[[bytes], bool]) -> bytes:
    """JSON with some of its numbers as strings."""

    def token(match: re.Match[bytes]) -> bytes:
        found = match[0]
        return b'"' + found + b'"' if not found.startswith(b'"') and is_such(found) else found

    return _STRING_OR_NUMBER.sub(token, text)


def _is_no_integer(number: bytes) -> bool:
    return not number.removeprefix(b"-").isdigit()


def _is_far(number: bytes) -> bool:
    """Whether no float holds it."""
    if not _is_no_integer(number):
        return False  # it is exact as it is
    value = float(number)
    mantissa = number.lower().partition(b"e")[0]
    return math.isinf(value) or (value == 0 and any(digit in b"123456789" for digit in mantissa))
