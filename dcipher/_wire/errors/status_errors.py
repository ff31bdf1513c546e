"""The error for a status that is no success, with all that the answer says, and without its secrets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias, cast

import httpx
from pydantic_core import from_json

from dcipher._masking.text import clean, redact, redact_query, unsigned
from dcipher._wire.messages.answers import LONGEST_TEXT, has_readable_charset
from dcipher.errors import APIStatusError, UnexpectedStatus, status_error_class

from .error_bodies import error_response, is_about_an_error
from .retries import retry_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher._wire.messages.answers import Answer, JSONObject
    from dcipher.models import ErrorResponse

__all__ = ["status_error", "unexpected_status"]

JSONArray: TypeAlias = "list[object]"

LONGEST_JSON = 262_144
"""Bytes of a body that are parsed: an error says less."""

_NEXT_STEPS = {
    401: "Check DCIPHER_API_KEY or api_key=…, and the secret where requests are signed.",
    402: "Check the account that the API key belongs to.",
    403: "This API key may not do that: ask the flow's owner for access.",
    404: "Check the ids, and the base URL: there is no such flow or run for this API key.",
    405: "Check the base URL: it may lead to another service.",
    408: "The service did not get the request in time: try again.",
    409: "It collides with something that is going on: try again in a moment.",
    413: "The parameters are too large for the service: send less at once.",
    415: "Check the base URL: it may lead to another service.",
    422: "Check the parameters against client.flows.get(…).params.",
    425: "The service is not ready for it: try again in a moment.",
    429: "Too many requests: send fewer at once, or wait.",
}
# draft-ietf-httpapi-idempotency-key-header section 2.7: 422 where it was used for another request,
# 409 where the first one is still under way. The parameters may be as right as they can be.
_KEY_NEXT_STEPS = {
    409: "Try the same start again in a moment; for another start, use another idempotency key.",
    422: "An idempotency key belongs to one start: repeat that one exactly, or use another key.",
}
_OF_KEY = re.compile(r"idempotency.?key", re.IGNORECASE)
_HIDDEN = frozenset(
    {b"set-cookie", b"set-cookie2", b"content-encoding", b"content-length", b"transfer-encoding"}
)


def status_error(answer: Answer, now: float) -> APIStatusError:
    """The error of the class that belongs to the status."""
    return _error(answer, now, status_error_class(answer.status_code), _next_step(answer))


def unexpected_status(answer: Answer, now: float) -> APIStatusError:
    """The error for a status that the OpenAPI document does not list."""
    hint = (
        "The OpenAPI document does not list that status: compare the versions of service and SDK."
    )
    return _error(answer, now, UnexpectedStatus, hint)


def _error(answer: Answer, now: float, cls: type[APIStatusError], next_step: str) -> APIStatusError:
    body = _body(answer)
    error = error_response(body)
    asked = retry_after(answer.headers, now)
    if asked is not None:
        next_step += f" The service asks to wait {asked:g} s."
    return cls(
        _message(answer, error, next_step),
        status_code=answer.status_code,
        response=_showable(answer, body),
        error=error,
        body=body,
        retry_after=asked,
        request=answer.request,
        attempts=answer.attempts,
        request_id=answer.request_id,
    )


def _message(answer: Answer, error: ErrorResponse | None, next_step: str) -> str:
    said = ""
    if error is not None and error.message:
        said = clean(unsigned(error.message, answer.secrets))
    elif is_about_an_error(answer.status_code, answer.headers):
        said = answer.excerpt
    parts = [f"{answer.request} answered {answer.status_code}" + (f": {said}" if said else "")]
    if error is not None and error.field_errors and error.field_errors[0].message not in said:
        parts.append(clean("; ".join(clean(str(field)) for field in error.field_errors[:5]), 400))
    parts.append(next_step)
    if answer.request_id:
        parts.append(f"Request id: {answer.request_id}.")
    return " ".join(part if part.endswith((".", "!", "?", "…")) else part + "." for part in parts)


def _next_step(answer: Answer) -> str:
    if answer.status_code >= 500:
        return "The service failed: try again later, and tell its support the request id."
    if 300 <= answer.status_code < 400:
        where = clean(_location(answer.headers.get("location", "elsewhere"), answer.secrets), 120)
        return f"It points to {where}; redirects are not followed with an API key: check base_url."
    if answer.status_code in _KEY_NEXT_STEPS and _OF_KEY.search(answer.text):
        return _KEY_NEXT_STEPS[answer.status_code]
    return _NEXT_STEPS.get(answer.status_code, "Check the arguments of the call.")


def _body(answer: Answer) -> object:
    """The body as JSON, else as text, else `None`; secrets and signed URLs in it are masked.

    A body that is too long for an error is the beginning of its text.
    """
    if not answer.body.strip():
        return None
    try:
        if len(answer.body) <= LONGEST_JSON:
            # Masked after parsing: JSON may write any character of a secret as an escape.
            return _masked(from_json(answer.body), answer.secrets)
    except ValueError:
        pass
    return unsigned(answer.text, answer.secrets, is_cut=answer.is_cut)


def _masked(value: object, secrets: Sequence[str]) -> object:
    if isinstance(value, str):
        return unsigned(value, secrets)
    if isinstance(value, list):
        return [_masked(item, secrets) for item in cast("JSONArray", value)]
    if isinstance(value, dict):
        fields = cast("JSONObject", value).items()
        return {unsigned(name, secrets): _masked(item, secrets) for name, item in fields}
    return value


def _showable(answer: Answer, body: object) -> httpx.Response:
    """The answer for the user.

    Of the request, only the method and the URL, so that no key is in it; no cookies either.
    """
    content, charset = _content(answer, body)
    response = httpx.Response(
        answer.status_code,
        # As bytes: a header that is not ASCII must not hide the status.
        headers=[
            (name, _header(name, value, answer.secrets))
            for name, value in answer.headers.raw
            if name.lower() not in _HIDDEN
        ],
        content=content,
        request=httpx.Request(answer.request.method, answer.request.url),
    )
    if not has_readable_charset(response):
        del response.headers["content-type"]
    response.encoding = charset
    return response


def _header(name: bytes, value: bytes, secrets: Sequence[str]) -> bytes:
    text = value.decode("latin-1")
    shown = _location(text, secrets) if name.lower() == b"location" else unsigned(text, secrets)
    return shown.encode("latin-1")


def _location(value: str, secrets: Sequence[str]) -> str:
    return redact(redact_query(value), secrets)


def _content(answer: Answer, body: object) -> tuple[bytes, str]:
    """The body's own bytes, unless something in them had to be masked; and their charset."""
    if len(answer.body) > (LONGEST_TEXT if isinstance(body, str) else LONGEST_JSON):
        return str(body).encode("utf-8", "replace"), "utf-8"
    # A name that is in an object twice, and text in another charset than is said: none is in `body`.
    raw = answer.body.decode("utf-8", "replace")
    is_clean = unsigned(raw, answer.secrets) == raw
    try:
        if from_json(answer.body) == body and is_clean:
            return answer.body, "utf-8"  # RFC 8259 section 8.1, whatever the Content-Type says
    except ValueError:
        if answer.text == body and is_clean:
            return answer.body, answer.charset
    if body is None or isinstance(body, str):
        return (body or "").encode("utf-8", "replace"), "utf-8"
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), "utf-8"
