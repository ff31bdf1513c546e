"""Errors for an error status: the class, the content of the response, and none of its secrets."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcipher._wire.errors.status_errors import status_error, unexpected_status
from dcipher.errors import (
    APIStatusError,
    AuthenticationError,
    InternalServerError,
    RateLimitError,
    UnexpectedStatus,
    UnprocessableEntityError,
    status_error_class,
)
from tests.wire.messages.made_responses import CUT, INFO, URL, answer, bodies, header_sets

if TYPE_CHECKING:
    from dcipher._wire.messages.responses import APIResponse

KEY = "sk-SECRET-1"


def make(kind: str, said: APIResponse) -> APIStatusError:
    """Return the error of a status that is listed, or of one that is not."""
    return status_error(said, 0.0) if kind == "listed" else unexpected_status(said, 0.0)


def told(error: APIStatusError) -> str:
    """Return all that an error tells, in whatever way."""
    assert error.response is not None
    headers = repr(error.response.headers.raw)
    return (
        f"{error} {error!r} {vars(error)} {error.response.text} {headers} {pickle.dumps(error)!r}"
    )


both = pytest.mark.parametrize("kind", ["listed", "unlisted"])


@pytest.mark.parametrize(("code", "words"), [(422, "use another key"), (409, "in a moment")])
def test_an_idempotency_key_that_was_used(code: int, words: str) -> None:
    """It is the key that is spoken of, and not the parameters."""
    said = answer({"message": "This Idempotency-Key was used for another body."}, code)
    error = str(status_error(said, 0.0))
    assert words in error
    assert "key" in error.partition("body. ")[2]
    assert "parameters" not in error


@pytest.mark.parametrize(
    "code", [300, 304, 400, 401, 403, 404, 408, 409, 418, 422, 429, 499, 500, 503, 599]
)
def test_status_error(code: int) -> None:
    """Each status is its class, with the service's words, and with what to do next."""
    said = answer({"message": "that is why"}, code, {"X-Request-Id": "r-1", "Retry-After": "7"})
    error = status_error(said, 0.0)
    assert type(error) is status_error_class(code)
    assert error.status_code == code
    assert (error.request, error.attempts, error.request_id) == (INFO, 2, "r-1")
    assert error.retry_after == 7.0
    assert error.body == {"message": "that is why"}
    assert error.error is not None
    assert error.error.message == "that is why"
    assert str(error).startswith(f"{INFO} returned {code}: that is why. ")
    assert str(error).endswith("Request id: r-1.")
    assert error.response is not None
    assert error.response.status_code == code
    assert error.response.json() == error.body
    assert error.response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("body", "parsed", "shown"),
    [
        (b"", None, "returned 502. The service failed"),
        (
            b"<html>\n<h1>Bad\x1b[31m gateway</h1>",
            "<html>\n<h1>Bad\x1b[31m gateway</h1>",
            "Bad [31m",
        ),
        (b"[1]", [1], "returned 502: [1]."),
        (b'"down"', "down", '"down"'),
        (b"\xff\xfe", "\ufffd\ufffd", "\ufffd\ufffd"),
        (b"{broken", "{broken", "{broken"),
        (b'{"code": 5}', {"code": 5}, '{"code": 5}'),
    ],
)
def test_an_error_page_of_any_kind(body: bytes, parsed: object, shown: str) -> None:
    """HTML, nothing, other JSON and rubbish are still the error of their status."""
    error = status_error(answer(body, 502), 0.0)
    assert type(error) is InternalServerError
    assert error.body == parsed
    assert error.error is None
    assert shown in str(error)


def test_an_error_page_of_megabytes_is_cut() -> None:
    """At most 200 characters of a page stand in the message."""
    error = status_error(answer(b"<html>" + b"x" * 5_000_000, 500), 0.0)
    assert 200 < len(str(error)) < 500


def test_what_is_wrong_with_which_field_is_said() -> None:
    """A 422 names the fields, five at most."""
    detail = [{"loc": ["body", n], "msg": f"bad {n}", "type": "t"} for n in range(9)]
    error = status_error(answer({"detail": detail}, 422), 0.0)
    assert isinstance(error, UnprocessableEntityError)
    assert error.error is not None
    assert len(error.error.field_errors) == 9
    assert "body.4: bad 4" in str(error)


def test_a_redirect_is_told_not_followed() -> None:
    """A redirect of the API says where to, without the query."""
    error = status_error(answer(b"", 307, {"location": "https://u:p@o/p?token=SECRET"}), 0.0)
    assert "It redirects to https://o/p?[redacted]" in str(error)
    assert "SECRET" not in str(error)
    assert "elsewhere" in str(status_error(answer(b"", 302), 0.0))


