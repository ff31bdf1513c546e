"""Responses for the tests of responses."""

from __future__ import annotations

import json

import httpx
from hypothesis import strategies as st

from dcipher._wire.messages.responses import APIResponse
from dcipher.errors import RequestInfo

INFO = RequestInfo("POST", "https://api.example.com/flows/f/run")
URL = "https://store.example.com/r?X-Amz-Date=20240102T030405Z&X-Amz-Expires=60&X-Amz-Signature=S"
CUT = b'{"signedResponseURL":"https://s/r?X-Amz-Signature=SIGNATURE'
"""An answer that broke off behind its URL."""


def answer(
    body: object = b"",
    status_code: int = 200,
    headers: dict[str, str] | httpx.Headers | None = None,
    secrets: tuple[str, ...] = (),
) -> APIResponse:
    """Return an answer; what is not bytes already becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return APIResponse(status_code, httpx.Headers(headers), content, INFO, 2, secrets)


_NAMES = [
    *("taskId", "status", "message", "id", "params", "name", "detail", "errors", "error", "loc"),
    *("msg", "type", "title", "self", "signedResponseURL", "signedResponseURLs"),
]
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5)
    ),
    max_leaves=10,
)
bodies = st.binary(max_size=60) | _values.map(lambda value: json.dumps(value).encode())
_ascii = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)
header_sets = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "location", "x-request-id", "etag"]),
    _ascii | st.sampled_from(["text/html; charset=hex", "application/json;charset=utf-16"]),
)
