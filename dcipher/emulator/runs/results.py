"""Results: a flow's return value as a file, its signed URL, and the requested part of it.

Pure: no clock, no socket. The rules are those of RFC 9110 (sections 13 and 14) and RFC 9530.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import cast, final
from urllib.parse import urlencode

from pydantic_core import to_json

__all__ = ["Result", "ResultURLs", "Selection", "StoredResult", "error_document", "select"]


@dataclass(frozen=True, slots=True)
class Result:
    """A result file with its own content type. A flow can return it instead of plain bytes."""

    content: bytes
    """The bytes of the file."""
    content_type: str = "application/octet-stream"
    """The `Content-Type` that the file is served with."""

    @classmethod
    def of(cls, value: object) -> Result:
        """Returns the file for a flow's return value: text and bytes as they are, the rest as JSON."""
        if isinstance(value, Result):
            return value
        if isinstance(value, str):
            return cls(value.encode(), "text/plain; charset=utf-8")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return cls(bytes(cast("bytes", value)))
        # NaN and Infinity are not JSON (RFC 8259 section 6).
        return cls(to_json(value, inf_nan_mode="null"), "application/json")


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A served result file, with its validators."""

    content: bytes
    content_type: str
    sha256: bytes
    modified: float
    """Unix time."""

    @classmethod
    def of(cls, result: Result, *, modified: float) -> StoredResult:
        """Creates a result. It hashes the content, so it must not run on the event loop for a large file."""
        digest = hashlib.sha256(result.content).digest()
        return cls(result.content, result.content_type, digest, modified)

    @property
    def etag(self) -> str:
        """A strong validator (RFC 9110 section 8.8.3)."""
        return f'"{self.sha256.hex()[:32]}"'

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the file, for any part of it."""
        return {
            "content-type": self.content_type,
            "etag": self.etag,
            "last-modified": formatdate(self.modified, usegmt=True),
            "accept-ranges": "bytes",
            # RFC 9530 section 3: the digest is that of the whole representation, also for a 206.
            "repr-digest": f"sha-256=:{base64.b64encode(self.sha256).decode()}:",
        }


@final
class ResultURLs:
    """Signs the paths of results, and checks them."""

    def __init__(self, *, lifetime: float) -> None:
        self.secret: bytes = secrets.token_bytes(32)
        self._lifetime = lifetime

    def path(self, task_id: str, index: int, *, now: float) -> str:
        """Returns path and query of a signed URL, valid for the lifetime, rounded up to a second."""
        end = now + self._lifetime
        expires = str(math.ceil(end) if self._lifetime > 0 else math.floor(end))
        signature = self._signature(task_id, str(index), expires)
        return f"/results/{task_id}/{index}?" + urlencode(
            {"Expires": expires, "Signature": signature}
        )

    def genuine(self, task_id: str, index: str, expires: str, signature: str) -> bool:
        """Returns whether this emulator signed the URL, which may have expired."""
        expected = self._signature(task_id, index, expires)
        return hmac.compare_digest(expected.encode(), signature.encode())

    def _signature(self, task_id: str, index: str, expires: str) -> str:
        text = f"GET\n/results/{task_id}/{index}\n{expires}"
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Selection:
    """The response to a GET: 200 or 206 with the bytes from start to stop, 304, 412 or 416."""

    status: int
    start: int = 0
    stop: int = 0


def select(headers: Mapping[str, str], *, size: int, etag: str, modified: str) -> Selection:
    """Returns the response to a GET of a file with these headers (lower-case names).

    `modified` is the file's Last-Modified. The order is that of RFC 9110 section 13.2.2.
    """
    if_match = headers.get("if-match")
    if if_match is not None and not _matches(if_match, etag, weak=False):
        return Selection(412)
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None and _matches(if_none_match, etag, weak=True):
        return Selection(304)
    wanted = headers.get("range")
    if wanted is None or not _unchanged(headers.get("if-range"), etag, modified):
        return Selection(200, 0, size)
    return _range(wanted, size)


_ENTITY_TAG = re.compile(r'(W/)?("[^"]*")')
# No two runs of blanks are adjacent without a number: matching many would take quadratic time.
_BYTE_RANGE = re.compile(
    r"\s*bytes\s*=\s*(?:([0-9]{1,100})\s*)?-\s*(?:([0-9]{1,100})\s*)?", re.ASCII | re.I
)


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    """Compares ETags, strongly or weakly (RFC 9110 section 8.8.3.2)."""
    if header.strip() == "*":
        return True
    return any(
        tag == etag and (weak or not prefix)
        for prefix, tag in (match.groups() for match in _ENTITY_TAG.finditer(header))
    )


def _unchanged(if_range: str | None, etag: str, modified: str) -> bool:
    """Compares an If-Range: strong ETag, or the same date (RFC 9110 section 13.1.5)."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == etag
    try:
        return parsedate_to_datetime(if_range) == parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return False


def _range(header: str, size: int) -> Selection:
    """Parses a single byte range; anything else is ignored (RFC 9110 section 14.2)."""
    whole = Selection(200, 0, size)
    match = _BYTE_RANGE.fullmatch(header)
    first, last = (None, None) if match is None else match.groups()
    if not first:
        return _suffix(int(last), size) if last else whole
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return whole
    return Selection(206, start, stop) if start < size else Selection(416)


def _suffix(length: int, size: int) -> Selection:
    if length == 0:
        return Selection(416)
    # A Content-Range cannot describe an empty file, so it is sent completely.
    return Selection(206, max(0, size - length), size) if size else Selection(200)


def error_document(code: str, message: str, request_id: str) -> bytes:
    """Returns an error as XML, as object stores send it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{request_id}</RequestId></Error>"
    ).encode()
