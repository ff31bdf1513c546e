"""Responses of the API as bytes: decoded, parsed, and displayed without secrets."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._wire.messages.responses import MAX_BODY, decoded
from dcipher.errors import InvalidResponseError
from tests.wire.messages.made_responses import INFO, answer


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", ""),
        (b"\xef\xbb\xbf{}", "identity"),
        (gzip.compress(b"\xef\xbb\xbf{}", mtime=0), "gzip"),
        (gzip.compress(b"{", mtime=0) + gzip.compress(b"}", mtime=0), "GZip"),
        (zlib.compress(b"{}"), "deflate"),
    ],
)
def test_decoded(body: bytes, encoding: str) -> None:
    """Neither the encoding nor a byte order mark is part of the body."""
    assert decoded(body, encoding) == b"{}"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "br"),
        (b"{}", "gzip"),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip"),
        (gzip.compress(bytes(MAX_BODY + 1), mtime=0), "gzip"),
    ],
)
def test_what_cannot_be_decoded(body: bytes, encoding: str) -> None:
    """Unknown, broken, cut and exploding encodings are ValueErrors."""
    with pytest.raises(ValueError, match=r"encoding|compressed|expand"):
        decoded(body, encoding)


@given(st.binary(max_size=300), st.text(max_size=12) | st.sampled_from(["gzip", "deflate"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(body: bytes, encoding: str) -> None:
    """Whatever the bytes and the encoding: bytes, or ValueError."""
    try:
        assert isinstance(decoded(body, encoding), bytes)
    except ValueError:
        assert encoding  # without one, nothing can be broken


def test_an_answer_can_be_replaced() -> None:
    """An answer is a value: the shell gives it its body when that is decoded."""
    assert replace(answer(b""), body=b"x").body == b"x"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b" a\r\n\x1b[31mb ", "a [31mb"),
        (b"key sk-SECRET", "key [redacted]"),
        (b"see https://s/r?sig=SIGNATURE now", "see https://s/r?[redacted] now"),
        (b'{"u":"https:\\/\\/s\\/r?sig=SIGNATURE"}', r'{"u":"https:\/\/s\/r?[redacted]"}'),
        (b"https://s/r?" + b"x" * 10_000_000 + b"SIGNATURE", "https://s/r?[redacted]"),
        (b"x" * 10_000_000, "x" * 199 + "…"),
        (b"\xff", "\ufffd"),
    ],
    ids=["nothing", "controls", "key", "URL", "escaped URL", "long URL", "long", "no UTF-8"],
)
def test_excerpt(body: bytes, shown: str) -> None:
    """At most 200 clean characters, in which neither a secret nor the query of a URL stands."""
    assert answer(body, secrets=("sk-SECRET",)).excerpt == shown


def test_an_excerpt_shows_no_part_of_a_secret() -> None:
    """A secret that lies across the place where the body is cut is not shown in part."""
    body = b"https://s/r?" + b"x" * 4071 + b" key sk-SECRET"
    assert "sk-" not in answer(body, secrets=("sk-SECRET",)).excerpt


@pytest.mark.parametrize(
    ("headers", "shown"),
    [({}, None), ({"X-Request-Id": "r-1"}, "r-1"), ({"x-request-id": "sk-SECRET"}, "[redacted]")],
)
def test_request_id(headers: dict[str, str], shown: str | None) -> None:
    """The service's name for the request, without secrets; none where it gives none."""
    assert answer(headers=headers, secrets=("sk-SECRET",)).request_id == shown


def test_invalid() -> None:
    """A success that is none says which request, which status, why, and what to check."""
    error = answer(status_code=201, headers={"x-request-id": "r-1"}).invalid("because")
    assert isinstance(error, InvalidResponseError)
    assert str(error).startswith(f"{INFO} returned 201, but because. Check base_url")
    assert (error.request, error.attempts, error.request_id) == (INFO, 2, "r-1")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"no JSON: sk-SECRET", "the body is not JSON (text/plain): 'no JSON: [redacted]'"),
        (b"", "the body is empty"),
        (b"[]", "the body is a JSON list instead of an object"),
    ],
)
def test_what_is_no_json_object(body: bytes, why: str) -> None:
    """The error says what came instead, and of what type, without secrets."""
    said = answer(body, headers={"content-type": "text/plain"}, secrets=("sk-SECRET",))
    with pytest.raises(InvalidResponseError) as caught:
        said.json_object()
    assert f"but {why}. " in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "is_shown"),
    [
        ("text/html; charset=utf-8", True),
        ("text/plain", True),
        ("application/json", False),
        ("application/problem+json", False),
        ("text/csv", False),
        ("", False),
    ],
)
def test_a_success_that_breaks_off_shows_nothing_of_itself(kind: str, is_shown: bool) -> None:
    """A page of something in between is quoted; JSON that is cut may hold the caller's values."""
    headers = {"content-type": kind} if kind else {}
    with pytest.raises(InvalidResponseError) as caught:
        answer(b'{"name": "canary', headers=headers).json_object()
    assert ("canary" in str(caught.value)) is is_shown
