"""The journal of requests, without a secret in it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, final
from urllib.parse import parse_qsl, urlencode

from dcipher._masking.secret_names import is_secret_name
from dcipher.emulator.gate.masking import MASK, masked_known

__all__ = [
    "Journal",
    "RequestRecord",
    "masked_headers",
    "masked_query",
    "size_of",
    "size_of_headers",
]

ENTRIES: Final = 100_000
SIZE: Final = 64 * 1024 * 1024
"""Bytes that the requests take at most, about: heads may be large, and there may be many of them."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request to the emulator, and the status of its response. Secrets are redacted."""

    method: str
    """The HTTP method."""
    path: str
    """The path of the URL."""
    query: str
    """The query of the URL, with secrets redacted."""
    status: int | None
    """The status that was sent; `None` if no response was sent."""
    headers: Mapping[str, str]
    """The request headers by lower-case name. Repeated headers are joined with commas."""
    idempotency_key: str | None
    """The `Idempotency-Key` of the request."""
    request_id: str
    """The `X-Request-Id` of the response."""
    at: datetime
    """When the request was received, in UTC."""
    fault: str | None = None
    """A description of the fault that was applied."""
    unmatched: str | None = None
    """A description of the route, flow or run that does not exist."""


@final
class Journal:
    """The last requests, limited by number and size. Thread-safe."""

    def __init__(self, *, limit: int = ENTRIES, size: int = SIZE) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque()
        self._limit = limit
        self._most = size
        self._size = 0
        self._count = 0

    def add(self, record: RequestRecord) -> None:
        """Records a request."""
        with self._lock:
            self._records.append(record)
            self._count += 1
            self._size += size_of(record)
            while len(self._records) > self._limit or self._size > self._most:
                self._size -= size_of(self._records.popleft())

    def records(self) -> tuple[RequestRecord, ...]:
        """Returns the requests in the order of their responses."""
        with self._lock:
            return tuple(self._records)

    @property
    def count(self) -> int:
        """The number of requests, including those that were removed."""
        return self._count

    def since(self, number: int) -> tuple[tuple[int, RequestRecord], ...]:
        """Returns the requests after the `number`th, each with its number, from 1."""
        with self._lock:
            many = max(0, min(self._count - number, len(self._records)))
            newest = tuple(islice(reversed(self._records), many))
            return tuple(enumerate(reversed(newest), self._count - many + 1))

    def get(self, number: int) -> RequestRecord | None:
        """Returns the request with this number; None if it does not exist, or was removed."""
        with self._lock:
            index = number - self._count - 1
            return self._records[index] if -len(self._records) <= index < 0 else None

    def clear(self) -> None:
        """Removes all requests."""
        with self._lock:
            self._records.clear()
            self._size = self._count = 0


_RECORD: Final = 500
_HEADER: Final = 100
"""Bytes that a record, and a header, take beside their texts."""


def size_of(record: RequestRecord) -> int:
    """Returns the approximate size in bytes."""
    texts = (record.path, record.query, record.fault or "", record.unmatched or "")
    return _RECORD + sum(map(len, texts)) + size_of_headers(record.headers)


def size_of_headers(headers: Mapping[str, str]) -> int:
    """Returns their approximate size in bytes."""
    return sum(_HEADER + len(name) + len(value) for name, value in headers.items())


def masked_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Returns the headers (lower-case names), with secret values redacted.

    A value is secret by the name of its header, or because it contains one of `secrets`.
    """
    known = tuple(secrets)
    return {
        masked_known(name, known): MASK
        if _is_secret(name) or masked_known(value, known) != value
        else value
        for name, value in headers.items()
    }


def _is_secret(header: str) -> bool:
    return is_secret_name(header) and header != "signature-input"


def masked_query(query: str, secrets: Iterable[str] = ()) -> str:
    """Returns the query, with the values of secret parameters and the given secrets redacted."""
    known = tuple(secrets)
    pairs = [
        (
            masked_known(name, known),
            MASK if is_secret_name(name) else masked_known(value, known),
        )
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return urlencode(pairs, safe="*")
