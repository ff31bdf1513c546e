"""httpx transports that sign and retry requests, and that reject statuses missing from the OpenAPI document.

A response that is not needed is read up to a limit, and never decoded.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.sleeping import async_sleep
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_query
from dcipher._wire.errors.status_errors import unexpected_status
from dcipher._wire.messages.contract import is_documented
from dcipher._wire.messages.responses import MAX_BODY, APIResponse, decoded
from dcipher._wire.messages.retry_after import retry_after
from dcipher._wire.proxies.environment import origin_of
from dcipher._wire.retries import Failure, is_repeatable, status_failure, transport_failure
from dcipher._wire.transport.deadlines import DEADLINE, Deadline, total_timeout_of
from dcipher.errors import RequestInfo
from dcipher.logs import logger

from .origins import is_at_home, without_credentials
from .retrying_async import async_send_again

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcipher._wire.pools.pools_async import AsyncPool
    from dcipher.errors import APIStatusError
    from dcipher.resilience import Resilience
    from dcipher.signing import Signer

__all__ = [
    "AsyncCheckedTransport",
    "AsyncCredentials",
    "AsyncRetryTransport",
    "async_layered",
]

LEAST = 0.25
"""The least seconds of an attempt close to the deadline."""
DRAINED = 64 * 1024
"""Bytes of a response that are read only to keep its connection. Beyond that, a new one costs less."""
DRAIN_TIME = 0.5
"""Seconds that reading them may take."""


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Carries a response that may be retried out of the attempt."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.response = response
        self.status_code: int = response.status_code


class AsyncRetryTransport(httpx.AsyncBaseTransport):
    """Retries requests. Returns the last response, or raises the last error of httpx.

    A POST is retried after an ambiguous outcome only if it has an `Idempotency-Key`. A streamed body
    is sent once, because it cannot be read twice. An attempt takes no longer than the sum of its
    timeouts, and no longer than the deadline permits.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, resilience: Resilience) -> None:
        self._transport = transport
        self._resilience = resilience

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.ByteStream):
            return await self._transport.handle_async_request(request)
        started = monotonic()
        refused: list[httpx.Response] = []

        async def attempt() -> httpx.Response:
            response = await self._transport.handle_async_request(self._timed(request, started))
            if response.status_code in self._resilience.retry_statuses:
                refused.append(response)
                raise _Refused(response)
            _deadline_of(response).restart(None)  # a body may take as long as data arrives
            return response

        async def pause(seconds: float) -> None:
            while refused:
                await _discard(refused.pop())
            await async_sleep(seconds)

        try:
            return await async_send_again(
                attempt,
                lambda error: self._failure_of(error, request.url.host),
                self._resilience,
                repeatable=is_repeatable(request.method, request.headers, self._resilience),
                what=f"{request.method} {request.url.path}",
                pause=pause,
                started=started,
            )
        except _Refused as last:
            # Returned as it was received, for the caller; but with a limit.
            seconds = request.extensions.get("timeout", {}).get("read")
            _deadline_of(last.response).restart(self._left(seconds, started))
            return last.response
        except BaseException:
            while refused:
                await refused.pop().aclose()
            raise

    def _timed(self, request: httpx.Request, started: float) -> httpx.Request:
        """Returns the request for one attempt, with its deadline."""
        timeouts = request.extensions.get("timeout", {})
        deadline = Deadline(self._left(total_timeout_of(timeouts), started))
        if self._resilience.deadline is not None:
            timeouts = {phase: self._left(limit, started) for phase, limit in timeouts.items()}
        changed = {**request.extensions, "timeout": timeouts, DEADLINE: deadline}
        return _changed(request, extensions=changed)

    def _left(self, seconds: float | None, started: float) -> float | None:
        """Returns `seconds`, or the time until the deadline if that is shorter; `None`: no limit."""
        if self._resilience.deadline is None:
            return seconds
        left = max(self._resilience.deadline - (monotonic() - started), LEAST)
        return left if seconds is None else min(seconds, left)

    def _failure_of(self, error: Exception, host: str) -> Failure | None:
        if isinstance(error, _Refused):
            asked = retry_after(error.response.headers, time.time())
            return status_failure(error.response.status_code, asked, self._resilience)
        return transport_failure(error, host) if isinstance(error, httpx.TransportError) else None

    async def aclose(self) -> None:
        await self._transport.aclose()


def _changed(
    request: httpx.Request,
    *,
    headers: httpx.Headers | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers if headers is None else headers,
        stream=request.stream,
        extensions={**(request.extensions if extensions is None else extensions)},
    )


