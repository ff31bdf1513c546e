"""Signatures, digests and signed URLs from elsewhere: parsed, or rejected with the right error."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from dcipher._masking.redaction import redact
from dcipher._masking.text import clean
from dcipher._masking.urls import redact_message, redact_query, redact_urls
from dcipher._results.downloads.transfers.sources import Source, TransferError
from dcipher._results.downloads.transfers.transfer import Transfer, begin, headers_for, refused
from dcipher._urls.signed_urls import expiry, joined, looks_signed, refusal, secrets_of
from dcipher.resilience import Resilience
from dcipher.signing import HMACSigner, SignatureError, verify_request
from dcipher.signing.digests import digest_matches, digests
from dcipher.signing.structured_fields import StructuredFieldError, parse_dictionary
from tests.fuzz.exploring import efforts, explore

SECRET = "a-secret-of-this-test"
URL = "https://api.example.com/flows/f/run?a=1"
BODY = b'{"pipelineParams":{}}'

grammar = st.text('()=:;,"?\\*%-._~ \taz09AZ+/é\x00', max_size=40) | st.text(max_size=20)


@efforts
def test_any_structured_field_is_parsed_or_rejected(effort: int) -> None:
    """A dictionary (RFC 9651), or `StructuredFieldError`. A digest field never raises."""

    @example('a="' + "\\" * 1001)
    @example("a=" + "(" * 10_000)
    @example("a=" + "9" * 10_000)
    @example("sig=:" + "A" * 100_001 + ":")
    @given(grammar)
    def check(text: str) -> None:
        with suppress(StructuredFieldError):
            assert isinstance(parse_dictionary(text), dict)
        assert isinstance(digests(text), dict)
        assert digest_matches(text, b"") in {None, True, False}

    explore(check, 200 * effort)


def signed() -> dict[str, str]:
    headers = {"Authorization": "Api-Key k", "Content-Type": "application/json"}
    signer = HMACSigner(SECRET, key_id="k1")
    return {**headers, **dict(signer.sign("POST", URL, headers, BODY))}


@efforts
def test_no_change_of_a_signed_request_is_accepted(effort: int) -> None:
    """A signed request with other characters in its headers is rejected, or has the same meaning."""
    whole = signed()
    verify_request("POST", URL, whole, BODY, secret=SECRET, required=())
    names = st.sampled_from(["Signature-Input", "Signature", "Content-Digest", "Authorization"])

    @given(names, st.integers(0, 300), st.integers(0, 3), grammar)
    def check(name: str, start: int, length: int, piece: str) -> None:
        value = whole[name]
        at = start % (len(value) + 1)
        changed = {**whole, name: value[:at] + piece + value[at + length :]}
        try:
            said = verify_request("POST", URL, changed, BODY, secret=SECRET, required=()).key_id
        except SignatureError as error:
            said = str(error)
        assert SECRET not in said
        assert said

    explore(check, 150 * effort)


urls = st.text(max_size=30) | st.builds(
    "{}{}?{}={}&{}={}#{}".format,
    st.sampled_from(["https://", "http://", "HTTPS://", "ftp://", "//", "", "https://u:p@"]),
    st.sampled_from(["s/r", "[::1]/r", "[", "h:99999/", "h:x/", "\u2100/", "s", "127.0.0.1"]),
    st.sampled_from(["X-Amz-Date", "X-Goog-Date", "Expires", "se", "Signature", ";"]),
    st.text("0123456789TZ:+-. %", max_size=20) | st.sampled_from(["20240102T030405Z", "9" * 5000]),
    st.sampled_from(["X-Amz-Expires", "X-Goog-Expires", "sig", "Signature", "Key-Pair-Id"]),
    st.text("0123456789-+ _e.", max_size=12) | st.sampled_from(["9" * 5000, "3600"]),
    st.text(max_size=5),
)


@efforts
def test_any_url_is_checked(effort: int) -> None:
    """Its expiry, the reason not to fetch it, and its redacted form: a result for any text."""

    @example("https://s/r?sig=S&se=0001-01-01T00:00:00%2B14:00", "//[")
    @example("https://s/r?sig=S&se=9999-12-31T23:59:59-14:00", "")
    @given(urls, urls)
    def check(url: str, other: str) -> None:
        moment = expiry(url)
        if moment is not None:
            assert isinstance(moment, datetime)
            assert moment.tzinfo is not None
            moment.timestamp()
        assert isinstance(refusal(url, redirected_from=other), (str, type(None)))
        assert isinstance(joined(url, other), str)
        assert isinstance(looks_signed(url), bool)
        assert "?" not in redact_query(url).replace("?[redacted]", "")
        if refusal(url) is None:
            assert all(len(secret) > 7 for secret in secrets_of(url))

    explore(check, 200 * effort)


@efforts
def test_any_response_of_a_store_is_checked(effort: int) -> None:
    """Any headers begin a transfer, or are a `TransferError` with one clean line."""
    known = st.sampled_from(
        [
            *("etag", "content-length", "content-range", "content-encoding", "content-md5"),
            *(
                "repr-digest",
                "content-digest",
                "x-goog-hash",
                "x-amz-checksum-sha256",
                "retry-after",
            ),
        ]
    )
    said = st.dictionaries(
        known,
        grammar
        | st.sampled_from(
            ['"a"', "bytes 3-8/9", "bytes 3-8/*", "9", "sha-256=:AA==:", "md5=AA==", "gzip"]
        ),
    )
    transfers = st.builds(
        Transfer,
        received=st.integers(0, 9),
        total=st.none() | st.just(9),
        etag=st.sampled_from([None, '"a"']),
    )

    @given(transfers, st.integers(100, 999), said, st.text(max_size=60))
    def check(transfer: Transfer, status: int, headers: dict[str, str], excerpt: str) -> None:
        with suppress(TransferError):
            begun = begin(transfer, status, headers)
            assert begun.received in {0, transfer.received}
            assert isinstance(headers_for(begun), dict)
        source = Source("https://s/r?Signature=abcdefghij")
        why = refused(
            status, headers, excerpt, source=source, now=time.time(), resilience=Resilience()
        )
        assert str(why).isprintable() or clean(str(why)) == str(why)
        assert "abcdefghij" not in str(why)

    explore(check, 150 * effort)


@efforts
def test_any_text_is_cleaned(effort: int) -> None:
    """One line, within the limit, without the secrets. Cleaning it twice changes nothing."""

    @given(st.text(max_size=300), st.integers(2, 60), st.lists(st.text(max_size=8), max_size=3))
    def check(text: str, limit: int, secrets: list[Any]) -> None:
        shown = clean(text, limit)
        assert len(shown) <= limit
        assert clean(shown, limit) == shown
        shown.encode()
        masked = redact_message(text, secrets)
        assert masked == redact_urls(redact(text, secrets))
        for secret in secrets:
            if len(secret) > 2 and not set(secret) & set("[redacted]"):
                assert secret not in masked

    explore(check, 150 * effort)
