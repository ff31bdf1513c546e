"""httpx transports that sign, that send again, and that refuse what the OpenAPI document does not list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

from .._bodies import async_raw_body
from .._core.answers import Answer
from .._core.contract import is_documented
from .._core.retries import (
    Failure,
    is_repeatable,
    retry_after,
    status_failure,
    transport_outcome,
)
from .._core.status_errors import unexpected_status
from .._core.text import redact_query
from ..errors import RequestInfo
from .retrying import async_send_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..resilience import Resilience
    from ..signing import Signer

__all__ = ["AsyncCheckedTransport", "AsyncRetryTransport", "AsyncSigningTransport"]


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Carries an answer that may be worth another attempt through the retrying."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.response = response


class AsyncRetryTransport(httpx.AsyncBaseTransport):
    """Sends again what may be sent again; gives the last answer, or raises the last error of httpx.

    A POST is repeated after an ambiguous outcome only when it carries an `Idempotency-Key`; a body
    that is streamed is sent once, since it cannot be read twice.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, resilience: Resilience) -> None:
        self._transport = transport
        self._resilience = resilience

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.ByteStream):
            return await self._transport.handle_async_request(request)

        async def attempt() -> httpx.Response:
            response = await self._transport.handle_async_request(request)
            if response.status_code in self._resilience.retry_statuses:
                # Read whole, so that its connection is free while the next attempt is waited for.
                try:
                    await response.aread()
                finally:
                    await response.aclose()
                raise _Refused(response)
            return response

        try:
            return await async_send_again(
                attempt,
                self._failure_of,
                self._resilience,
                repeatable=is_repeatable(request.method, request.headers, self._resilience),
                what=f"{request.method} {request.url.path}",
            )
        except _Refused as refused:
            return refused.response

    def _failure_of(self, error: Exception) -> Failure | None:
        if isinstance(error, _Refused):
            asked = retry_after(error.response.headers, time.time())
            return status_failure(error.response.status_code, asked, self._resilience)
        return (
            Failure(transport_outcome(error)) if isinstance(error, httpx.TransportError) else None
        )

    async def aclose(self) -> None:
        await self._transport.aclose()


class AsyncSigningTransport(httpx.AsyncBaseTransport):
    """Signs every attempt: each has its own time and nonce."""

    def __init__(self, transport: httpx.AsyncBaseTransport, signer: Signer) -> None:
        self._transport = transport
        self._signer = signer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        headers = httpx.Headers(request.headers)
        headers.update(dict(self._signer.sign(request.method, str(request.url), headers, body)))
        signed = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions=request.extensions,
        )
        return await self._transport.handle_async_request(signed)

    async def aclose(self) -> None:
        await self._transport.aclose()


class AsyncCheckedTransport(httpx.AsyncBaseTransport):
    """Raises `UnexpectedStatus` for a status that the OpenAPI document does not list."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, base_path: str, secrets: Sequence[str]
    ) -> None:
        self._transport = transport
        self._base_path = base_path
        self._secrets = secrets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        path = request.url.path.removeprefix(self._base_path)
        if is_documented(request.method, path, response.status_code):
            return response
        try:
            body = b"".join([chunk async for chunk in async_raw_body(response)])
        finally:
            await response.aclose()
        info = RequestInfo(request.method, redact_query(str(request.url)))
        answer = Answer(response.status_code, response.headers, body, info, secrets=self._secrets)
        del body  # reporters of errors keep the variables of a frame, and it may repeat the key
        raise unexpected_status(answer, time.time())

    async def aclose(self) -> None:
        await self._transport.aclose()
