"""The error for an error status, with the content of the response, and without its secrets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias, cast

import httpx
from pydantic_core import from_json

from dcipher._masking.redaction import redact
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_message, redact_query
from dcipher._wire.messages.responses import LONGEST_TEXT, has_readable_charset
from dcipher._wire.messages.retry_after import retry_after
from dcipher.errors import APIStatusError, UnexpectedStatus, status_error_class
from dcipher.errors._hints import with_hint

from .error_bodies import error_response, is_about_an_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher._wire.messages.responses import APIResponse, JSONObject
    from dcipher.models import ErrorResponse

__all__ = ["status_error", "unexpected_status"]

JSONArray: TypeAlias = "list[object]"

LONGEST_JSON = 262_144
"""Bytes of a body that are parsed. The body of an error is smaller."""

_NEXT_STEPS = {
    401: "Check DCIPHER_API_KEY or api_key=…, and the API secret if requests are signed.",
    402: "Check the account that the API key belongs to.",
    403: "The API key has no permission for this: ask the owner of the flow for access.",
    404: "There is no such flow or run for this API key: check the ids and the base URL.",
    405: "Check the base URL: it may belong to another service.",
    408: "The service did not receive the request in time: try again.",
    409: "The request conflicts with one in progress: try again in a moment.",
    413: "The parameters are too large for the service: send less at once.",
    415: "Check the base URL: it may belong to another service.",
    422: "Check the parameters against client.flows.get(…).params.",
    425: "The service is not ready for the request: try again in a moment.",
    429: "There were too many requests: send fewer at once, or wait.",
}
_IN_THE_SHELL = {
    401: "Check DCIPHER_API_KEY or the file that contains it, and the API secret if requests are signed.",
    422: "Check the parameters with `dcipher flows get`.",
}
# draft-ietf-httpapi-idempotency-key-header section 2.7: 422 if the key was used for another request,
# 409 if the first request is in progress. The parameters may be valid.
_KEY_NEXT_STEPS = {
    409: "Repeat the same start in a moment. For another start, use another idempotency key.",
    422: "An idempotency key belongs to one start: repeat that one exactly, or use another key.",
}
_OF_KEY = re.compile(r"idempotency.?key", re.IGNORECASE)
_HIDDEN = frozenset(
    {b"set-cookie", b"set-cookie2", b"content-encoding", b"content-length", b"transfer-encoding"}
)


def status_error(received: APIResponse, now: float) -> APIStatusError:
    """Returns the error, of the class for the status."""
    return _error(received, now, status_error_class(received.status_code), *_next_step(received))


def unexpected_status(received: APIResponse, now: float) -> APIStatusError:
    """Returns the error for a status that the OpenAPI document does not list."""
    hint = (
        "The OpenAPI document does not list this status: compare the versions of service and SDK."
    )
    return _error(received, now, UnexpectedStatus, hint)


def _error(
    received: APIResponse,
    now: float,
    cls: type[APIStatusError],
    hint: str,
    shell: str | None = None,
) -> APIStatusError:
    body = _body(received)
    error = error_response(body)
    asked = retry_after(received.headers, now)
    ends = "" if asked is None else f" The service asks to wait for {asked:g} s."
    if received.request_id:
        ends += f" Request id: {received.request_id}."
    failure = cls(
        _message(received, error),
        status_code=received.status_code,
        response=_showable(received, body),
        error=error,
        body=body,
        retry_after=asked,
        request=received.request,
        attempts=received.attempts,
        request_id=received.request_id,
    )
    return with_hint(failure, f"{hint}{ends}", None if shell is None else f"{shell}{ends}")


def _message(received: APIResponse, error: ErrorResponse | None) -> str:
    text = ""
    if error is not None and error.message:
        text = clean(redact_message(error.message, received.secrets))
    elif is_about_an_error(received.status_code, received.headers):
        text = received.excerpt
    parts = [f"{received.request} returned {received.status_code}" + (f": {text}" if text else "")]
    if error is not None and error.field_errors and error.field_errors[0].message not in text:
        parts.append(clean("; ".join(clean(str(field)) for field in error.field_errors[:5]), 400))
    return " ".join(part if part.endswith((".", "!", "?", "…")) else part + "." for part in parts)


def _next_step(received: APIResponse) -> tuple[str, str | None]:
    """Returns the advice for Python, and for the shell where that differs."""
    if received.status_code >= 500:
        return "The service failed: try again later, or report the request id to its support.", None
    if 300 <= received.status_code < 400:
        where = clean(
            _location(received.headers.get("location", "elsewhere"), received.secrets), 120
        )
        return (
            f"It redirects to {where}, which is not followed with an API key. Check base_url.",
            None,
        )
    if received.status_code in _KEY_NEXT_STEPS and _OF_KEY.search(received.text):
        return _KEY_NEXT_STEPS[received.status_code], None
    hint = _NEXT_STEPS.get(received.status_code, "Check the arguments of the call.")
    return hint, _IN_THE_SHELL.get(received.status_code)


def _body(received: APIResponse) -> object:
    """Returns the body as JSON, else as text, else `None`, with secrets and signed URLs redacted.

    Of a body that is too long, it returns the beginning of the text.
    """
    if not received.body.strip():
        return None
    try:
        if len(received.body) <= LONGEST_JSON:
            # Redacted after parsing: JSON may escape any character of a secret.
            return _masked(from_json(received.body), received.secrets)
    except ValueError:
        pass
    return redact_message(received.text, received.secrets, is_cut=received.is_cut)


def _masked(value: object, secrets: Sequence[str]) -> object:
    if isinstance(value, str):
        return redact_message(value, secrets)
    if isinstance(value, list):
        return [_masked(item, secrets) for item in cast("JSONArray", value)]
    if isinstance(value, dict):
        fields = cast("JSONObject", value).items()
        return {redact_message(name, secrets): _masked(item, secrets) for name, item in fields}
    return value


def _showable(received: APIResponse, body: object) -> httpx.Response:
    """Returns the response for the user.

    Its request has only the method and the URL, without the key. It has no cookies.
    """
    content, charset = _content(received, body)
    response = httpx.Response(
        received.status_code,
        # As bytes: a non-ASCII header must not raise an error of its own.
        headers=[
            (name, _header(name, value, received.secrets))
            for name, value in received.headers.raw
            if name.lower() not in _HIDDEN
        ],
        content=content,
        request=httpx.Request(received.request.method, received.request.url),
    )
    if not has_readable_charset(response):
        del response.headers["content-type"]
    response.encoding = charset
    return response


def _header(name: bytes, value: bytes, secrets: Sequence[str]) -> bytes:
    text = value.decode("latin-1")
    redacted = (
        _location(text, secrets) if name.lower() == b"location" else redact_message(text, secrets)
    )
    return redacted.encode("latin-1")


def _location(value: str, secrets: Sequence[str]) -> str:
    return redact(redact_query(value), secrets)


def _content(received: APIResponse, body: object) -> tuple[bytes, str]:
    """Returns the original bytes, unless something in them had to be redacted, and their charset."""
    if len(received.body) > (LONGEST_TEXT if isinstance(body, str) else LONGEST_JSON):
        return str(body).encode("utf-8", "replace"), "utf-8"
    # A repeated name in an object, or text in an undeclared charset, is not in `body`.
    raw = received.body.decode("utf-8", "replace")
    is_clean = redact_message(raw, received.secrets) == raw
    try:
        if from_json(received.body) == body and is_clean:
            return received.body, "utf-8"  # RFC 8259 section 8.1, whatever the Content-Type says
    except ValueError:
        if received.text == body and is_clean:
            return received.body, received.charset
    if body is None or isinstance(body, str):
        return (body or "").encode("utf-8", "replace"), "utf-8"
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), "utf-8"