def _deadline_of(response: httpx.Response) -> Deadline:
    deadline: Deadline = response.extensions[DEADLINE]
    return deadline


async def _beginning(response: httpx.Response, most: int, seconds: float | None) -> bytes:
    """Returns what arrives of the raw body in so many seconds, up to a little more than `most` bytes."""
    body = bytearray()
    _deadline_of(response).restart(seconds)
    try:
        # The beginning says more than the error about the missing rest.
        with suppress(httpx.TransportError, OSError):
            async for chunk in cast("httpx.AsyncByteStream", response.stream):
                body.extend(chunk)
                if len(body) > most:
                    break
    finally:
        await response.aclose()
    return bytes(body)


async def _discard(response: httpx.Response) -> None:
    """Reads the rest to keep its connection, unless opening another one takes less time."""
    await _beginning(response, DRAINED, DRAIN_TIME)


class AsyncCredentials:
    """Sends credentials only to the origin of the base URL, for whatever reason a request goes elsewhere.

    RFC 9110 section 15.4: credentials are removed from a redirected request. httpx removes
    `Authorization` and cookies, but no other header (observed). Every attempt is signed: each has its
    own time and nonce.
    """

    def __init__(self, base_url: str, key_header: str | None, signer: Signer | None) -> None:
        self._origin = origin_of(httpx.URL(base_url))
        self._key_header = key_header
        self._signer = signer

    async def prepare(self, request: httpx.Request) -> httpx.Request:
        """Returns the request with its signature, or for another origin without credentials."""
        origin = origin_of(request.url)
        if origin == self._origin or is_at_home(origin, self._origin):
            return request if self._signer is None else await self._signed(request, self._signer)
        headers = without_credentials(request.headers, self._key_header)
        if kept_back := sorted(request.headers.keys() - headers.keys()):
            where, what = clean(request.url.host), clean(", ".join(kept_back))
            logger.info("%s is not the host of the base URL: withheld from it: %s", where, what)
        return _changed(request, headers=headers)

    async def _signed(self, request: httpx.Request, signer: Signer) -> httpx.Request:
        body = await request.aread()
        headers = httpx.Headers(request.headers)
        headers.update(dict(signer.sign(request.method, str(request.url), headers, body)))
        return httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions=request.extensions,
        )


class AsyncCheckedTransport(httpx.AsyncBaseTransport):
    """Raises `UnexpectedStatus` for a status that the OpenAPI document does not list."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, base_path: str, secrets: Sequence[str]
    ) -> None:
        self._transport = transport
        self._base_path = base_path
        # In a closure: tools that show the fields of an object do not show them.
        self._secrets: Callable[[], Sequence[str]] = lambda: secrets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        path = request.url.path.removeprefix(self._base_path)
        if is_documented(request.method, path, response.status_code):
            return response
        error = await self._unexpected(request, response)
        del request, response  # reporters of errors keep the variables of this frame
        raise error

    async def _unexpected(self, request: httpx.Request, response: httpx.Response) -> APIStatusError:
        seconds = request.extensions.get("timeout", {}).get("read")
        body = await _beginning(response, MAX_BODY, seconds)
        try:
            body = decoded(body, response.headers.get("content-encoding", ""))
        except ValueError:  # the status says more than an unreadable body
            body = b""
        info = RequestInfo(request.method, redact_query(str(request.url)))
        received = APIResponse(
            response.status_code, response.headers, body, info, secrets=self._secrets()
        )
        return unexpected_status(received, time.time())

    async def aclose(self) -> None:
        await self._transport.aclose()


def async_layered(
    pool: AsyncPool,
    reference: object,
    *,
    base_url: str,
    key_header: str | None,
    signer: Signer | None,
    retries: Resilience | None,
    secrets: Sequence[str] | None,
) -> httpx.AsyncBaseTransport:
    """Returns a transport of a pool with the layers of a client, from the inside out.

    Each attempt is signed, unless it goes to another origin, which receives no credentials. Attempts
    are retried, and the last response is checked. `secrets`: for that check; `None`: no check.
    """
    credentials = AsyncCredentials(base_url, key_header, signer)
    transport: httpx.AsyncBaseTransport = pool.transport(reference, credentials)
    if retries is not None:
        transport = AsyncRetryTransport(transport, retries)
    if secrets is not None:
        transport = AsyncCheckedTransport(transport, urlsplit(base_url).path, secrets)
    return transport
