"""The facts that a signed URL contains."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcipher._urls.signed_urls import MAX_REDIRECTS, expiry, joined, refusal, secrets_of

S3 = "https://b.s3.amazonaws.com/r.json"
GOOGLE = "https://storage.googleapis.com/b/r.json"
AZURE = "https://a.blob.core.windows.net/b/r.json"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("url", "moment"),
    [
        (f"{S3}?X-Amz-Date=20240102T030405Z&X-Amz-Expires=3600", utc(2024, 1, 2, 4, 4, 5)),
        (f"{S3}?x-amz-expires=60&x-amz-date=20240102T030405Z", utc(2024, 1, 2, 3, 5, 5)),
        (f"{S3}?AWSAccessKeyId=A&Signature=s&Expires=1704164645", utc(2024, 1, 2, 3, 4, 5)),
        (f"{GOOGLE}?X-Goog-Date=20240102T030405Z&X-Goog-Expires=900", utc(2024, 1, 2, 3, 19, 5)),
        (f"{GOOGLE}?GoogleAccessId=a&Expires=1704164645&Signature=s", utc(2024, 1, 2, 3, 4, 5)),
        (f"{AZURE}?se=2024-01-02T03%3A04%3A05Z&sig=s", utc(2024, 1, 2, 3, 4, 5)),
        (f"{AZURE}?se=2024-01-02T03:04:05%2B01:00&sig=s", utc(2024, 1, 2, 2, 4, 5)),
        (f"{AZURE}?se=2024-01-02&sig=s", utc(2024, 1, 2)),
    ],
)
def test_expiry(url: str, moment: datetime) -> None:
    """The expiry in the notation of each store, in UTC."""
    assert expiry(url) == moment


@pytest.mark.parametrize(
    "url",
    [
        "",
        S3,
        f"{S3}?X-Amz-Expires=3600",
        f"{S3}?X-Amz-Date=20240102T030405Z",
        f"{S3}?X-Amz-Date=yesterday&X-Amz-Expires=3600",
        f"{S3}?X-Amz-Date=20240102T030405Z&X-Amz-Expires=soon",
        f"{S3}?X-Amz-Date=20240102T030405Z&X-Amz-Expires={'9' * 30}",
        f"{S3}?Expires=never&Signature=s",
        f"{S3}?Expires={'9' * 30}&Signature=s",
        f"{S3}?Expires=1704164645",
        f"{AZURE}?se=2024-01-02T03:04:05Z",
        f"{AZURE}?se=soon&sig=s",
        "https://[::1?Expires=1704164645&Signature=s",
        f"{S3}#Expires=1704164645&Signature=s",
    ],
)
def test_no_expiry(url: str) -> None:
    """A missing or invalid expiry is unknown."""
    assert expiry(url) is None


dates = st.sampled_from(["20240102T030405Z", "99991231T235959Z", "00010101T000000Z"]) | st.text()
numbers = st.integers().map(str) | st.text() | st.just("9" * 5000)
queries = st.dictionaries(
    st.sampled_from(
        ["X-Amz-Date", "X-Amz-Expires", "X-Goog-Date", "X-Goog-Expires", "Expires", "se", "sig"]
    ),
    dates | numbers | st.datetimes().map(str) | st.just("0001-01-01T00:00:00+23:59"),
).map(lambda query: f"{S3}?{urlencode(query, errors='replace')}")


@given(queries | st.text(st.characters()))
@settings(max_examples=200, deadline=None)
@example("https://[")
@example("//\u2100?Expires=1&sig=s")
def test_any_url_has_an_expiry_or_none(url: str) -> None:
    """No text raises an exception. An expiry has a time zone and can be compared and formatted."""
    moment = expiry(url)
    if moment is not None:
        assert moment.utcoffset() is not None
        assert (moment <= utc(2024, 1, 1)) in {True, False}
        moment.timestamp()


@pytest.mark.parametrize(
    "url",
    ["https://h/x?sig=1", "https://h:8443/x", "http://localhost:1/x", "http://[::1]/", "HTTPS://h"],
)
def test_urls_that_are_fetched(url: str) -> None:
    """Https to any host, http to this machine."""
    assert refusal(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h/x", "not https"),
        ("ftp://h/x", "not an http"),
        ("file:///etc/passwd", "not an http"),
        ("https:///x", "not an http"),
        ("//h/x", "not an http"),
        ("", "not an http"),
        ("https://user@h/x", "user name"),
        ("https://:word@h/x", "user name"),
        ("https://good.example\\@evil.example/", "user name"),
        ("https://[::1", "not a URL"),
        ("https://h:port/", "not a URL"),
        ("https://h/a b", "blanks"),
        ("ht\ntps://h/a", "control characters"),
        ("https://h/" + "a" * 100_000, "far too long"),
        ("https://h:99999/", "not a URL"),
    ],
)
def test_urls_that_are_not_fetched(url: str, why: str) -> None:
    """Any other URL is rejected, and the reason has no part of it."""
    assert why in str(refusal(url))


@pytest.mark.parametrize(
    "url", ["http://localhost/x", "http://127.0.0.2:6379/", "HTTP://a.localhost", "http://[::1]/"]
)
def test_plain_http_to_this_machine_from_elsewhere(url: str) -> None:
    """If the base URL is another host, plain http to this machine needs `allow_insecure`."""
    assert "leads to this machine" in str(refusal(url, may_lead_here=False))
    assert refusal(url, may_lead_here=False, allow_insecure=True) is None
    assert refusal("https://localhost/x", may_lead_here=False) is None


def test_plain_http_needs_permission() -> None:
    """`allow_insecure` permits plain http, but not user info."""
    assert refusal("http://h/x", allow_insecure=True) is None
    assert refusal("http://u:p@h/x", allow_insecure=True) is not None


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://o/p?q", "https://o/p?q"),
        ("/p?q", "https://h/p?q"),
        ("p", "https://h/a/p"),
        ("//o/p", "https://o/p"),
        ("https://[", "https://["),
    ],
)
def test_joined(location: str, target: str) -> None:
    """A redirect is resolved by RFC 3986 section 5. An invalid URL is rejected later."""
    assert joined("https://h/a/b?c", location) == target


@given(st.text(st.characters()))
@settings(max_examples=100, deadline=None)
@example("https://[")
@example("//\u2100/")
def test_any_redirect_is_resolved(location: str) -> None:
    """Any text is resolved to a URL that can be checked, without an exception."""
    refusal(joined("https://h/a/b?c", location), redirected_from="https://h/a/b?c")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (S3, []),
        (f"{S3}?", []),
        (f"{S3}?a=1234567&b=", []),
        (f"{S3}?a=12345678", ["12345678"]),
        (f"{S3}?X-Amz-Signature=SIGNATURE&x=12#FRAGMENT", ["SIGNATURE"]),
        (f"{S3}?sig=a%2Bbc%2Fdef%3D", ["a%2Bbc%2Fdef%3D", "a+bc/def="]),
        (f"{S3}?sig=a+b+c+d+e", ["a+b+c+d+e", "a b c d e"]),
        (f"{S3}?sig=abcd=efgh==", ["abcd=efgh=="]),
        (f"{S3}?sig=SIGNATURE&sig=ANOTHERONE", ["SIGNATURE", "ANOTHERONE"]),
    ],
)
def test_secrets_of(url: str, secrets: list[str]) -> None:
    """Each value of the query, encoded and decoded. Short values are not secrets."""
    assert sorted(secrets_of(url)) == sorted(secrets)


def test_a_query_without_names_is_a_secret() -> None:
    """A query that is one token is masked, like a value."""
    assert secrets_of(f"{S3}?SIGNATURE") == ("SIGNATURE",)
    assert secrets_of(f"{S3}?SIGNATURE==") == ("SIGNATURE==",)


@pytest.mark.parametrize(
    "said", ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "response-content-type=application/json"]
)
def test_common_words_are_not_secrets(said: str) -> None:
    """Common words remain readable in messages of a service."""
    assert secrets_of(f"{S3}?{said}&X-Amz-Signature=SIGNATURE") == ("SIGNATURE",)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\x1a"), min_size=8, max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=9),
)
@settings(max_examples=100, deadline=None)
def test_the_values_of_a_query_are_secrets(value: str, other: str) -> None:
    """The value of any query is redacted if a store repeats it."""
    assert value in secrets_of(f"{S3}?{urlencode({'sig': value, 'x': other})}")


@pytest.mark.parametrize("allow_insecure", [True, False])
def test_never_from_https_to_http(allow_insecure: bool) -> None:
    """A redirect does not lead out of https, not even to this machine."""
    target = "http://localhost/x"
    assert (
        refusal(target, allow_insecure=allow_insecure, redirected_from="http://localhost/") is None
    )
    why = refusal(target, allow_insecure=allow_insecure, redirected_from="https://h/")
    assert why == "it leads from https to http"


def test_a_scheme_has_no_case() -> None:
    """RFC 3986 section 3.1: schemes are case-insensitive, that of the redirecting URL, too."""
    assert refusal("http://localhost/x", redirected_from="HTTPS://h/") is not None


@given(st.text(st.characters()), st.booleans(), st.none() | st.text())
@settings(max_examples=200, deadline=None)
def test_any_url_is_checked(url: str, allow_insecure: bool, redirected_from: str | None) -> None:
    """Any text has a reason or none, without an exception."""
    why = refusal(url, allow_insecure=allow_insecure, redirected_from=redirected_from)
    assert why is None or why.startswith("it ")


def test_redirects_have_a_limit() -> None:
    """Five redirects, no more."""
    assert MAX_REDIRECTS == 5
