"""The heads of ordinary requests and responses. Whatever is not ordinary is left to h11. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Fields: TypeAlias = "Sequence[tuple[bytes, bytes]]"

__all__ = ["WHOLE", "Head", "ordinary_fields", "ordinary_head", "request_head"]

WHOLE = "dcipher.body"
"""The extension of a response that holds its raw body, where that came with its head."""

# RFC 9110 section 5.6.2 (tokens) and 5.5 (values). No part can match what the next one begins with, so
# that the time is linear whatever a server sends: blanks around a value are removed afterwards.
_FIELD = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n"
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([\x20-\x7e]*)\r\n((?:%b)*)\r\n" % _FIELD)
_FIELDS = re.compile(_FIELD)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_TARGET = re.compile(rb"[\x21-\x7e]+")
# These change where a message ends, or what becomes of its connection.
_UNUSUAL = frozenset(
    {b"connection", b"content-length", b"expect", b"te", b"transfer-encoding", b"upgrade"}
)
_WITHOUT_BODY = frozenset({204, 304})


class Head(NamedTuple):
    """The head of a response whose body has a length, and whose connection stays open."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    """Bytes of the body."""
    size: int
    """Bytes of the head."""


def ordinary_head(data: bytes) -> Head | None:
    """Returns the head that `data` begins with; `None` where it is incomplete, or not ordinary."""
    match = _HEAD.match(data)
    if match is None:
        return None
    status, reason, fields = match.group(1, 2, 3)
    headers = [(name, value.strip(b" \t")) for name, value in _FIELDS.findall(fields)]
    length: bytes | None = None
    for name, value in headers:
        lower = name.lower()
        if lower not in _UNUSUAL:
            continue
        if lower == b"content-length" and length is None and _LENGTH.fullmatch(value):
            length = value
        elif lower != b"connection" or value.lower() != b"keep-alive":
            return None
    if length is None or int(status) in _WITHOUT_BODY:
        return None
    return Head(int(status), reason, headers, int(length), match.end())


def ordinary_fields(headers: Fields) -> bytes | None:
    """Returns the header lines of a request without a body; `None` where it has one, or more to say.

    They are not checked: the caller has h11 do that before they are sent.
    """
    for name, value in headers:
        if name.lower() in _UNUSUAL and (name.lower(), value) != (b"connection", b"keep-alive"):
            return None
    return b"".join(b"%b: %b\r\n" % field for field in headers)


def request_head(method: bytes, target: bytes, fields: bytes) -> bytes | None:
    """Returns the head of a request; `None` for a target that cannot be sent."""
    if _TARGET.fullmatch(target) is None:
        return None
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, fields)
