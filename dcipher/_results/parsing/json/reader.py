"""Values of a type from JSON text, with each number as exact as the type permits."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from dcipher._results.parsing.adapters import kinds_of

from .numbers import far_as_text, long_as_text, may_be_far, may_be_long, parse_exactly
from .strict import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

__all__ = ["JSONReader"]

T = TypeVar("T")


class JSONReader(Generic[T]):
    """Parses JSON text as values of a type.

    A number beyond the range of a float, 1e400 or 1e-400, is its text if the type is Any, and exact if the
    type is Decimal. If the type is float, Pydantic converts it as Python's float() does.

    Pydantic creates a Decimal from the float that is nearest to a number, and so loses its 17th digit.
    Text with such a number is therefore parsed here, and validated as values of Python.
    """

    def __init__(self, adapter: TypeAdapter[T], *, anything: bool) -> None:
        self._anything: bool = anything
        # The parser alone returns the same values faster, and rejects NaN.
        parse = cast("Callable[[bytes], T]", parse_json)
        self._plain: Callable[[bytes], T] = parse if anything else adapter.validator.validate_json
        self._python = cast("Callable[..., T]", adapter.validator.validate_python)
        self._serializer = adapter.serializer
        # Searching for such numbers costs time, and other types do not need it.
        kinds = kinds_of(adapter)
        self._is_untyped: bool = anything or "any" in kinds
        self._has_decimal: bool = "decimal" in kinds
        self._keeps_numbers: bool = self._is_untyped or self._has_decimal
        self._is_alike: bool = kinds.isdisjoint(_OTHERWISE)

    def reader_for(self, block: bytes) -> Callable[[bytes], T]:
        """Returns a function that parses a value of `block`.

        It raises ValidationError for a value of another type, and ValueError for invalid JSON.
        """
        nan = not self._anything and any(one.search(block) for one in _NO_NUMBERS)
        careful = (
            nan
            or (self._keeps_numbers and may_be_far(block))
            or (self._has_decimal and may_be_long(block))
        )
        return self._careful if careful else self._plain

    def _careful(self, text: bytes) -> T:
        _ = parse_json(text)
        if self._has_decimal and (found := self._exact(text)):
            return found[0]
        return self._plain(far_as_text(text) if self._keeps_numbers else text)

    def _exact(self, text: bytes) -> tuple[T] | None:
        """Returns the value with exact Decimals; None if they are not needed, or do not fit."""
        value, has_long = parse_exactly(text, far_as_text=self._is_untyped)
        if not has_long:
            return None
        if not self._is_alike:
            return self._alike(text, value)
        try:
            return (self._python(value),)
        except ValidationError:  # such as a Decimal of few places: the float may fit
            return None

    def _alike(self, text: bytes, value: object) -> tuple[T] | None:
        """Returns a value that differs from that of the text only in the digits of Decimals."""
        plain = self._plain(far_as_text(text))
        ways: tuple[Callable[[], T], ...] = (
            lambda: self._plain(long_as_text(text)),
            lambda: self._python(value, strict=False),
        )
        for way in ways:
            with suppress(ValidationError, PydanticSerializationError):
                found = way()
                if _agree(self._dump(found), self._dump(plain)):
                    return (found,)
        return None

    def _dump(self, value: T) -> object:
        return self._serializer.to_python(value, warnings=False)


def _agree(exact: Any, plain: Any) -> bool:
    kind = exact.__class__
    if kind is not plain.__class__:
        return False
    if kind is Decimal:
        return float(exact) == float(plain)
    if kind is dict:
        return [*exact] == [*plain] and all(map(_agree, exact.values(), plain.values()))
    if kind is list or kind is tuple:
        return len(exact) == len(plain) and all(map(_agree, exact, plain))
    return bool(exact == plain)


_OTHERWISE = frozenset({"strict", "encoded bytes", "union of text", "json-or-python"})
"""Core schemas that may validate a Python value differently from JSON."""

# `re` is fastest for a pattern that begins with one literal character.
_NO_NUMBERS = (re.compile(rb"N(?=aN)"), re.compile(rb"I(?=nfinity)"))
