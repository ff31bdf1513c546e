"""Sends requests by an httpx2 client of the user's."""

from __future__ import annotations

from copy import copy
from typing import Any

import httpx

from dcipher._wire.httpx2_clients import Httpx2Errors, library, plain_response
from dcipher._wire.proxies.socks import SOCKS_ERRORS
from dcipher.errors import DcipherError

from .cookies import NoCookies

__all__ = ["AsyncHttpx2Transport"]


class AsyncHttpx2Transport(httpx.AsyncBaseTransport):
    """Sends by an httpx2 client of the user's, which the user still owns.

    Requests, responses and exceptions are converted; the rest is as for a client of httpx.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._client.is_closed:
            raise DcipherError("The httpx2 client that was passed as http_client is closed.")
        httpx2 = library()
        client = copy(self._client)
        client.cookies = httpx2.Cookies(NoCookies())
        is_whole = isinstance(request.stream, httpx.ByteStream)
        # None: without a body, httpx2 adds no headers for it.
        content = (request.read() or None) if is_whole else request.stream
        with SOCKS_ERRORS, Httpx2Errors(request):
            theirs = httpx2.Request(
                request.method,
                str(request.url),
                headers=request.headers.raw,
                content=content,
                extensions=request.extensions,
            )
            response = await client.send(theirs, stream=True, auth=None, follow_redirects=False)
        return plain_response(response, _Body(response, request))


class _Body(httpx.AsyncByteStream):
    """The body of a response, raw."""

    def __init__(self, response: Any, request: httpx.Request) -> None:
        self._response = response
        self._request = request
        self._chunks: Any = None

    def __aiter__(self) -> Any:
        self._chunks = self._response.stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        with Httpx2Errors(self._request):
            chunk: bytes = await self._chunks.__anext__()
            return chunk

    async def aclose(self) -> None:
        with Httpx2Errors(self._request):
            await self._response.aclose()
