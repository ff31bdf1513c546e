"""Decodes a Content-Encoding: completely, verified, and with a size limit.

httpx accepts a truncated gzip body, keeps only the first of several members, and does not limit the
size of the decoded body (observed).
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Inflater", "encoding_of"]

_STEP = 1024 * 1024
_SLICE = 16 * 1024
# RFC 9110 section 18.6, RFC 8878, RFC 9842.
_REGISTERED = frozenset(
    {"br", "compress", "dcb", "dcz", "deflate", "gzip", "x-compress", "x-gzip", "zstd"}
)


# Values of stores and proxies that do not change the content: the framing of an upload (aws-chunked,
# which the store has decoded), charsets, the encodings of RFC 2045, and other words for none.
_NONE = frozenset(
    {"", "7bit", "8bit", "ascii", "aws-chunked", "binary", "chunked", "identity", "none", "null"}
    | {"plain", "raw", "text", "us-ascii"}
)
_CHARSET = re.compile(r"(?:ansi|charset=|cp|iso|koi8|latin|utf|windows)[-_0-9a-z]*", re.ASCII)


def encoding_of(header: str) -> str | None:
    """Returns `gzip`, `deflate`, or `None` for a body that is not encoded.

    Raises ValueError for any other encoding, which the client did not request.
    """
    if not header:
        return None
    names = [name for part in header.lower().split(",") if not _is_none(name := _name(part))]
    if not names:
        return None
    if len(names) > 1 or names[0] not in {"gzip", "x-gzip", "deflate"}:
        # Only registered names are in the message: a service may repeat a secret there.
        known = _REGISTERED.issuperset(names)
        name = f"the content encoding {', '.join(names)!r}" if known else "its content encoding"
        raise ValueError(f"{name} is not supported")
    return names[0].removeprefix("x-")


def _name(part: str) -> str:
    return part.partition(";")[0].strip(" \t\"'")


def _is_none(name: str) -> bool:
    # No name of an encoding has a slash: this is a media type, in the wrong header.
    return name in _NONE or "/" in name or _CHARSET.fullmatch(name) is not None


class Inflater:
    """Decompresses chunk by chunk, at most `limit(encoded bytes so far)` bytes in all.

    Raises ValueError for broken data.
    """

    def __init__(self, encoding: str, limit: Callable[[int], int]) -> None:
        self._window = 31 if encoding == "gzip" else zlib.MAX_WBITS
        self._limit = limit
        self._member = zlib.decompressobj(self._window)
        self._encoded = 0
        self._decoded = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decompresses a chunk, and yields pieces of at most a megabyte."""
        # In small slices: each new member copies the rest of its slice.
        for start in range(0, len(chunk), _SLICE):
            yield from self._feed(chunk[start : start + _SLICE])

    def _feed(self, chunk: bytes) -> Iterator[bytes]:
        self._encoded += len(chunk)
        while chunk:
            if self._member.eof:  # RFC 1952 section 2.2: a gzip file is one or more members
                self._member = zlib.decompressobj(self._window)
            piece = self._inflated(chunk)
            self._decoded += len(piece)
            if self._decoded > self._limit(self._encoded):
                raise ValueError(
                    f"{self._encoded} bytes expand to more than {self._limit(self._encoded)}"
                )
            if piece:
                yield piece
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def _inflated(self, chunk: bytes) -> bytes:
        try:
            return self._member.decompress(chunk, _STEP)
        except zlib.error as error:
            raise ValueError(f"its compressed body is broken ({error})") from None

    def finish(self, *, may_be_empty: bool = True) -> None:
        """Raises ValueError if the last member is truncated, or if there is none and must be one."""
        if not self._member.eof and (self._encoded or not may_be_empty):
            raise ValueError("its compressed body is truncated")
