"""The state of a transfer: what to request, what a response means, whether it is complete."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._results.downloads.transfers.sources import Problem, Source, TransferError
from dcipher._results.downloads.transfers.stalls import STALL, stalled, stalled_after
from dcipher._results.downloads.transfers.transfer import (
    Transfer,
    begin,
    check_whole,
    headers_for,
    refused,
)
from dcipher._wire.retries import Outcome
from dcipher.resilience import Resilience

CONTENT = b"content"
URL = "https://store.example.com/r.json?X-Amz-Signature=SIGNATURE"


def digest(name: str, content: bytes = CONTENT) -> bytes:
    return hashlib.new(name, content).digest()


def b64(name: str) -> str:
    return base64.b64encode(digest(name)).decode()


HALF = Transfer(received=4, total=7, etag='"v1"', content_type="text/csv", self_delimiting=True)
NEXT = {"etag": '"v1"', "content-range": "bytes 4-6/7", "content-length": "3"}


# What is asked for


@pytest.mark.parametrize(
    "transfer",
    [
        Transfer(),
        replace(HALF, received=0),
        replace(HALF, etag=None),
        replace(HALF, encoding="gzip"),
    ],
)
def test_asked_for_whole(transfer: Transfer) -> None:
    """Without bytes, a strong validator, or for what is decoded on the way, everything is asked for."""
    assert not transfer.can_resume
    assert headers_for(transfer) == {"Accept-Encoding": "identity", "Accept": "*/*"}


def test_asked_for_the_rest() -> None:
    """What is left is asked for with the validator of what is there."""
    assert headers_for(HALF) == {
        "Accept-Encoding": "identity",
        "Accept": "*/*",
        "Range": "bytes=4-",
        "If-Match": '"v1"',
    }


# What an answer means


def test_a_first_answer() -> None:
    """Length, validator, type and digests are taken from it, and nothing was received yet."""
    headers = {
        "content-length": "7",
        "etag": '"v1"',
        "content-type": "text/csv",
        "content-digest": f"sha-256=:{b64('sha256')}:",
    }
    assert begin(Transfer(), 200, headers) == Transfer(
        total=7,
        etag='"v1"',
        digests={"sha256": digest("sha256")},
        content_type="text/csv",
        self_delimiting=True,
    )


@pytest.mark.parametrize(
    ("headers", "total", "self_delimiting"),
    [
        ({}, None, False),
        ({"transfer-encoding": "chunked"}, None, True),
        ({"content-length": "0"}, 0, True),
        ({"content-length": "7, 7"}, None, False),
        ({"content-length": "-7"}, None, False),
        ({"content-length": "\u0667"}, None, False),
        ({"content-length": "7\n"}, None, False),
        ({"content-length": "9" * 19}, None, False),
    ],
)
def test_the_length(headers: dict[str, str], total: int | None, self_delimiting: bool) -> None:
    """A plain number is a length; without one, only chunks tell the end from a lost connection."""
    transfer = begin(Transfer(), 200, headers)
    assert (transfer.total, transfer.self_delimiting) == (total, self_delimiting)


@pytest.mark.parametrize(
    ("etag", "strong"),
    [
        ('"v1"', '"v1"'),
        (' "v1" ', '"v1"'),
        ('W/"v1"', None),
        ("v1", None),
        ('""', None),
        ('"', None),
        ("", None),
    ],
)
def test_only_a_strong_etag_validates(etag: str, strong: str | None) -> None:
    """RFC 9110 section 8.8.1: a weak validator does not say that the bytes are the same."""
    assert begin(Transfer(), 200, {"etag": etag}).etag == strong


def test_the_rest_is_continued() -> None:
    """A range that fits goes on where the file ends."""
    assert begin(HALF, 206, NEXT) == HALF
    assert begin(replace(HALF, total=None), 206, NEXT) == HALF


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"etag": '"v2"'}, Problem.CHANGED),
        ({"etag": 'W/"v1"'}, Problem.CHANGED),
        ({"etag": ""}, Problem.CHANGED),
        ({"content-range": "bytes 4-7/8"}, Problem.CHANGED),
        ({"content-range": "bytes 0-6/7"}, Problem.INTERRUPTED),
        ({"content-range": "bytes 5-6/7"}, Problem.INTERRUPTED),
        ({"content-range": "bytes 4-5/7"}, Problem.INTERRUPTED),
        ({"content-range": "bytes 4-9/7"}, Problem.INTERRUPTED),
        ({"content-range": "bytes 4-6/*"}, Problem.INTERRUPTED),
        ({"content-range": ""}, Problem.INTERRUPTED),
        ({"content-range": "items 4-6/7"}, Problem.INTERRUPTED),
        ({"content-range": "bytes 4-6/7\n, bytes 4-6/7"}, Problem.INTERRUPTED),
        ({"content-encoding": "gzip"}, Problem.INTERRUPTED),
        ({"content-range": "", "content-type": "multipart/byteranges"}, Problem.INTERRUPTED),
    ],
)
def test_a_range_that_does_not_fit(headers: dict[str, str], problem: Problem) -> None:
    """Another object, another place, another size or several parts are never pasted in."""
    with pytest.raises(TransferError) as caught:
        begin(HALF, 206, {**NEXT, **headers})
    assert caught.value.problem is problem
    assert caught.value.failure.outcome is Outcome.AMBIGUOUS


def test_a_range_unit_has_no_case() -> None:
    """RFC 9110 section 14.1: range units are case-insensitive."""
    assert begin(HALF, 206, {**NEXT, "content-range": "Bytes 4-6/7"}) == HALF


@pytest.mark.parametrize("transfer", [Transfer(), replace(HALF, etag=None)])
def test_a_range_that_nobody_asked_for(transfer: Transfer) -> None:
    """A 206 to a plain request is broken."""
    with pytest.raises(TransferError, match="206 for a plain request") as caught:
        begin(transfer, 206, NEXT)
    assert caught.value.problem is Problem.BROKEN


@pytest.mark.parametrize("code", [201, 204, 304])
def test_another_success_is_none(code: int) -> None:
    """Only 200 and 206 bring a result."""
    with pytest.raises(TransferError, match=f"returned {code}"):
        begin(Transfer(), code, {})


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_a_range_that_was_ignored(etag: str) -> None:
    """The whole instead of the rest starts again from nothing."""
    transfer = begin(HALF, 200, {"etag": etag, "content-length": "9"})
    assert (transfer.received, transfer.total) == (0, 9)


@pytest.mark.parametrize("etag", ['"v2"', 'W/"v2"', ""])
def test_a_range_that_was_ignored_for_another_object(etag: str) -> None:
    """The whole of something else is said to be that; so is what no longer says what it is."""
    with pytest.raises(TransferError) as caught:
        begin(HALF, 200, {"etag": etag})
    assert caught.value.problem is Problem.CHANGED


def test_an_encoding_that_came_all_the_same() -> None:
    """Gzip is undone; what was not asked for and cannot be undone is for good."""
    assert begin(Transfer(), 200, {"content-encoding": "gzip"}).encoding == "gzip"
    with pytest.raises(TransferError, match="'br' is not supported") as caught:
        begin(Transfer(), 200, {"content-encoding": "br"})
    assert caught.value.failure.outcome is Outcome.PERMANENT


# Digests


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-digest": f"sha-512=:{b64('sha512')}:"}, {"sha512"}),
        ({"repr-digest": f"sha-256=:{b64('sha256')}:, md5=:{b64('md5')}:"}, {"sha256", "md5"}),
        ({"repr-digest": f"sha=:{b64('sha1')}:, unixsum=:AAA=:"}, {"sha1"}),
        ({"content-md5": b64("md5")}, {"md5"}),
        ({"x-goog-hash": f"crc32c=n03x6A==,md5={b64('md5')}"}, {"md5"}),
        ({"x-amz-checksum-sha256": b64("sha256")}, {"sha256"}),
        ({"x-amz-checksum-sha1": b64("sha1")}, {"sha1"}),
        ({"x-amz-checksum-sha256": f"{b64('sha256')}-3"}, set()),
        ({"content-md5": "rubbish"}, set()),
        ({"content-md5": "ä"}, set()),
        ({"content-md5": b64("sha1")}, set()),
        ({"content-digest": "rubbish"}, set()),
        ({"etag": f'"{digest("md5").hex()}"'}, set()),
    ],
)
def test_digests(headers: dict[str, str], expected: set[str]) -> None:
    """Every header that promises a digest counts; an ETag is none, nor is one of parts."""
    assert begin(Transfer(), 200, headers).digests == {name: digest(name) for name in expected}


def test_digests_that_contradict_each_other() -> None:
    """Two digests by one algorithm must be the same: a wrong one is not passed over for a right one."""
    headers = {"content-digest": f"md5=:{b64('md5')}:", "content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    with pytest.raises(TransferError, match="two different md5 digests"):
        begin(Transfer(), 200, headers)


def test_a_hash_of_what_was_decoded_on_the_way_is_none() -> None:
    """Google decompresses what is stored as gzip for a client that asks for identity; its hash is of the gzip."""
    headers = {"x-goog-hash": f"md5={b64('md5')}", "x-goog-stored-content-encoding": "gzip"}
    assert begin(Transfer(), 200, headers).digests == {}


# Refusals


def refusal(code: int, excerpt: str = "", now: float = 100.0, **source: Any) -> TransferError:
    return refused(
        code,
        {"retry-after": "7"},
        excerpt,
        source=Source(URL, **source),
        now=now,
        resilience=Resilience(),
    )


@pytest.mark.parametrize(
    ("code", "facts", "problem", "outcome"),
    [
        (403, {}, Problem.REFUSED, Outcome.PERMANENT),
        (403, {"fresh_until": 101.0}, Problem.REFUSED, Outcome.AMBIGUOUS),
        (404, {"fresh_until": 101.0}, Problem.REFUSED, Outcome.AMBIGUOUS),
        (404, {"fresh_until": 100.0}, Problem.REFUSED, Outcome.PERMANENT),
        (400, {"fresh_until": 101.0}, Problem.REFUSED, Outcome.PERMANENT),
        (410, {}, Problem.REFUSED, Outcome.PERMANENT),
        (403, {"expires_at": 100.0}, Problem.EXPIRED, Outcome.PERMANENT),
        (403, {"expires_at": 100.0, "fresh_until": 101.0}, Problem.EXPIRED, Outcome.PERMANENT),
        (403, {"expires_at": 101.0}, Problem.REFUSED, Outcome.PERMANENT),
        (403, {"excerpt": "<Message>Request has Expired"}, Problem.EXPIRED, Outcome.PERMANENT),
        (500, {"excerpt": "expired"}, Problem.REFUSED, Outcome.AMBIGUOUS),
        (503, {}, Problem.REFUSED, Outcome.REJECTED),
        (429, {}, Problem.REFUSED, Outcome.REJECTED),
        (302, {}, Problem.REFUSED, Outcome.PERMANENT),
        (204, {}, Problem.REFUSED, Outcome.PERMANENT),
        (412, {}, Problem.CHANGED, Outcome.AMBIGUOUS),
        (416, {}, Problem.CHANGED, Outcome.AMBIGUOUS),
    ],
)
def test_refused(code: int, facts: dict[str, Any], problem: Problem, outcome: Outcome) -> None:
    """Expired is for good; "not there yet" is tried again while the run is fresh; the rest by its status."""
    error = refusal(code, **facts)
    assert (error.problem, error.failure.outcome) == (problem, outcome)


def test_a_refusal_is_told_in_clean_words() -> None:
    """Of what the store says, 200 clean characters are shown; what it asks to wait is kept."""
    error = refusal(503, "\x1b[31m" + "busy " * 1000)
    assert str(error).startswith("the store returned 503: [31mbusy busy")
    assert len(str(error)) < 250
    assert error.failure.retry_after == 7.0
    assert str(refusal(503)) == "the store returned 503"


@pytest.mark.parametrize(
    "words", [URL, "SignatureProvided: SIGNATURE", "no such key: X-Amz-Signature=SIGNATURE"]
)
def test_a_refusal_repeats_no_signature(words: str) -> None:
    """A store that echoes the request does not put the signature into the error."""
    assert "SIGNATURE" not in str(refusal(403, words))


def test_a_source_hides_its_url() -> None:
    """The signed URL is not in the repr."""
    assert "SIGNATURE" not in repr(Source(URL))


@pytest.mark.parametrize(
    ("expires_at", "expired"), [(None, False), (99.0, True), (100.0, True), (100.1, False)]
)
def test_has_expired(expires_at: float | None, expired: bool) -> None:
    """A URL is of no use from the second that it names."""
    assert Source(URL, expires_at=expires_at).has_expired(100.0) is expired


# Whole?


@pytest.mark.parametrize(
    ("transfer", "content"),
    [
        (Transfer(received=7, total=7, digests={"md5": digest("md5")}), CONTENT),
        (Transfer(received=7), CONTENT),
        (Transfer(received=0, total=0), b""),
        (Transfer(), b""),
    ],
)
def test_whole(transfer: Transfer, content: bytes) -> None:
    """What arrived as it was promised, or without a promise, is whole; no bytes are, too."""
    check_whole(transfer, {name: digest(name, content) for name in transfer.digests})


@pytest.mark.parametrize(
    ("transfer", "problem", "says"),
    [
        (Transfer(received=6, total=7), Problem.INTERRUPTED, "only 6 of 7 bytes"),
        (Transfer(received=8, total=7), Problem.BROKEN, "8 bytes arrived, but 7 were announced"),
        (Transfer(received=7, digests={"md5": b"other"}), Problem.BROKEN, "its md5 digest"),
        (
            Transfer(received=7, digests={"sha256": digest("sha256"), "md5": b"other"}),
            Problem.BROKEN,
            "its md5 digest",
        ),
    ],
)
def test_not_whole(transfer: Transfer, problem: Problem, says: str) -> None:
    """Too short, too long, or another digest: noticed, and fetched again."""
    with pytest.raises(TransferError, match=says) as caught:
        check_whole(transfer, {name: digest(name) for name in transfer.digests})
    assert caught.value.problem is problem
    assert caught.value.failure.outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("received", "seconds", "dead"),
    [
        (0, STALL - 0.1, False),
        (0, STALL, True),
        (1, STALL, True),
        (29_999, 30.0, True),
        (30_000, 30.0, False),
        (10**9, 3600.0, False),
    ],
)
def test_stalled(received: int, seconds: float, dead: bool) -> None:
    """Less than a kilobyte a second over half a minute is a dead transfer."""
    assert stalled(received, seconds) is dead
    assert stalled(received, max(seconds, stalled_after(received) + 0.001))
    assert not stalled(received, stalled_after(received) - 0.001)


header_sets = st.dictionaries(
    st.sampled_from(
        [
            "content-length",
            "etag",
            "content-range",
            "content-encoding",
            "content-digest",
            "repr-digest",
            "content-md5",
            "x-goog-hash",
            "x-amz-checksum-sha256",
            "content-type",
        ]
    ),
    st.text(max_size=20)
    | st.sampled_from(
        ['"v1"', "bytes 4-6/7", "7", "gzip", f"sha-256=:{b64('sha256')}:", "md5=,md5"]
    ),
)


@given(
    st.sampled_from([Transfer(), HALF, replace(HALF, total=None), replace(HALF, etag=None)]),
    st.sampled_from([200, 206]) | st.integers(100, 999),
    header_sets,
)
@settings(max_examples=200, deadline=None)
def test_any_answer_begins_or_is_refused(
    transfer: Transfer, code: int, headers: dict[str, str]
) -> None:
    """Whatever the store answers: a transfer, from the start or exactly from where it was, or an error."""
    try:
        begun = begin(transfer, code, headers)
    except TransferError as error:
        str(error).encode("utf-8", "surrogatepass")
        return
    assert code in {200, 203, 206}
    if begun.received:
        assert code == 206
        assert (begun.received, begun.etag, begun.encoding) == (4, headers["etag"].strip(), None)
    assert set(begun.digests) <= {"md5", "sha1", "sha256", "sha512"}
