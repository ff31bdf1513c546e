"""The requests of the API: one function an operation.

Invalid arguments are rejected here, before anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote

from dcipher._masking.text import clean
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

from .params import Params, params_body

__all__ = ["Operation", "Params", "get_flow", "run_status", "start_run"]

LONGEST_ID = 1024


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the API, ready to be sent, and what an error needs to know of it."""

    name: str
    """`start`, `status` or `flow`."""
    method: str
    target: str
    """Path and query, relative to the base URL, already quoted."""
    content: bytes | None = field(default=None, repr=False)
    """The body: serialized once, the same bytes for the digest, the signature and every attempt."""
    flow_id: str = ""
    task_id: str | None = None
    idempotency_key: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets to redact if the response repeats them: secret params, and signatures of URLs."""


def get_flow(flow_id: str) -> Operation:
    """GET /flows/{flow_id}."""
    return Operation("flow", "GET", f"/flows/{_segment('flow_id', flow_id)}", flow_id=flow_id)


def start_run(flow_id: str, params: Params | None, idempotency_key: str) -> Operation:
    """POST /flows/{flow_id}/run."""
    secrets: list[str] = []
    return Operation(
        "start",
        "POST",
        f"/flows/{_segment('flow_id', flow_id)}/run",
        content=params_body(params, secrets),
        flow_id=flow_id,
        idempotency_key=_checked_key(idempotency_key),
        secrets=tuple(secrets),
    )


def run_status(flow_id: str, task_id: str, secrets: tuple[str, ...] = ()) -> Operation:
    """GET /flows/{flow_id}/status?taskId=…: the task id is a query parameter.

    `secrets`: those of the run's URLs, as far as they are known.
    """
    path = f"/flows/{_segment('flow_id', flow_id)}/status"
    query = f"taskId={_segment('task_id', task_id)}"
    target = f"{path}?{query}"
    return Operation("status", "GET", target, flow_id=flow_id, task_id=task_id, secrets=secrets)


def _segment(what: str, value: object) -> str:
    """Returns `value` as exactly one path segment (or query value).

    httpx would resolve `../../admin` to another path and cut `a?x=1#`, so everything is quoted. Dot
    segments are rejected, because they have a meaning after decoding, too (RFC 3986 section 3.3).
    """
    if not isinstance(value, str):
        raise InvalidParamsError(f"{what} must be a str, not {type(value).__name__}.")
    return _quoted(what, value)


@lru_cache(maxsize=1024)  # a run is polled many times
def _quoted(what: str, value: str) -> str:
    if not value.strip():
        raise with_hint(InvalidParamsError(f"{what} is empty."), "Pass the id that Dcipher shows.")
    if len(value) > LONGEST_ID:
        raise InvalidParamsError(f"{what} is not an id: it has more than {LONGEST_ID} characters.")
    decoded = _decoded(value)
    if not decoded.isprintable():
        raise InvalidParamsError(
            f"{what} {clean(value)!r} contains characters that cannot be printed."
        )
    if {".", ".."} & {*decoded.replace("\\", "/").split("/")}:
        raise InvalidParamsError(f"{what} {clean(value)!r} is a path, not an id.")
    return quote(value, safe="")


def _decoded(value: str) -> str:
    """Returns `value` percent-decoded, repeatedly if it was encoded repeatedly."""
    while (once := unquote(value)) != value:
        value = once
    return value


def _checked_key(key: object) -> str:
    """Returns an `Idempotency-Key` that a header can contain: visible ASCII, up to 255 characters."""
    if not isinstance(key, str):
        raise InvalidParamsError(f"idempotency_key must be a str, not {type(key).__name__}.")
    if not 0 < len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise InvalidParamsError(
            "idempotency_key must be 1 to 255 visible ASCII characters, without blanks."
        )
    return key
