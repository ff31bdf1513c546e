# Generated from dcipher/_async/transports.py by scripts/unasync.py: edit that, not this.
"""httpx transports that sign, that send again, and that refuse what the OpenAPI document does not list."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

from .._bodies import raw_body
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
from .retrying import send_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..resilience import Resilience
    from ..signing import Signer

__all__ = ["CheckedTransport", "RetryTransport", "SigningTransport"]


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Carries an answer that may be worth another attempt through the retrying."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.response = response


class RetryTransport(httpx.BaseTransport):
    """Sends again what may be sent again; gives the last answer, or raises the last error of httpx.

    A POST is repeated after an ambiguous outcome only when it carries an `Idempotency-Key`; a body
    that is streamed is sent once, since it cannot be read twice.
    """

    def __init__(self, transport: httpx.BaseTransport, resilience: Resilience) -> None:
        self._transport = transport
        self._resilience = resilience

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.ByteStream):
            return self._transport.handle_request(request)

        def attempt() -> httpx.Response:
            response = self._transport.handle_request(request)
            if response.status_code in self._resilience.retry_statuses:
                # Read whole, so that its connection is free while the next attempt is waited for.
                try:
                    response.read()
                finally:
                    response.close()
                raise _Refused(response)
            return response

        try:
            return send_again(
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

    def close(self) -> None:
        self._transport.close()


class SigningTransport(httpx.BaseTransport):
    """Signs every attempt: each has its own time and nonce."""

    def __init__(self, transport: httpx.BaseTransport, signer: Signer) -> None:
        self._transport = transport
        self._signer = signer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        headers = httpx.Headers(request.headers)
        headers.update(dict(self._signer.sign(request.method, str(request.url), headers, body)))
        signed = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions=request.extensions,
        )
        return self._transport.handle_request(signed)

    def close(self) -> None:
        self._transport.close()


class CheckedTransport(httpx.BaseTransport):
    """Raises `UnexpectedStatus` for a status that the OpenAPI document does not list."""

    def __init__(
        self, transport: httpx.BaseTransport, base_path: str, secrets: Sequence[str]
    ) -> None:
        self._transport = transport
        self._base_path = base_path
        self._secrets = secrets

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._transport.handle_request(request)
        path = request.url.path.removeprefix(self._base_path)
        if is_documented(request.method, path, response.status_code):
            return response
        try:
            body = b"".join([chunk for chunk in raw_body(response)])
        finally:
            response.close()
        info = RequestInfo(request.method, redact_query(str(request.url)))
        answer = Answer(response.status_code, response.headers, body, info, secrets=self._secrets)
        del body  # reporters of errors keep the variables of a frame, and it may repeat the key
        raise unexpected_status(answer, time.time())

    def close(self) -> None:
        self._transport.close()
