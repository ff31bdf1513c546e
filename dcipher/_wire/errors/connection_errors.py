"""Converts exceptions of httpx to errors that name the host, the source of its URL, and the cause."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

import httpx

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_message
from dcipher.errors import APIConnectionError, APIError, APITimeoutError, RequestInfo, TLSError
from dcipher.errors._hints import with_hint

from .causes import chain, client_certificate_cause, has_too_many_files, tls_cause

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHECK_TLS", "connection_error", "not_sent"]

CHECK_TLS: Final = "Check the clock and the certificate. If a proxy of yours signs certificates, set SSL_CERT_FILE."


def not_sent(error: OSError) -> httpx.TransportError:
    """Returns the httpx exception for an error of the operating system before the connection."""
    cls = httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError
    made = cls(str(error))
    made.__cause__ = error
    return made


def connection_error(
    error: Exception,
    request: RequestInfo,
    *,
    attempts: int,
    host: str,
    configured_by: str,
    secrets: Sequence[str] = (),
) -> APIError:
    """Returns the error for an exception of httpx: the host, the source of its URL, and the cause."""
    if isinstance(error, httpx.RequestError):  # the one that was sent has the key in its headers
        error.request = httpx.Request(request.method, request.url)
    tls = tls_cause(error) if isinstance(error, httpx.ConnectError) else None
    # h11 quotes a line that it cannot parse, and a service may repeat the key in it.
    cause = clean(redact_message(_root_cause(error), secrets)).rstrip(".")
    wanted = client_certificate_cause(error)
    if wanted is not None:
        what = (
            f"{host} ({configured_by}) requires another client certificate: {clean(str(wanted))}."
        )
        advice = (
            "Load one into an SSL context, and pass "
            "http_client=HTTPAuthenticatedClient(…, verify_ssl=context)."
        )
        return with_hint(TLSError(what, request=request, attempts=attempts), advice)
    if tls is not None:
        what = f"The connection to {host} ({configured_by}) is not secure: {clean(str(tls))}."
        return with_hint(TLSError(what, request=request, attempts=attempts), CHECK_TLS)
    if isinstance(error, httpx.PoolTimeout):
        what = f"There was no free connection for {request}: {cause}."
        advice = "Run fewer calls at once, or increase the timeout."
        return with_hint(APITimeoutError(what, request=request, attempts=attempts), advice)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        what = f"There was no response in time to {request} from {host} ({configured_by}): {_phase(error)}."
        advice = "Increase the limit with timeout=…, or check the network."
        shell = "Increase DCIPHER_TIMEOUT, or check the network."
        return with_hint(APITimeoutError(what, request=request, attempts=attempts), advice, shell)
    if has_too_many_files(error):
        what = (
            f"No connection to {host} could be opened for {request}: {cause}. This process, or this "
            "machine, has too many open files and sockets."
        )
        advice = "Run fewer calls at once, or raise the limit (ulimit -n)."
    else:
        what = f"There was no response to {request} from {host} ({configured_by}): {cause}."
        advice = "Check the network, the proxy settings and the base URL."
    return with_hint(APIConnectionError(what, request=request, attempts=attempts), advice)


def _phase(error: Exception) -> str:
    if "proxy" in str(error):
        return str(error)
    doing = {
        "ConnectTimeout": "connecting took longer than the connect timeout",
        "WriteTimeout": "sending took longer than the timeout",
    }
    return doing.get(type(error).__name__, "it took longer than the timeout")


def _root_cause(error: BaseException) -> str:
    """Returns the error of the operating system: "connection refused", not "all attempts failed"."""
    words = type(error).__name__ if not str(error) else f"{type(error).__name__}: {error}"
    for behind in chain(error):
        if isinstance(behind, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
            continue  # a handshake under way: anyio's context of what happened then
        if isinstance(behind, OSError) and behind.errno is not None:
            # asyncio has messages of its own; name resolution has its own numbers.
            known = isinstance(behind, (ssl.SSLError, socket.gaierror))
            text = str(behind) if known else f"{os.strerror(behind.errno)} (errno {behind.errno})"
            words = f"{type(error).__name__}: {text}"
    return words
