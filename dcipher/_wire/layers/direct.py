"""What an httpx client does with a request and its response, for calls that bypass it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["NoBody", "adds_something", "has_header", "note"]

_logger = logging.getLogger("httpx")


def adds_something(client: httpx.Client | httpx.AsyncClient) -> bool:
    """Returns whether this httpx client changes, inspects or rejects a request.

    That is by authentication, hooks, a subclass, or because it is closed.
    """
    hooks = client.event_hooks
    return (
        client.is_closed
        or client.auth is not None
        or bool(hooks["request"] or hooks["response"])
        or type(client) not in _PLAIN
    )


_PLAIN = (httpx.Client, httpx.AsyncClient)


def note(client: httpx.Client | httpx.AsyncClient, response: httpx.Response) -> None:
    """Stores the cookies of a response, and logs it, as httpx does."""
    if has_header(response, b"set-cookie"):
        client.cookies.extract_cookies(response)
    if _logger.isEnabledFor(logging.INFO):
        _logger.info(
            'HTTP Request: %s %s "%s %d %s"', response.request.method, response.request.url,
            response.http_version, response.status_code, response.reason_phrase,
        )  # fmt: skip


def has_header(response: httpx.Response, name: bytes) -> bool:
    """Returns whether a response has a header, without decoding the headers as httpx does."""
    for known, _ in response.headers.raw:  # noqa: SIM110 - a generator costs more than it
        if known.lower() == name:
            return True
    return False


class NoBody(httpx.ByteStream):
    """An empty body without a chunk: each chunk costs time, even an empty one."""

    def __init__(self) -> None:
        super().__init__(b"")

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece
