# Generated from dcipher/_wire/api_async.py by scripts/unasync.py: edit that, not this.
"""Sends one operation of the API, and returns its result.

Here, requests, responses and retries meet.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._masking.redaction import MANY, relevant_secrets
from dcipher._masking.secret_names import secret_values
from dcipher._masking.tracebacks import presentable
from dcipher._telemetry import spans
from dcipher._telemetry.context import hidden, propagated
from dcipher._wire.errors.connection_errors import connection_error, not_sent
from dcipher._wire.errors.lost_starts import unknown_submission
from dcipher._wire.errors.status_errors import status_error
from dcipher._wire.layers.direct import NoBody, has_header
from dcipher._wire.layers.retrying import prepare_retries, send_again
from dcipher._wire.messages.parsing import prepare
from dcipher._wire.messages.responses import BOM, MAX_BODY, APIResponse, decoded
from dcipher._wire.retries import Failure, Outcome, failure_of, is_repeatable
from dcipher._wire.transport.deadlines import DEADLINE, Deadline
from dcipher._wire.transport.heads import WHOLE
from dcipher.errors import APIError, DcipherError, InvalidParamsError, RequestInfo
from dcipher.errors._hints import with_hint
from dcipher.logs import logger, redacting

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher._wire.messages.operations import Operation
    from dcipher.resilience import Resilience

    from .authenticated_client import HTTPAuthenticatedClient
    from .http_client import HTTPClient
    from .options import Options

__all__ = ["API"]

T = TypeVar("T")

LARGE = 65_536
"""Bytes of a response above which it is parsed in a thread. Others are a thousand times smaller."""
LEAST = 0.25
"""Seconds that an attempt gets at least, close to the deadline.

