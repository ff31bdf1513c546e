"""What the shipped OpenAPI document promises: which statuses an operation may answer with."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import RequestInfo, UnexpectedStatus
from .error_bodies import error_response
from .retries import retry_after
from .text import clean, redact_query

if TYPE_CHECKING:
    import httpx

__all__ = ["is_documented", "unexpected_status"]


@lru_cache(maxsize=1)
def _operations() -> tuple[tuple[str, re.Pattern[str], frozenset[int]], ...]:
    """(method, path, statuses) of every operation in the document."""
    from importlib.resources import files

    document: dict[str, Any] = json.loads(
        (files("dcipher") / "_core" / "openapi.json").read_bytes()
    )
    return tuple(
        (method.upper(), _pattern(path), frozenset(int(code) for code in operation["responses"]))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


def is_documented(method: str, path: str, status_code: int) -> bool:
    """Whether the document lists the status for the operation.

    For a path that it does not know: for any operation.
    """
    of_the_operation = [
        statuses for verb, pattern, statuses in _operations()
        if verb == method.upper() and pattern.fullmatch(path)
    ]  # fmt: skip
    candidates = of_the_operation or [statuses for _, _, statuses in _operations()]
    return any(status_code in statuses for statuses in candidates)


def unexpected_status(
    request: httpx.Request, response: httpx.Response, now: float
) -> UnexpectedStatus:
    """The error for an answer whose body was read."""
    import httpx

    info = RequestInfo(request.method, redact_query(str(request.url)))
    try:
        body: object = response.json()
    except ValueError:
        body = response.text or None
    return UnexpectedStatus(
        f"{info} answered {response.status_code}, which the OpenAPI document does not list: "
        f"{clean(response.text)!r}. Compare the versions of the service and of dcipher.",
        status_code=response.status_code,
        # A fresh one: its request holds the method and the URL alone, no key.
        response=httpx.Response(
            response.status_code,
            headers=[pair for pair in response.headers.raw if pair[0].lower() == b"content-type"],
            content=response.content,
            request=httpx.Request(info.method, info.url),
        ),
        error=error_response(body),
        body=body,
        retry_after=retry_after(response.headers, now),
        request=info,
        request_id=response.headers.get("x-request-id"),
    )