def test_an_error_repeats_no_secret() -> None:
    """A service that echoes the key does not put it into the error, its parts, or its pickle."""
    key = "sk-SECRET-1"
    headers = {"x-request-id": key, "x-echo": key, "set-cookie": "session=COOKIE"}
    error = status_error(
        answer({"message": f"bad key {key}", key: key}, 401, headers, (key, "")), 0.0
    )
    assert isinstance(error, AuthenticationError)
    assert error.response is not None
    told = [
        str(error),
        repr(error),
        repr(vars(error)),
        error.response.text,
        repr(error.response.headers),
    ]
    assert "bad key [redacted]" in str(error)
    for text in (*told, str(pickle.dumps(error))):
        assert "SECRET" not in text
        assert "COOKIE" not in text


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("sk/SECRET", b'{"message": "bad key sk\\/SECRET"}'),
        ("sk+SECRET", b'{"message": "bad key sk\\u002BSECRET"}'),
        ('sk"SECRET', b'{"message": "bad key sk\\"SECRET"}'),
    ],
    ids=["PHP", ".NET", "quote"],
)
def test_an_error_repeats_no_escaped_secret(key: str, body: bytes) -> None:
    """A key that JSON writes with escapes, as PHP and .NET do, is masked all the same."""
    error = status_error(answer(body, 401, secrets=(key,)), 0.0)
    assert error.response is not None
    for text in (str(error), str(error.body), repr(error.error), error.response.json()["message"]):
        assert key not in text


@pytest.mark.parametrize("value", ["Zürich".encode(), "Zürich".encode("latin-1")])
def test_a_header_that_is_no_ascii_hides_no_status(value: bytes) -> None:
    """RFC 9110 section 5.5 allows obs-text in a header: it must not hide the status."""
    headers = httpx.Headers([(b"x-served-by", value)])
    assert isinstance(status_error(answer(b"", 429, headers), 0.0), RateLimitError)


def test_no_key_is_in_the_errors_request() -> None:
    """The request of an error is its method and URL, and nothing that went with it."""
    error = status_error(answer(b"", 500), 0.0)
    assert error.response is not None
    assert error.response.request.method == "POST"
    assert error.response.request.url == INFO.url
    assert "authorization" not in error.response.request.headers


# Listed or not, the same is told, and the same is not


def test_unexpected_status() -> None:
    """Everything that an error of a status has, and that the document does not list it."""
    said = answer({"message": "teapot"}, 418, {"Retry-After": "7", "X-Request-Id": "r-1"})
    error = unexpected_status(said, 0.0)
    assert type(error) is UnexpectedStatus
    assert (error.status_code, error.request, error.attempts) == (418, INFO, 2)
    assert error.body == {"message": "teapot"}
    assert error.error is not None
    assert error.error.message == "teapot"
    assert (error.retry_after, error.request_id) == (7.0, "r-1")
    assert error.content == b'{"message": "teapot"}'
    assert str(error).startswith(f"{INFO} returned 418: teapot. ")
    assert "The OpenAPI document does not list this status" in str(error)
    assert str(error).endswith("Request id: r-1.")


@pytest.mark.parametrize(
    ("content", "body"),
    [(b"", None), (b"<html>", "<html>"), (b"[1]", [1]), (b"\xff", "\ufffd"), (b"{", "{")],
)
def test_an_unexpected_body_of_any_kind(content: bytes, body: object) -> None:
    """JSON as JSON, text as text, nothing as nothing."""
    error = unexpected_status(answer(content, 418), 0.0)
    assert (error.body, error.error) == (body, None)


@both
@pytest.mark.parametrize(
    "said",
    [
        answer({"message": f"bad key {KEY}"}, 418, secrets=(KEY,)),
        answer({"detail": [{"loc": [KEY], "msg": KEY}]}, 418, secrets=(KEY,)),
        answer({KEY: [{KEY: KEY}]}, 418, secrets=(KEY,)),
        answer(f"<html>{KEY}".encode(), 418, secrets=(KEY,)),
        answer(b"", 418, {"x-request-id": KEY, "x-echo": f"a {KEY}"}, secrets=(KEY,)),
        answer({"message": "no"}, 418, {"set-cookie": f"s={KEY}", "Set-Cookie2": KEY}),
    ],
    ids=["message", "fields", "names", "text", "headers", "cookies"],
)
def test_no_error_repeats_the_key(kind: str, said: APIResponse) -> None:
    """A service that echoes the key does not put it into the error, whatever the status."""
    assert "SECRET" not in told(make(kind, said))


@both
def test_the_longer_of_two_secrets_is_masked_whole(kind: str) -> None:
    """A secret that begins with another one leaves no tail, in body and headers alike."""
    said = answer(b"sk-1.tail", 418, {"x-echo": "sk-1.tail"}, ("sk-1", "sk-1.tail"))
    assert "tail" not in told(make(kind, said))


@both
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://o/p?token=SECRET", "https://o/p?[redacted]"),
        ("https://u:SECRET@o/p", "https://o/p"),
        ("//u:SECRET@o/p#SECRET", "//o/p?[redacted]"),
        ("/p?SECRET", "/p?[redacted]"),
        ("/p", "/p"),
    ],
)
def test_where_an_answer_points_to_is_masked(kind: str, location: str, shown: str) -> None:
    """Neither the query nor the user info of a `Location` is kept in the error's response."""
    error = make(kind, answer(b"", 307, {"Location": location}))
    assert error.response is not None
    assert error.response.headers["location"] == shown
    assert "SECRET" not in told(error)


