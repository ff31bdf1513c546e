"""Result files: ranges, conditions, signed URLs; the decisions as tables, then over a socket."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import BaseModel

from dcipher._concurrency.clock import monotonic
from dcipher.emulator import Emulator, Result
from dcipher.emulator.faults import WrongRange
from dcipher.emulator.faults.messages import Call
from dcipher.emulator.runs.results import ResultURLs, Selection, StoredResult, select

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[Emulator], httpx.Client]
    Start = Callable[..., httpx.Response]
    Finish = Callable[[httpx.Client, str, httpx.Response], dict[str, str]]

ETAG = '"abc"'
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
WHOLE = Selection(200, 0, 10)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-3", Selection(206, 0, 4)),
        ("bytes=4-", Selection(206, 4, 10)),
        ("bytes=9-99", Selection(206, 9, 10)),
        ("Bytes = 1-1 ", Selection(206, 1, 2)),
        ("bytes=-3", Selection(206, 7, 10)),
        ("bytes=-99", Selection(206, 0, 10)),
        ("bytes=10-", Selection(416)),
        ("bytes=10-12", Selection(416)),
        ("bytes=-0", Selection(416)),
        ("bytes=5-4", WHOLE),
        ("bytes=0-1,3-4", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=٣-٤", WHOLE),
        ("bytes=--3", WHOLE),
        ("items=0-3", WHOLE),
        ("bytes=" + "9" * 101 + "-", WHOLE),
    ],
)
def test_a_range_selects_bytes(header: str, expected: Selection) -> None:
    """RFC 9110 section 14: one byte range is honoured, an invalid one is ignored."""
    assert select({"range": header}, size=10, etag=ETAG, modified=MODIFIED) == expected


@pytest.mark.parametrize("unit", ["bytes=", " ", "0", "0 ", "-", "- ", ",", '"'])
def test_the_time_of_a_range_is_linear(unit: str) -> None:
    """No header takes quadratic time, which would be an hour here."""
    began = monotonic()
    for before in ("", "bytes=", "bytes = 1"):
        header = before + unit * (512 * 1024 // len(unit)) + "x"
        select({"range": header, "if-match": header}, size=10, etag=ETAG, modified=MODIFIED)
        select({"range": header}, size=10, etag=ETAG, modified=MODIFIED)
        call = Call("result", "/", "", "", {"range": header}, "")
        WrongRange(1).request(replace(call, stored=StoredResult(b"abc", "", b"", 0.0)))
    assert monotonic() - began < 60


@pytest.mark.parametrize(
    ("header", "expected"),
    [("bytes=0-", Selection(416)), ("bytes=-5", Selection(200)), ("bytes=-0", Selection(416))],
)
def test_an_empty_file_has_no_ranges(header: str, expected: Selection) -> None:
    """Of nothing there is no part, and its suffix is all of it."""
    assert select({"range": header}, size=0, etag=ETAG, modified=MODIFIED) == expected


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-match": ETAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f'"x", {ETAG}'}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-match": f"W/{ETAG}"}, 412),
        ({"if-match": "abc"}, 412),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": f"W/{ETAG}"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-match": '"x"', "if-none-match": ETAG}, 412),
        ({"if-none-match": ETAG, "range": "bytes=0-1"}, 304),
        ({"range": "bytes=0-1", "if-range": ETAG}, 206),
        ({"range": "bytes=0-1", "if-range": f"W/{ETAG}"}, 200),
        ({"range": "bytes=0-1", "if-range": '"x"'}, 200),
        ({"range": "bytes=0-1", "if-range": MODIFIED}, 206),
        ({"range": "bytes=0-1", "if-range": "Sun, 06 Nov 1994 08:49:38 GMT"}, 200),
        ({"range": "bytes=0-1", "if-range": "yesterday"}, 200),
        ({"range": "bytes=99-", "if-range": '"x"'}, 200),
        ({"range": "bytes=0-1", "if-match": ETAG}, 206),
    ],
)
def test_conditions_are_weighed_in_order(headers: dict[str, str], status: int) -> None:
    """RFC 9110 section 13: If-Match, then If-None-Match, then Range with If-Range."""
    assert select(headers, size=10, etag=ETAG, modified=MODIFIED).status == status


class _Row(BaseModel):
    term: str


@dataclass
class _Point:
    x: float


@pytest.mark.parametrize(
    ("value", "content", "content_type"),
    [
        ("é", "é".encode(), "text/plain; charset=utf-8"),
        (b"\x00", b"\x00", "application/octet-stream"),
        (bytearray(b"a"), b"a", "application/octet-stream"),
        (Result(b"a,b\n", "text/csv"), b"a,b\n", "text/csv"),
        (None, b"null", "application/json"),
        ([_Row(term="a")], b'[{"term":"a"}]', "application/json"),
        (_Point(float("nan")), b'{"x":null}', "application/json"),
    ],
)
def test_the_return_value_of_a_flow_is_a_file(
    value: object, content: bytes, content_type: str
) -> None:
    """Text and bytes are the file unchanged, a Result has its own type, and other values are valid JSON."""
    assert Result.of(value) == Result(content, content_type)


def test_validators_are_of_the_content() -> None:
    """The same bytes have the same strong ETag, others another one."""
    one = StoredResult.of(Result(b"1"), modified=0)
    assert one.etag == StoredResult.of(Result(b"1"), modified=9).etag
    assert one.etag != StoredResult.of(Result(b"2"), modified=0).etag
    assert one.headers["last-modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    digest = base64.b64encode(hashlib.sha256(b"1").digest()).decode()
    assert one.headers["repr-digest"] == f"sha-256=:{digest}:"


def test_a_signed_path_cannot_be_changed() -> None:
    """Another task, index, expiry or emulator makes the signature wrong."""
    urls = ResultURLs(lifetime=10)
    query = parse_qs(urlsplit(urls.path("t", 0, now=100.5)).query)
    expires, signature = query["Expires"][0], query["Signature"][0]
    assert expires == "111"
    assert urls.genuine("t", "0", expires, signature)
    assert not urls.genuine("u", "0", expires, signature)
    assert not urls.genuine("t", "1", expires, signature)
    assert not urls.genuine("t", "0", "112", signature)
    assert not urls.genuine("t", "0", expires, "é")
    assert not ResultURLs(lifetime=10).genuine("t", "0", expires, signature)


@pytest.mark.parametrize(("lifetime", "expires"), [(0, "100"), (-5, "95"), (0.1, "101")])
def test_a_lifetime_of_zero_has_passed(lifetime: float, expires: str) -> None:
    """A lifetime is rounded up to a second, but 0 is 0."""
    assert f"Expires={expires}&" in ResultURLs(lifetime=lifetime).path("t", 0, now=100.4)


@pytest.fixture
def url(emulator: Emulator, client: httpx.Client, start: Start, finish: Finish) -> str:
    """The URL of a result of ten bytes."""

    @emulator.flow("digits")
    def digits() -> bytes:
        return b"0123456789"

    started = start(client, "digits")
    assert finish(client, "digits", started)["status"] == "SUCCEEDED"
    signed: str = started.json()["signedResponseURL"]
    return signed


def test_a_file_has_all_validators(url: str) -> None:
    """Length, type, validators and digest, for the complete file and for a range."""
    whole = httpx.get(url)
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["content-length"] == "10"
    assert whole.headers["accept-ranges"] == "bytes"
    assert "last-modified" in whole.headers
    part = httpx.get(url, headers={"Range": "bytes=3-5", "If-Match": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"345")
    assert part.headers["content-range"] == "bytes 3-5/10"
    assert part.headers["content-length"] == "3"
    assert part.headers["etag"] == whole.headers["etag"]
    assert part.headers["repr-digest"] == whole.headers["repr-digest"]


def test_conditions_over_the_wire(url: str) -> None:
    """304 without a body, 412 and 416 as from an object store."""
    etag = httpx.get(url).headers["etag"]
    same = httpx.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert "content-type" not in same.headers
    other = httpx.get(url, headers={"If-Match": '"x"'})
    assert other.status_code == 412
    assert "<Code>PreconditionFailed</Code>" in other.text
    beyond = httpx.get(url, headers={"Range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")


def test_an_api_key_on_a_signed_url_is_400(emulator: Emulator, url: str) -> None:
    """Two authentications are rejected, as by S3."""
    response = httpx.get(url, headers={"Authorization": f"Api-Key {emulator.api_key}"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/xml"
    assert "Only one auth mechanism allowed" in response.text
    assert emulator.api_key not in response.text


def test_a_head_is_403_without_a_body(url: str) -> None:
    """The URL is signed for GET."""
    response = httpx.head(url)
    assert (response.status_code, response.content) == (403, b"")


def test_a_changed_url_is_403(url: str) -> None:
    """Neither a changed signature nor a missing one opens the file, nor another path."""
    plain, _, query = url.partition("?")
    flipped = query[:-1] + ("0" if query[-1] != "0" else "1")
    assert httpx.get(f"{plain}?{flipped}").status_code == 403
    assert "SignatureDoesNotMatch" in httpx.get(f"{plain}?{flipped}").text
    assert "AccessDenied" in httpx.get(plain).text
    assert httpx.get(f"{plain}1?{query}").status_code == 403


def test_an_expired_url(connect: Connect, start: Start) -> None:
    """After its lifetime, the URL is a 403 with the reason and the id of the request."""
    with Emulator(url_lifetime=0) as emulator:

        @emulator.flow("f")
        def flow() -> None: ...

        response = httpx.get(start(connect(emulator), "f").json()["signedResponseURL"])
    assert response.status_code == 403
    assert "Request has expired" in response.text
    assert response.headers["x-request-id"] in response.text


def test_a_missing_result_is_404(connect: Connect, start: Start) -> None:
    """The URL is known from the start, the file exists only after the end."""
    with Emulator(queue_time=5) as emulator:

        @emulator.flow("f")
        def flow() -> None: ...

        response = httpx.get(start(connect(emulator), "f").json()["signedResponseURL"])
    assert response.status_code == 404
    assert "<Code>NoSuchKey</Code>" in response.text


def test_a_large_file_is_streamed(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """64 MiB are received completely, and a status responds meanwhile."""
    content = hashlib.sha256(b"seed").digest() * (2 * 1024 * 1024)

    @emulator.flow("large")
    def large() -> bytes:
        return content

    started = start(client, "large")
    assert finish(client, "large", started)["status"] == "SUCCEEDED"
    digest, size = hashlib.sha256(), 0
    with httpx.stream("GET", started.json()["signedResponseURL"]) as response:
        for chunk in response.iter_raw():
            if size == 0:
                # Before the rest is read, which the sockets do not hold: nobody waits for it.
                assert client.get("/flows/large").status_code == 200
            digest.update(chunk)
            size += len(chunk)
        assert size == int(response.headers["content-length"])
    assert digest.digest() == hashlib.sha256(content).digest()


def test_an_empty_file_is_a_file(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """A flow may return an empty text: 200, and no bytes."""

    @emulator.flow("empty")
    def empty() -> str:
        return ""

    started = start(client, "empty")
    assert finish(client, "empty", started)["status"] == "SUCCEEDED"
    response = httpx.get(started.json()["signedResponseURL"])
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"
