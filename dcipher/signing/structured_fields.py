"""Structured fields (RFC 9651): dictionaries, lists, strings and bytes in the value of a header.

Only the part that the headers of signatures and digests need. Decimals, dates and display strings
are rejected like malformed text.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Bare",
    "InnerList",
    "Item",
    "Member",
    "StructuredFieldError",
    "Token",
    "decode_base64",
    "parse_dictionary",
    "serialize",
    "serialize_inner_list",
]


class StructuredFieldError(ValueError):
    """A text is not a structured field, or cannot be in one. The message does not contain it."""


@final
class Token(str):
    """A token, which does not count as a string."""

    __slots__ = ()


Bare = int | str | bytes


class Item(NamedTuple):
    """A value and its parameters."""

    value: Bare
    params: dict[str, Bare]


class InnerList(NamedTuple):
    """Items in brackets, and the parameters after them."""

    items: list[Item]
    params: dict[str, Bare]


Member = Item | InnerList

_BARE = re.compile(
    r"""
      -?[0-9]{1,15}
    | "(?:[\x20!\x23-\[\]-~]|\\["\\])*"
    | :[A-Za-z0-9+/]*={0,2}:
    | \?[01]
    | [A-Za-z*][!\x23$%&'*+.^_`|~0-9A-Za-z:/-]*
    """,
    re.VERBOSE,
)
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_BLANKS = re.compile(r" *")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_END = re.compile(r" *\Z")
_EQUALS = re.compile(r"=")
_SEMICOLON = re.compile(r"; *")
_OPEN = re.compile(r"\( *")
_CLOSE = re.compile(r"\)")
_BETWEEN = re.compile(r" +|(?=\))")


def parse_dictionary(text: str) -> dict[str, Member]:
    """Parses a dictionary, and returns its members.

    RFC 9651 uses the last of several members with the same key. Another parser may use another one,
    which an attacker could exploit, so a repeated key is rejected here.

    Raises:
        StructuredFieldError: The text is malformed or empty, or it has a key twice.
    """
    return _Reader(text).dictionary()


@final
class _Reader:
    """Reads a field from left to right (RFC 9651 4.2)."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def dictionary(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        self._skip(_BLANKS)
        while True:
            key = self._expect(_KEY)
            if key in members:
                raise StructuredFieldError(f"the key {key} is repeated")
            members[key] = self._member()
            if self._take(_END) is not None:
                return members
            self._skip(_COMMA)

    def _member(self) -> Member:
        if self._take(_EQUALS) is None:
            return Item(value=True, params=self._params())
        if self._take(_OPEN) is None:
            return self._item()
        items: list[Item] = []
        while self._take(_CLOSE) is None:
            items.append(self._item())
            self._skip(_BETWEEN)
        return InnerList(items, self._params())

    def _item(self) -> Item:
        return Item(self._bare(), self._params())

    def _params(self) -> dict[str, Bare]:
        params: dict[str, Bare] = {}
        while self._take(_SEMICOLON) is not None:
            key = self._expect(_KEY)
            params[key] = True if self._take(_EQUALS) is None else self._bare()
        return params

    def _bare(self) -> Bare:
        text = self._expect(_BARE)
        if text[0] == '"':
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if text[0] == ":":
            return self._bytes(text[1:-1])
        if text[0] == "?":
            return text == "?1"
        return int(text) if text[0] in "-0123456789" else Token(text)

    def _bytes(self, text: str) -> bytes:
        value = decode_base64(text)
        if value is None:
            raise self._malformed()
        return value

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._position)
        if match is None:
            return None
        self._position = match.end()
        return match.group()

    def _expect(self, pattern: re.Pattern[str]) -> str:
        found = self._take(pattern)
        if found is None:
            raise self._malformed()
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        _ = self._expect(pattern)

    def _malformed(self) -> StructuredFieldError:
        return StructuredFieldError(f"malformed at character {self._position}")


def serialize_inner_list(member: InnerList) -> str:
    """Returns the canonical spelling of an inner list."""
    items = " ".join(
        serialize(item.value) + _serialize_params(item.params) for item in member.items
    )
    return f"({items}){_serialize_params(member.params)}"


def _serialize_params(params: Mapping[str, Bare]) -> str:
    # RFC 9651 4.1.1.2: a parameter that is true is written without its value.
    return "".join(
        f";{key}" if value is True else f";{key}={serialize(value)}"
        for key, value in params.items()
    )


def serialize(value: Bare) -> str:
    """Serializes a bare item: a string in quotes, bytes as Base64 between colons.

    Raises:
        StructuredFieldError: A string is not printable ASCII.
    """
    if isinstance(value, bytes):
        return f":{binascii.b2a_base64(value, newline=False).decode('ascii')}:"
    if isinstance(value, bool):
        return f"?{value:d}"
    if isinstance(value, str) and not isinstance(value, Token):
        return _quoted(value)
    return str(value)


def _quoted(text: str) -> str:
    # RFC 9651 4.1.6: printable ASCII.
    if not (text.isascii() and text.isprintable()):
        raise StructuredFieldError("a string is not printable ASCII")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def decode_base64(text: str) -> bytes | None:
    """Decodes Base64. Returns `None` if the number of digits is impossible."""
    # RFC 9651 4.2.7: padding may be missing.
    digits = text.rstrip("=")
    if len(digits) % 4 == 1:
        return None
    return binascii.a2b_base64(digits + "=" * (-len(digits) % 4))