With less, it could only time out.
"""

SHORTEST = 6
"""Characters of a secret param that is redacted in the responses to later calls, too."""


class API:
    """The connection of a client to the API: the HTTP client, and the options of requests."""

    def __init__(
        self,
        http: HTTPAuthenticatedClient,
        options: Options,
        configured_by: str,
        allow_insecure: bool,
        sent: deque[str] | None = None,
    ) -> None:
        """`sent`: the secret params of earlier starts, which a later response may repeat."""
        self.http = http
        self.options = options
        self.configured_by = configured_by
        """The source of the base URL, for errors."""
        self.allow_insecure = allow_insecure
        self.base_url: str = http.base_url
        self._closed: bool = False
        self._timeouts: dict[str, float | None] = options.timeout.as_dict()
        # The first of the headers (RFC 9110 section 7.2).
        headers = httpx.Headers({"Host": httpx.URL(self.base_url).netloc.decode("ascii")})
        for name, value in (*options.headers.items(), *http.request_headers().items()):
            headers[name] = value  # case-insensitive: a later one replaces an earlier one
        # In a closure: a repr of headers would contain a key that is not in Authorization.
        self._headers: Callable[[], httpx.Headers] = lambda: headers
        secrets = (*http.secrets(), *secret_values(options.headers))
        self._key: Callable[[], str] = lambda: secrets[0]
        # No lock, which a fork could leave locked: each step is atomic.
        known = deque[str](maxlen=MANY) if sent is None else sent
        self._sent: Callable[[], deque[str]] = lambda: known
        self._secrets: Callable[[], tuple[str, ...]] = lambda: (*secrets, *known)
        self.plain_http: HTTPClient = http.anonymous()
        """For the stores of results: without key, cookies and headers of the user."""

    def derived(self, options: Options) -> API:
        """Returns an API with other options, which shares the connections."""
        return API(
            self.http.with_headers({}),
            options,
            self.configured_by,
            self.allow_insecure,
            self._sent(),
        )

    def close(self) -> None:
        """Closes the HTTP clients."""
        self._closed = True
        self.http.close()
        self.plain_http.close()
        # Async downloads go through its sync side, in threads.
        self.plain_http._end()  # noqa: SLF001 - no public name: users close what they open

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def check_open(self) -> None:
        """Raises `DcipherError` if it is closed."""
        if self._closed:
            raise with_hint(
                DcipherError("This client is closed."), "Create a new one, or close it later."
            )

    def check_ids(self, *ids: str | None) -> None:
        """Raises `InvalidParamsError` if an id is the API key: ids are logged, and quoted in errors."""
        if self._key() in ids:
            raise with_hint(
                InvalidParamsError("An id is the same as the API key."),
                "Pass the id of the flow or the run, and the key as Dcipher(api_key=…).",
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def call(
        self,
        operation: Operation,
        parse: Callable[[APIResponse], T],
        *,
        resilience: Resilience | None = None,
        within: float | None = None,
        is_poll: bool = False,
    ) -> T:
        """Sends a request, with retries, and returns the result of `parse` for its response.

        Raises an `APIError` after the retries that `resilience` allows.

        `within`: seconds for one request, if that is less than the timeout. `is_poll`: it is part of
        a wait, and has no span.
        """
        self.check_ids(operation.flow_id, operation.task_id, operation.idempotency_key)
        outer = sys.exc_info()[1]
        secrets = operation.secrets
        prepare(operation.name)
        if operation.idempotency_key is not None:
            prepare_retries()  # a start that fails is retried in any case
            self._remember(secrets)
        policy = resilience or self.options.resilience
        is_traced = (
            spans.poll(operation.flow_id) if is_poll else spans.call(operation, self.base_url)
        )
        with is_traced as span:
            try:
                return self._call(operation, span.observing(parse), policy, within)
            except BaseException as error:
                del operation, parse  # error reporters record the variables of this frame
                presentable(error, outer, (*self._secrets(), *secrets), keeps_query=True)
                raise error  # noqa: TRY201 - before Python 3.11, a plain one brings the frames back
            finally:
                del secrets, outer

    def _remember(self, secrets: tuple[str, ...]) -> None:
        """Remembers the secrets of a start, but for short ones, which may be words of any text."""
        known = self._sent()
        known.extend(new for new in secrets if len(new) >= SHORTEST and new not in known)

    def _call(
        self,
        operation: Operation,
        parse: Callable[[APIResponse], T],
        resilience: Resilience,
        within: float | None,
    ) -> T:
        started = monotonic()
        try:
            return self._attempt(operation, parse, 1, _left(within, resilience.deadline, 0.0))
        except APIError as error:
            first = error
        # Separate: a call that succeeds at once does not pay for the decision about retries.
        return self._again(operation, parse, resilience, within, first, started)

    def _again(
        self,
        operation: Operation,
        parse: Callable[[APIResponse], T],
        resilience: Resilience,
        within: float | None,
        first: APIError,
        started: float,
    ) -> T:
        attempts, doubt = 0, False
        failed: APIError | None = None

        def attempt() -> T:
            nonlocal attempts
            if self._closed and failed is not None:  # closed during the backoff
                raise failed
            attempts += 1
            if attempts == 1:
                raise first
            left = _left(within, resilience.deadline, monotonic() - started)
            return self._attempt(operation, parse, attempts, left)

        def classified(error: Exception) -> Failure | None:
            nonlocal doubt, failed
            if not isinstance(error, APIError):
                return None
            failed, failure = error, failure_of(error, resilience)
            doubt = doubt or failure.outcome is Outcome.AMBIGUOUS
            return None if self._closed else failure

        key = operation.idempotency_key
        headers = {} if key is None else {"idempotency-key": key}
        try:
            return send_again(
                attempt,
                classified,
                resilience,
                repeatable=is_repeatable(operation.method, headers, resilience),
                what=f"{operation.method} {operation.target.partition('?')[0]}",
                started=started,
            )
        except APIError as error:
            final = unknown_submission(error, operation, resilience, in_doubt=doubt)
            raise final from (error.__cause__ if final is error else error)

    def _attempt(
        self,
        operation: Operation,
        parse: Callable[[APIResponse], T],
        attempts: int,
        within: float | None,
    ) -> T:
        self.check_open()
        url = self.base_url + operation.target
        deadline = Deadline(self.options.total_timeout, within=within)
        request = self._request(operation, url, within, deadline)
        info = RequestInfo(operation.method, url)
        secrets = (*self._secrets(), *operation.secrets[:MANY])
        is_debugged = logger.isEnabledFor(logging.DEBUG)
        started = monotonic() if is_debugged else 0.0
        token = redacting.set(secrets)
        try:
            with hidden():
                response = self.http._send(request)  # noqa: SLF001 - ours alone
            stream: Any = response.stream
            try:
                whole: bytes | None = response.extensions.get(WHOLE)
                body = _body(response) if whole is None else whole
            finally:
                stream.close()
        except DcipherError:
            raise
        except RuntimeError:  # of an httpx client that was closed during the call
            self.check_open()
            raise
        # anyio does not convert an ssl.SSLError after the handshake; a name that IDNA cannot encode
        # is a UnicodeError.
        except (httpx.TransportError, httpx.InvalidURL, OSError, UnicodeError) as error:
            if isinstance(error, OSError) and not deadline.was_sent:
                error = not_sent(error)
            raise connection_error(
                error,
                info,
                attempts=attempts,
                host=request.url.host,
                configured_by=self.configured_by,
                secrets=(*self._secrets(), *relevant_secrets(operation.secrets, str(error))),
            ) from error
        finally:
            redacting.reset(token)
        if is_debugged:
            logger.debug(
                "%s %s: %d in %.0f ms", operation.method, operation.target.partition("?")[0],
                response.status_code, (monotonic() - started) * 1000,
            )  # fmt: skip
        received = APIResponse(
            response.status_code, response.headers, body, info, attempts, secrets
        )
        is_encoded = has_header(response, b"content-encoding")
        received = _readable(received, is_encoded=is_encoded)
        received = _with_more_secrets(received, operation.secrets[MANY:])
        if len(received.body) > LARGE:  # parsed in a thread: it must not block the event loop
            return in_thread(_outcome, received, parse)
        return _outcome(received, parse)

    def _request(
        self, operation: Operation, url: str, within: float | None, deadline: Deadline
    ) -> httpx.Request:
        # Not by client.build_request: it would merge headers, cookies and parameters for every call.
        # To a request with a stream, httpx adds no headers.
        headers, content, trace = self._headers(), operation.content, propagated()
        if trace:
            headers = httpx.Headers(headers)
            headers.update(trace)
        if content is not None:
            headers = httpx.Headers(headers)
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(content))
            headers["Idempotency-Key"] = operation.idempotency_key or ""
        timeouts = self._timeouts if within is None else _at_most(self._timeouts, within)
        request = httpx.Request(
            operation.method,
            _parsed(url),
            headers=headers,
            stream=NoBody() if content is None else httpx.ByteStream(content),
            extensions={"timeout": timeouts, DEADLINE: deadline},
        )
        request.read()
        return request


def _body(response: httpx.Response) -> bytes:
    """Reads the raw body, up to the limit: a response of this API is small."""
    if response.is_stream_consumed:  # it is complete, as from httpx.MockTransport
        return response.content
    body = bytearray()
    stream: Any = response.stream
    for chunk in stream:
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _outcome(response: APIResponse, parse: Callable[[APIResponse], T]) -> T:
    """Parses a success. Raises the error for any other status."""
    if not 200 <= response.status_code < 300:
        raise status_error(response, time.time())
    return parse(response)


def _readable(response: APIResponse, *, is_encoded: bool = True) -> APIResponse:
    """Returns the response with its body decoded."""
    if len(response.body) > MAX_BODY and response.status_code < 300:
        raise response.invalid(f"the body has more than {MAX_BODY} bytes")
    encoding = response.headers.get("content-encoding", "") if is_encoded else ""
    if not encoding and not response.body.startswith(BOM):
        return response
    try:
        return replace(response, body=decoded(response.body, encoding))
    except ValueError as error:
        if response.status_code >= 300:  # the status says more than a body that cannot be read
            return replace(response, body=b"")
        raise response.invalid(str(error)) from None


def _with_more_secrets(response: APIResponse, secrets: tuple[str, ...]) -> APIResponse:
    """Returns the response with the secrets beyond `MANY`, as far as it may repeat them."""
    if not secrets:
        return response
    text = f"{response.headers.raw}{response.body.decode('utf-8', 'replace')}"
    return replace(response, secrets=(*response.secrets, *relevant_secrets(secrets, text)))


# Parsing costs as much as building the rest of a request, and a run is polled many times.
@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidParamsError(
            f"With these ids, the URL of the request is invalid: {error}."
        ) from None


def _left(within: float | None, deadline: float | None, elapsed: float) -> float | None:
    """Seconds that an attempt may take; `None`: no less than its timeout."""
    if deadline is None:
        return within
    left = max(deadline - elapsed, LEAST)
    return left if within is None else min(left, within)


def _at_most(limits: dict[str, float | None], within: float) -> dict[str, float | None]:
    return {name: within if limit is None else min(limit, within) for name, limit in limits.items()}
