"""What came back: a model, or an error.

Status, headers and body in; a value or an exception out.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from ..errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    InvalidResponseError,
    RequestInfo,
    TLSError,
    status_error_class,
)
from ..models import Flow, Output, Run, SecretURL, normal_status
from .decoding import Inflater, encoding_of
from .error_bodies import error_response
from .retries import retry_after
from .signed_urls import expiry
from .text import REDACTED, clean, redact_query, without

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ..models import ErrorResponse
    from .operations import Operation

__all__ = [
    "MAX_BODY",
    "Answer",
    "connection_error",
    "decoded",
    "flow_of",
    "started_run",
    "status_error",
    "status_of",
]

MAX_BODY = 8 * 1024 * 1024
"""Bytes of an API answer that are read at most: what is longer is not an answer of this API."""

JSONObject: TypeAlias = "dict[str, Any]"

_NEXT_STEPS = {
    401: "Check DCIPHER_API_KEY, or pass api_key=…: the key is missing, wrong or revoked.",
    403: "This API key may not do that: ask the flow's owner for access.",
    404: "Check the ids: there is no such flow or run for this API key.",
    409: "It collides with something that is going on: try again in a moment.",
    422: "Check the parameters against client.flows.get(…).params.",
    429: "Too many requests: send fewer at once, or wait.",
}


@dataclass(frozen=True)
class Answer:
    """An answer of the API, whole, and what an error has to know of the request."""

    status_code: int
    headers: httpx.Headers
    body: bytes
    """Decoded, without a byte order mark."""
    request: RequestInfo
    attempts: int = 1
    secrets: Sequence[str] = ()
    """What must not be repeated in an error, should the service repeat it."""

    @property
    def request_id(self) -> str | None:
        value = self.headers.get("x-request-id")
        return None if value is None else clean(without(value, self.secrets))

    def invalid(self, why: str) -> InvalidResponseError:
        return InvalidResponseError(
            f"{self.request} answered {self.status_code}, but {why}. "
            "Check base_url: a proxy or another service may have answered instead of Dcipher.",
            request=self.request,
            attempts=self.attempts,
            request_id=self.request_id,
        )


def decoded(body: bytes, content_encoding: str) -> bytes:
    """`body` without its Content-Encoding and its byte order mark.

    Raises ValueError for what cannot be undone.
    """
    encoding = encoding_of(content_encoding)
    if encoding is not None:
        inflater = Inflater(encoding, lambda _: MAX_BODY)
        body = b"".join(inflater.feed(body))
        inflater.finish()
    return body.removeprefix(b"\xef\xbb\xbf")


def started_run(answer: Answer, operation: Operation, now: datetime) -> Run:
    """The run that the answer to a start speaks of."""
    known = _object(answer)
    task_id = known.pop("taskId", None)
    # A number is taken as text; True is an int in Python, but not an id.
    if isinstance(task_id, int) and not isinstance(task_id, bool):
        task_id = str(task_id)
    if not isinstance(task_id, str) or not task_id.strip():
        raise answer.invalid("without a usable taskId")
    outputs = tuple(_outputs(known))
    known = {name: value for name, value in known.items() if name not in Run.model_fields}
    return Run(
        **known,
        flow_id=operation.flow_id,
        task_id=task_id,
        outputs=outputs,
        idempotency_key=operation.idempotency_key,
        created_at=now,
    )


def _outputs(known: JSONObject) -> Iterator[Output]:
    """One URL or several become one tuple.

    A place whose URL cannot be used stays, without one: the order tells them apart.
    """
    single, several = known.pop("signedResponseURL", None), known.pop("signedResponseURLs", None)
    urls = cast("list[object]", several) if isinstance(several, list) else []
    for url in urls or ([] if single is None else [single]):
        if isinstance(url, str) and url.strip():
            yield Output(url=SecretURL(url), expires_at=expiry(url))
        else:
            yield Output()


def status_of(answer: Answer, run: Run, now: datetime) -> Run:
    """`run` as the answer to a look at its status has it.

    What is known of it already, such as its outputs, stays.
    """
    known = _object(answer)
    status, message = known.pop("status", None), known.pop("message", None)
    if not isinstance(status, str) or not status.strip():
        raise answer.invalid("without a status")
    extra = {name: value for name, value in known.items() if name not in Run.model_fields}
    seen: dict[str, Any] = {
        **extra,
        "status": normal_status(status),
        "message": message if message is None or isinstance(message, str) else str(message),
    }
    # A copy: the fields that are kept were validated when `run` was made.
    changed = run.model_copy(update=seen)
    if changed.is_terminal and changed.finished_at is None:
        return changed.model_copy(update={"finished_at": now})
    return changed


def flow_of(answer: Answer) -> Flow:
    """The flow that the answer describes."""
    known = _object(answer)
    try:
        return Flow.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise answer.invalid(f"its field {where!r} does not fit ({first['msg']})") from None


def _object(answer: Answer) -> JSONObject:
    """The JSON object that the body is. One parser for every way in which it may not be one."""
    try:
        value = from_json(answer.body, allow_inf_nan=False)
    except ValueError:
        raise answer.invalid(_not_json(answer)) from None
    if not isinstance(value, dict):
        raise answer.invalid(f"with a JSON {type(value).__name__} instead of an object")
    return cast("JSONObject", value)


def _not_json(answer: Answer) -> str:
    if not answer.body.strip():
        return "with an empty body"
    kind = clean(answer.headers.get("content-type", "no content type"), 60)
    return f"not with JSON ({kind}): {_excerpt(answer)!r}"


def _excerpt(answer: Answer) -> str:
    """At most 200 clean characters of the body."""
    return clean(without(answer.body[:4096].decode("utf-8", "replace"), answer.secrets))


def status_error(answer: Answer, now: float) -> APIStatusError:
    """The error for a status that is no success, with all that the body says."""
    body = _any_body(answer)
    error = error_response(body)
    cls = status_error_class(answer.status_code)
    return cls(
        _status_message(answer, error),
        status_code=answer.status_code,
        response=_showable(answer),
        error=error,
        body=body,
        retry_after=retry_after(answer.headers, now),
        request=answer.request,
        attempts=answer.attempts,
        request_id=answer.request_id,
    )


def _status_message(answer: Answer, error: ErrorResponse | None) -> str:
    said = clean(error.message) if error is not None and error.message else _excerpt(answer)
    parts = [f"{answer.request} answered {answer.status_code}" + (f": {said}" if said else "")]
    if error is not None and error.field_errors:
        parts.append("; ".join(clean(str(field)) for field in error.field_errors[:5]))
    parts.append(_next_step(answer))
    if answer.request_id:
        parts.append(f"Request id: {answer.request_id}.")
    return " ".join(part if part.endswith((".", "!", "?", "…")) else part + "." for part in parts)


def _next_step(answer: Answer) -> str:
    if answer.status_code >= 500:
        return "The service failed: try again later, and tell its support the request id."
    if 300 <= answer.status_code < 400:
        where = clean(redact_query(answer.headers.get("location", "elsewhere")), 120)
        return f"It points to {where}; redirects are not followed with an API key: check base_url."
    return _NEXT_STEPS.get(answer.status_code, "Check the arguments of the call.")


def _showable(answer: Answer) -> httpx.Response:
    """The answer for the user.

    Of the request, only the method and the URL, so that no key is in it; no cookies either.
    """
    hidden = {
        b"set-cookie",
        b"set-cookie2",
        b"content-encoding",
        b"content-length",
        b"transfer-encoding",
    }
    # As bytes: a header that is not ASCII must not hide the status.
    headers = [
        (name, _bytes_without(value, answer.secrets))
        for name, value in answer.headers.raw
        if name.lower() not in hidden
    ]
    return httpx.Response(
        answer.status_code,
        headers=headers,
        content=_bytes_without(answer.body, answer.secrets),
        request=httpx.Request(answer.request.method, answer.request.url),
    )


def _bytes_without(value: bytes, secrets: Sequence[str]) -> bytes:
    for secret in filter(None, secrets):
        value = value.replace(secret.encode(), REDACTED.encode())
    return value


def _any_body(answer: Answer) -> Any:
    """The body as JSON, else as text, else `None`; with whatever secret it repeats masked."""
    text = without(answer.body.decode("utf-8", "replace"), answer.secrets)
    if not text.strip():
        return None
    try:
        return from_json(text)
    except ValueError:
        return text


def connection_error(
    error: Exception, request: RequestInfo, *, attempts: int, host: str, configured_by: str
) -> APIError:
    """What an exception of httpx means to a user.

    Which host, where it was configured, and the cause.
    """
    tls = _tls_cause(error)
    cause = _root_cause(error)
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
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"{request} got no answer in time from {host} ({configured_by}): {_phase(error)}. "
            "Raise it with timeout=…, or check the network.",
            request=request,
            attempts=attempts,
        )
    return APIConnectionError(
        f"No answer from {host} ({configured_by}) to {request}: {cause}. "
        "Check the network, the proxy settings and the base URL.",
        request=request,
        attempts=attempts,
    )


def _phase(error: httpx.TimeoutException) -> str:
    doing = {
        "ConnectTimeout": "connecting took longer than the connect timeout",
        "WriteTimeout": "sending took longer than the timeout",
    }
    return doing.get(type(error).__name__, "it took longer than the timeout")


def _root_cause(error: BaseException) -> str:
    """What the operating system said: "connection refused", not "all connection attempts failed"."""
    words = type(error).__name__ if not str(error) else f"{type(error).__name__}: {error}"
    for behind in _chain(error):
        if isinstance(behind, OSError) and behind.errno is not None:
            words = f"{type(error).__name__}: {behind}"
    return clean(words)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that are behind it, the outermost first; of a group, the first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        group: Sequence[BaseException] = getattr(error, "exceptions", ())
        error = error.__cause__ or error.__context__ or (group[0] if group else None)


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    """The failed handshake behind an exception. httpx calls it a ConnectError like any other (observed)."""
    for behind in _chain(error):
        cut_off = isinstance(behind, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError))
        if isinstance(behind, ssl.SSLError) and not cut_off:
            return behind
    return None
