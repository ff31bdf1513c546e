"""Requests a result from its store, by its signed URL as it is, without a key of ours; follows redirects."""

from __future__ import annotations

import math
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._masking.redaction import redact
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_query, redact_urls
from dcipher._telemetry.context import hidden
from dcipher._urls.signed_urls import MAX_REDIRECTS, joined, refusal, secrets_of
from dcipher._wire.errors.causes import client_certificate_cause, tls_cause
from dcipher._wire.errors.connection_errors import CHECK_TLS
from dcipher._wire.errors.error_bodies import is_about_an_error
from dcipher._wire.retries import Failure, Outcome, transport_failure
from dcipher._wire.transport.deadlines import DEADLINE
from dcipher.errors import DcipherError
from dcipher.logs import redacting

from .bodies import raw_body, watched
from .sources import Problem, TransferError
from .stalls import TransferDeadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcipher._wire.http_client import HTTPClient

    from .sources import Source

__all__ = ["Store"]

EXCERPT = 2048
"""Bytes that are read of an error response."""
EXCERPT_TIME = 5.0
"""Seconds that reading them may take."""
HTTP_VERSIONS = frozenset({"HTTP/1.0", "HTTP/1.1", "HTTP/2"})


class Store:
    """The store of one result."""

    def __init__(
        self,
        http: HTTPClient,
        source: Source,
        timeout: httpx.Timeout,
        total_timeout: float | None,
        ends: float,
        send: Callable[[httpx.Request], httpx.Response] | None = None,
    ) -> None:
        """`ends`: the deadline of the download, by the monotonic clock. `send`: instead of `http`'s."""
        self._http = http
        self._send_request = send or http._send  # noqa: SLF001 - ours alone
        self._source = source
        self._timeout = timeout
        self._total_timeout = total_timeout
        self.ends = ends
        self.secrets: set[str] = {*secrets_of(source.url), *http.secrets()}
        """The secrets of every URL that it redirected to, and of proxies."""
        self.deadline: TransferDeadline | None = None
        """The deadline of the request in progress."""
        self._host = ""

    def wake_up(self) -> None:
        """Interrupts waiting for it, from another thread."""
        if self.deadline is not None:
            self.deadline.abort()

    def watch_body(self) -> TransferDeadline:
        """Returns the deadline of the body that follows, which must keep a rate and end with the download."""
        deadline = self.deadline or TransferDeadline(None)
        deadline.watch_body(self.ends)
        return deadline

    def get(self, headers: Mapping[str, str]) -> httpx.Response:
        """Returns its response, after at most five redirects; the caller closes it. Raises `TransferError`."""
        url, redirected_from = self._source.url, None
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url, redirected_from)
            response = self._send(url, headers)
            location = response.headers.get("location")
            if response.status_code not in {301, 302, 303, 307, 308} or location is None:
                return response
            response.close()
            url, redirected_from = joined(url, location), url
            self.secrets.update(secrets_of(url))
            redacting.set(tuple(self.secrets))
        raise _refused(f"it was redirected more than {MAX_REDIRECTS} times")

    def excerpt(self, response: httpx.Response) -> str:
        """Returns the beginning of the body if it describes an error, as far as it arrives soon."""
        is_plain = response.headers.get("content-encoding", "identity").lower() == "identity"
        if not is_plain or not is_about_an_error(response.status_code, response.headers):
            return ""
        text, deadline = bytearray(), self.deadline or TransferDeadline(None)
        deadline.restart(EXCERPT_TIME)
        with suppress(httpx.TransportError, OSError), watched(response, deadline):
            self._read(response, text)
        return text.decode("utf-8", "replace")

    def _read(self, response: httpx.Response, text: bytearray) -> None:
        with closing(raw_body(response)) as chunks:
            for chunk in chunks:
                text += chunk
                if len(text) > EXCERPT:
                    return

    def lost(self, error: Exception) -> TransferError:
        """Returns the error for a failed connection."""
        # h11 quotes the line that it cannot parse, which may be a row of the result.
        said = str(error).partition(": bytearray(")[0]
        words = clean(redact_urls(redact(f"{type(error).__name__}: {said}", self.secrets)))
        if client_certificate_cause(error) is not None:
            return _refused(f"the store requires another client certificate ({words})")
        if tls_cause(error) is not None:
            insecure = _refused(f"the connection to the store is not secure ({words})")
            insecure.advice = CHECK_TLS
            return insecure
        failure = transport_failure(error, self._host)
        text = f"the connection to the store failed ({words})"
        return TransferError(Problem.INTERRUPTED, text, failure)

    def _check(self, url: str, redirected_from: str | None) -> None:
        why_not = refusal(
            url,
            allow_insecure=self._source.allow_insecure,
            may_lead_here=self._source.may_lead_here,
            redirected_from=redirected_from,
        )
        if why_not is not None:
            raise _refused(f"its URL is not fetched: {why_not} ({clean(redact_query(url))})")

    def _send(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        self._host = httpx.URL(url).host
        within = None if self.ends == math.inf else self.ends - monotonic()
        # The body may take as long as data arrives; its head may not.
        self.deadline = TransferDeadline(self._total_timeout, within=within)
        try:
            request = self._request(url, headers, self.deadline)
            with hidden(is_signed=True):
                response = self._send_request(request)
        except RuntimeError:  # the client was closed
            if self._http._is_closed or self._http._is_closed_async:  # noqa: SLF001
                raise DcipherError("This client was closed during a download.") from None
            raise
        if response.http_version not in HTTP_VERSIONS:  # h11 accepts any: RFC 9112 section 2.3
            response.close()
            raise _interrupted("the response of the store is not HTTP")
        return response

    def _request(
        self, url: str, headers: Mapping[str, str], deadline: TransferDeadline
    ) -> httpx.Request:
        # httpx quotes characters that look unquoted, and the signature covers the original URL: the
        # target is sent as it is.
        after_host = url.split("://", 1)[1].partition("#")[0]
        slash = min((i for i in (after_host.find("/"), after_host.find("?")) if i >= 0), default=-1)
        target = after_host[slash:] if slash >= 0 else "/"
        target = target if target.startswith("/") else f"/{target}"
        extensions: dict[str, Any] = {"timeout": self._timeout.as_dict(), DEADLINE: deadline}
        if target.isascii():
            extensions["target"] = target.encode()
        return httpx.Request("GET", url, headers=headers, extensions=extensions)


def _refused(message: str) -> TransferError:
    return TransferError(Problem.REFUSED, message, Failure(Outcome.PERMANENT))


def _interrupted(message: str) -> TransferError:
    return TransferError(Problem.INTERRUPTED, message, Failure(Outcome.AMBIGUOUS))
