"""Finds the end of a response, so that bytes behind it are never parsed as the next one; pure.

A parser receives no bytes from beyond the end of a head, of a body, or of the last chunk: the rest
was not requested.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Framing"]

UNKNOWN = sys.maxsize
# RFC 9112: how a head ends (section 2.1), and a body in chunks (section 7.1). Another end
# (a bare LF, a trailer) is read, too, but its connection is not reused.
HEAD_END, CHUNKS_END = b"\r\n\r\n", b"\r\n0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
WITHOUT_BODY = frozenset({204, 304})


class Framing:
    """The expected end of the message on one stream, and the bytes beyond it."""

    def __init__(self) -> None:
        self.rest = b""
        """The bytes beyond an end."""
        self.expect_head()

    def expect_head(self) -> None:
        """Expects the head of a response."""
        self._end: bytes | None = HEAD_END
        self._left, self._behind_head, self._tail = UNKNOWN, 0, b""

    def expect_body(self, status_code: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Expects the body of a response, of which `_behind_head` bytes may have arrived with its head."""
        behind, is_chunked, length = self._behind_head, False, b""
        if status_code not in WITHOUT_BODY:
            for name, value in headers:
                lower = name.lower()
                if lower == b"transfer-encoding":
                    is_chunked = True
                elif lower == b"content-length":
                    length = value
        if is_chunked and self._end == HEAD_END and not behind:
            self._end = CHUNKS_END
        elif length.isdigit() and not is_chunked and (self._end is None or self.has_ended):
            self._end, self._left = None, int(length) - behind
        elif length or is_chunked or behind:
            self._end, self._left = None, UNKNOWN  # its end is unknown

    def expect(self, length: int = UNKNOWN, rest: bytes = b"") -> None:
        """So many bytes follow, the first of which are in `rest`."""
        self.rest, self._end, self._left = rest, None, length

    @property
    def has_ended(self) -> bool:
        """Whether the message has ended as expected, without bytes beyond it."""
        if self.rest:
            return False
        return self._left == 0 or (self._end is not None and self._tail.endswith(self._end))

    def up_to_the_end(self, data: bytes) -> bytes:
        """Returns the bytes of `data` before the next end, and keeps the rest."""
        end = self._end
        if end is None:
            size = min(len(data), max(self._left, 0))
            if self._left != UNKNOWN:
                self._left -= size
        else:
            size = self._up_to(end, data)
        if size < len(data):
            self.rest = data[size:]
            return data[:size]
        return data

    def _up_to(self, end: bytes, data: bytes) -> int:
        known = len(self._tail)
        seen = self._tail + data if known else data
        at = seen.find(end, max(0, known - len(end) + 1))
        size = len(data) if at < 0 else at + len(end) - known
        self._tail = seen[max(0, known + size - len(CHUNKS_END)) : known + size]
        if size < len(data) and end is HEAD_END:
            # A short body arrives with its head, which saves the parser another read. Until the head is
            # parsed, its end is a guess.
            length = LENGTH.search(data, 0, size)
            if length is not None and int(length[1]) <= len(data) - size:
                self._behind_head = int(length[1])
                size += self._behind_head
                self._end = None
        return size

    def take_rest(self) -> bytes:
        """Returns the bytes of a body that were read with its head, for a reader of the socket."""
        rest, self.rest = self.rest, b""
        self._end, self._left = None, UNKNOWN
        return rest
