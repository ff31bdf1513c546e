"""The last requests and responses with their bodies.

The journal has a line for every request; this has some of them completely. Secrets are redacted when
they are recorded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.gate.journal import masked_headers, size_of_headers
from dcipher.emulator.gate.masking import masked_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

__all__ = ["Content", "Exchange", "Exchanges", "Recording"]

KEPT: Final = 8 * 1024
"""Characters of a body that are kept."""
SIZE: Final = 32 * 1024 * 1024
"""Bytes that the exchanges take at most, about."""
_EXCHANGE: Final = 500
READ: Final = 64 * 1024
"""The largest request body that is kept: a larger one would have to be searched for secrets."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body, for display."""

    text: str | None = None
    """None if it is not text, or too large to be kept."""
    size: int = 0
    """The bytes that were sent, as far as is known."""
    whole: bool = True
    """Whether `text` is complete."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    request: Content
    response_headers: Mapping[str, str]
    """Empty if a fault wrote the response to the connection itself."""
    response: Content
    seconds: float
    """From the head of the request to the end of the response."""

    @property
    def size(self) -> int:
        """About how many bytes it takes; a character takes at most four."""
        texts = (self.request.text or "", self.response.text or "")
        return _EXCHANGE + 4 * sum(map(len, texts)) + size_of_headers(self.response_headers)


@final
class Exchanges:
    """The last exchanges by the id of the request. Thread-safe."""

    def __init__(self, *, secrets: Iterable[str] = (), limit: int = 1000, size: int = SIZE) -> None:
        self.secrets: tuple[str, ...] = tuple(secrets)
        self._limit = limit
        self._most = size
        self._size = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Exchange] = OrderedDict()

    def record(self, request_id: str) -> Recording:
        """Registers a new request."""
        return Recording(self, request_id)

    def add(self, request_id: str, exchange: Exchange) -> None:
        """Adds one, and removes the oldest."""
        with self._lock:
            self._kept[request_id] = exchange
            self._size += exchange.size
            while len(self._kept) > self._limit or self._size > self._most:
                self._size -= self._kept.popitem(last=False)[1].size

    def get(self, request_id: str) -> Exchange | None:
        """Returns the exchange; None if the request has not ended, or was removed."""
        with self._lock:
            return self._kept.get(request_id)

    def clear(self) -> None:
        """Removes all exchanges."""
        with self._lock:
            self._kept.clear()
            self._size = 0


@final
class Recording:
    """Records one request."""

    def __init__(self, exchanges: Exchanges, request_id: str) -> None:
        self._exchanges = exchanges
        self._request_id = request_id
        self._began = monotonic()
        self._request = b""
        self._request_size = 0
        self._headers: dict[str, str] = {}
        self._response = bytearray()
        self._response_size = 0
        self._done = False

    def record_request(self, body: bytes, size: int | None = None) -> None:
        """Records the request body, or its beginning and the total size."""
        self._request_size = len(body) if size is None else size
        self._request = body if self._request_size <= READ else b""

    def record_response(self, message: MutableMapping[str, object]) -> None:
        """Records a message of the response before it is sent, so that it is complete for its client."""
        if message["type"] == "http.response.start":
            raw = cast("Iterable[tuple[bytes, bytes]]", message.get("headers", ()))
            self._headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in raw}
            return
        body = cast("bytes", message.get("body", b""))
        self._response_size += len(body)
        if len(self._response) < KEPT:
            self._response += body[: KEPT - len(self._response)]
        if not message.get("more_body", False):
            self.finish()

    def finish(self) -> None:
        """Records the end of the request. Only the first call counts."""
        if self._done:
            return
        self._done = True
        secrets = self._exchanges.secrets
        exchange = Exchange(
            request=_content(self._request, self._request_size, secrets),
            response_headers=masked_headers(self._headers, secrets),
            response=_content(bytes(self._response), self._response_size, secrets),
            seconds=monotonic() - self._began,
        )
        self._request = b""
        self._response.clear()
        self._exchanges.add(self._request_id, exchange)


def _content(kept: bytes, size: int, secrets: tuple[str, ...]) -> Content:
    """Returns the displayed body, for its size and the kept bytes."""
    if not size:
        return Content("")
    text = _decoded(kept, cut=len(kept) < size)
    if not kept or text is None:
        return Content(None, size, whole=False)
    shown = masked_body(text, secrets)
    return Content(shown[:KEPT], size, whole=len(kept) == size and len(shown) <= KEPT)


def _decoded(data: bytes, *, cut: bool) -> str | None:
    # The last character, of at most four bytes, may be truncated.
    for end in range(len(data), max(-1, len(data) - (4 if cut else 1)), -1):
        try:
            text = data[:end].decode()
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None
