"""What an exception of httpx means to a user: which host, where it was configured, and the cause."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

import httpx

from dcipher._masking.text import clean, unsigned
from dcipher.errors import APIConnectionError, APIError, APITimeoutError, RequestInfo, TLSError

from .causes import chain, client_certificate_cause, has_too_many_files, tls_cause

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["connection_error", "not_sent"]


def not_sent(error: OSError) -> httpx.TransportError:
    """An error of the operating system that came before there was a connection, as httpx names it."""
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
    """What an exception of httpx means to a user.

    Which host, where it was configured, and the cause.
    """
    if isinstance(error, httpx.RequestError):  # the one that was sent has the key in its headers
        error.request = httpx.Request(request.method, request.url)
    tls = tls_cause(error) if isinstance(error, httpx.ConnectError) else None
    # h11 quotes a line that it cannot parse, and a service may repeat the key in it.
    cause = clean(unsigned(_root_cause(error), secrets))
    wanted = client_certificate_cause(error)
    if wanted is not None:
        return TLSError(
            f"{host} ({configured_by}) wants a client certificate that it accepts: {clean(str(wanted))}. "
            "Load one into an SSL context, and pass "
            "http_client=HTTPAuthenticatedClient(…, verify_ssl=context).",
            request=request,
            attempts=attempts,
        )
    if tls is not None:
        return TLSError(
            f"The connection to {host} ({configured_by}) is not secure: {clean(str(tls))}. "
            "Check the clock, the certificate, and SSL_CERT_FILE where a proxy of yours signs certificates.",
            request=request,
            attempts=attempts,
        )
    if isinstance(error, httpx.PoolTimeout):
        return APITimeoutError(
            f"{request} found no free connection: {cause}. Run fewer calls at once, or raise the timeout.",
            request=request,
            attempts=attempts,
        )
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return APITimeoutError(
            f"{request} got no answer in time from {host} ({configured_by}): {_phase(error)}. "
            "Raise it with timeout=…, or check the network.",
            request=request,
            attempts=attempts,
        )
    if has_too_many_files(error):
        return APIConnectionError(
            f"{request} found no way to {host}: {cause}. This process, or this machine, has too many "
            "open files and sockets: run fewer calls at once, or raise the limit (ulimit -n).",
            request=request,
            attempts=attempts,
        )
    return APIConnectionError(
        f"No answer from {host} ({configured_by}) to {request}: {cause}. "
        "Check the network, the proxy settings and the base URL.",
        request=request,
        attempts=attempts,
    )


def _phase(error: Exception) -> str:
    if "proxy" in str(error):
        return str(error)
    doing = {
        "ConnectTimeout": "connecting took longer than the connect timeout",
        "WriteTimeout": "sending took longer than the timeout",
    }
    return doing.get(type(error).__name__, "it took longer than the timeout")


def _root_cause(error: BaseException) -> str:
    """What the operating system said: "connection refused", not "all connection attempts failed"."""
    words = type(error).__name__ if not str(error) else f"{type(error).__name__}: {error}"
    for behind in chain(error):
        if isinstance(behind, OSError) and behind.errno is not None:
            # asyncio has words of its own; a name that does not resolve has its own numbers.
            known = isinstance(behind, (ssl.SSLError, socket.gaierror))
            said = str(behind) if known else f"{os.strerror(behind.errno)} (errno {behind.errno})"
            words = f"{type(error).__name__}: {said}"
    return words