@both
def test_a_location_repeats_no_key(kind: str) -> None:
    """A key in the path that an answer points to is masked like anywhere else."""
    assert "SECRET" not in told(
        make(kind, answer(b"", 307, {"location": f"https://o/{KEY}/p"}, (KEY,)))
    )


@both
@pytest.mark.parametrize(
    "header",
    [
        ("content-location", "https://s/r?sig=SIGNATURE"),
        ("link", "<https://s/r?sig=SIGNATURE>; rel=next"),
        ("refresh", "0; url=https://s/r?sig=SIGNATURE"),
    ],
    ids=lambda header: header[0],
)
def test_no_header_keeps_a_signature(kind: str, header: tuple[str, str]) -> None:
    """The query of a URL in any header is not kept in the error's response."""
    assert "SIGNATURE" not in told(make(kind, answer(b"", 418, dict([header]))))


@both
def test_a_cut_answer_does_not_show_its_signed_url(kind: str) -> None:
    """The text of the error for an answer that breaks off behind a URL holds no signature."""
    assert "SIGNATURE" not in str(make(kind, answer(CUT, 500)))


@both
@pytest.mark.parametrize(
    "body",
    [
        CUT,
        {"taskId": "t", "signedResponseURL": URL.replace("=S", "=SIGNATURE")},
        {"message": "cannot write https://s/r?X-Amz-Signature=SIGNATURE"},
    ],
    ids=["text", "field", "message"],
)
def test_no_error_keeps_a_signed_url(kind: str, body: object) -> None:
    """A signed URL in an error answer is in no part of the error: text, body, response, pickle."""
    assert "SIGNATURE" not in told(make(kind, answer(body, 500)))


@both
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'"down"', "application/json"),
        ("Zürich".encode("latin-1"), "text/plain; charset=latin-1"),
        (b"\xff\xfe", "application/octet-stream"),
    ],
    ids=["JSON text", "latin-1", "bytes"],
)
def test_the_bytes_stay_where_nothing_is_secret(kind: str, body: bytes, content_type: str) -> None:
    """A body that repeats no secret is in the error's response byte for byte, fit for its type."""
    error = make(kind, answer(body, 502, {"content-type": content_type}, (KEY,)))
    assert error.response is not None
    assert error.response.content == body


@both
@pytest.mark.parametrize("body", [b'{"a" :  1.0}', b'{"message": NaN}', b"[]", b"0", b"<p>"])
def test_the_bytes_of_json_stay(kind: str, body: bytes) -> None:
    """Blanks and the form of numbers stay as the service wrote them."""
    error = make(kind, answer(body, 502, secrets=(KEY,)))
    assert error.response is not None
    assert error.response.content == body


@both
def test_a_masked_body_is_json_still(kind: str) -> None:
    """What is left of a body that repeated a secret is parsed as before."""
    error = make(kind, answer({"message": f"é {KEY}", "n": [1, None]}, 401, secrets=(KEY,)))
    assert error.response is not None
    assert error.response.json() == error.body == {"message": "é [redacted]", "n": [1, None]}
    assert error.response.headers["content-length"] == str(len(error.response.content))


@both
def test_the_response_is_not_decoded_again(kind: str) -> None:
    """The body is decoded already: the headers that say otherwise are left out."""
    headers = {"content-encoding": "gzip", "transfer-encoding": "chunked", "content-length": "99"}
    error = make(kind, answer(b"{}", 500, headers))
    assert error.response is not None
    assert dict(error.response.headers) == {"content-length": "2"}
    assert error.response.json() == {}


@both
def test_a_body_too_deep_hides_no_status(kind: str) -> None:
    """A nest of brackets is a body like any other that is no JSON."""
    assert make(kind, answer(b"[" * 200_000, 418)).status_code == 418


@both
@pytest.mark.parametrize("charset", ["hex", "undefined", "zlib"])
def test_a_strange_charset_hides_no_status(kind: str, charset: str) -> None:
    """A charset that Python knows and that decodes no text does not hide the status."""
    said = answer(b"xyz", 418, {"content-type": f"text/plain; charset={charset}"})
    assert make(kind, said).status_code == 418


@both
@given(bodies, st.integers(100, 999), header_sets, st.lists(st.text(max_size=4), max_size=2))
@settings(max_examples=100, deadline=None)
@example(b'{"detail": [{"loc": [1.5, null, {}], "msg": "x"}]}', 422, {}, [])
@example(b'{"message": NaN, "n": %s}' % (b"1" * 4000), 500, {}, ["1"])
@example(b'{"message": "\\ud800"}', 500, {}, ["x"])
def test_any_answer_is_told(
    kind: str, body: bytes, status_code: int, headers: dict[str, str], secrets: list[str]
) -> None:
    """Whatever body, status and headers: an error that can be printed and pickled."""
    error = make(kind, answer(body, status_code, headers, tuple(secrets)))
    assert error.status_code == status_code
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    str(error).encode()
