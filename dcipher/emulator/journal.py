"""The journal of requests, without a secret in it."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import final
from urllib.parse import parse_qsl, urlencode

__all__ = ["Journal", "RequestRecord", "masked_headers", "masked_query"]

MASK = "***"
_SECRET_NAME = re.compile(r"auth|cookie|token|secret|credential|password|signature|key", re.I)
_PLAIN = frozenset({"idempotency-key", "signature-input"})


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request and the status that it was answered with; secrets are masked."""

    method: str
    path: str
    query: str
    status: int | None
    """What was really sent; None where no answer was."""
    headers: Mapping[str, str]
    """By lower-case name; what is sent several times is joined with commas."""
    idempotency_key: str | None
    request_id: str
    at: datetime
    """When the request came, in UTC."""
    fault: str | None = None
    """Which fault was applied, in words."""
    unmatched: str | None = None
    """What it asked for that is not there (a route, a flow, a run), in words."""


@final
class Journal:
    """The last requests, safe to read from any thread."""

    def __init__(self, *, limit: int = 100_000) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=limit)
        self._count = 0

    def add(self, record: RequestRecord) -> None:
        """Note a request."""
        with self._lock:
            self._records.append(record)
            self._count += 1

    def records(self) -> tuple[RequestRecord, ...]:
        """The requests in the order of their answers."""
        with self._lock:
            return tuple(self._records)

    @property
    def count(self) -> int:
        """How many requests there were, those that it no longer has included."""
        return self._count

    def since(self, number: int) -> tuple[tuple[int, RequestRecord], ...]:
        """The requests after the `number`th, each with its own number, from 1."""
        with self._lock:
            many = max(0, min(self._count - number, len(self._records)))
            newest = tuple(islice(reversed(self._records), many))
            return tuple(enumerate(reversed(newest), self._count - many + 1))

    def get(self, number: int) -> RequestRecord | None:
        """The request with this number; None if it is not there, or not any more."""
        with self._lock:
            index = number - self._count - 1
            return self._records[index] if -len(self._records) <= index < 0 else None

    def forget(self) -> None:
        """Empty it."""
        with self._lock:
            self._records.clear()
            self._count = 0


def masked_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """The headers (lower-case names) with the values of those masked that carry a secret.

    A header does so by its name, or because one of `secrets` is in it.
    """
    known = tuple(secrets)
    return {
        name: MASK
        if (name not in _PLAIN and _SECRET_NAME.search(name)) or any(s in value for s in known)
        else value
        for name, value in headers.items()
    }


def masked_query(query: str) -> str:
    """The query with the values of secret parameters masked."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode(
        [(name, MASK if _SECRET_NAME.search(name) else value) for name, value in pairs], safe="*"
    )
