"""The validation of settings, and their precedence."""

from __future__ import annotations

import warnings
from typing import Any

import h11
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import HttpUrl, SecretStr

from dcipher._settings.checks import (
    CHECKS,
    DEFAULT_BASE_URL,
    DOTENV,
    Configuration,
    check_api_key,
    check_api_secret,
    check_base_url,
    check_log,
    check_max_retries,
    check_timeout,
    is_blank,
    refuse_plain_http,
    resolve,
    usable_key,
)
from dcipher._settings.headers import check_headers
from dcipher.errors import ConfigurationError, MissingAPIKeyError
from dcipher.http import HTTPClient

WHERE = "DCIPHER_X, environment"


def quietly(check: Any, value: object) -> Any:
    """Returns the value of a check without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check(value, WHERE)


# Which value wins


def test_defaults() -> None:
    """Without any layer, everything has its default, and there is no key."""
    assert resolve([]) == Configuration()
    assert Configuration().base_url == DEFAULT_BASE_URL == "https://api.dcipheranalytics.com"
    assert (Configuration().timeout, Configuration().max_retries) == (60.0, 5)


def test_precedence() -> None:
    """Argument, environment, `.env`. Blanks count as missing, and the sources are recorded."""
    found = resolve(
        [
            ("argument", {"api_key": None, "timeout": 5, "base_url": " "}),
            ("environment", {"api_key": " \n", "timeout": "7", "base_url": "https://e"}),
            (DOTENV, {"api_key": "k", "base_url": "https://d", "max_retries": "2"}),
        ]
    )
    assert found == Configuration(
        api_key="k",
        base_url="https://e",
        timeout=5.0,
        max_retries=2,
        sources={
            "api_key": DOTENV,
            "base_url": "environment",
            "timeout": "argument",
            "max_retries": DOTENV,
        },
    )


def test_only_the_used_value_is_checked() -> None:
    """An unused value may be invalid. The error for the used one names its source."""
    assert resolve([("argument", {"timeout": 5}), ("environment", {"timeout": "x"})]).timeout == 5
    with pytest.raises(ConfigurationError, match=r"timeout \(DCIPHER_TIMEOUT, environment\)"):
        resolve([("environment", {"timeout": "x"})])
    with pytest.raises(ConfigurationError, match=r"timeout \(argument\)"):
        resolve([("argument", {"timeout": "x"})])


def test_every_setting_has_a_check() -> None:
    """Each value of a configuration is checked by its own rule."""
    assert set(CHECKS) == set(Configuration.__dataclass_fields__) - {"sources"}


def test_no_secret_in_the_repr() -> None:
    """Neither the key nor the secret is shown."""
    assert "SECRET" not in repr(Configuration(api_key="SECRET-1", api_secret="SECRET-2"))


@pytest.mark.parametrize(
    ("value", "blank"),
    [(None, True), ("", True), (" \r\n", True), ("x", False), (0, False), (False, False)],
)
def test_is_blank(value: object, blank: bool) -> None:
    """Nothing, and text of nothing but blanks, are missing; zero is a value."""
    assert is_blank(value) is blank


# May the key be sent?


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"api_key": "argument", "base_url": "argument"},
        {"api_key": DOTENV, "base_url": DOTENV},
        {"api_key": DOTENV, "base_url": "environment"},
    ],
)
def test_usable_key(sources: dict[str, str]) -> None:
    """A key is sent to a base URL from a source that is as trusted."""
    assert usable_key(Configuration(api_key="k", sources=sources)) == "k"


@pytest.mark.parametrize("source", ["argument", "environment"])
def test_a_dotenv_cannot_steal_a_key(source: str) -> None:
    """A base URL from `.env` never receives a key from another source."""
    found = Configuration(
        api_key="SECRET", base_url="https://evil", sources={"api_key": source, "base_url": DOTENV}
    )
    with pytest.raises(ConfigurationError, match="https://evil") as caught:
        usable_key(found)
    assert "SECRET" not in str(caught.value)


def test_no_key_at_all() -> None:
    """The error lists the sources of a key."""
    with pytest.raises(
        MissingAPIKeyError, match=r"DCIPHER_API_KEY.*api_key=….*dcipher\.emulator.*dcipher demo"
    ):
        usable_key(Configuration())


# Keys and secrets


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("sk-1", "sk-1"),
        (SecretStr("sk-1"), "sk-1"),
        ("Api-Key sk-1", "sk-1"),
        ("api-key  sk-1", "sk-1"),
        ("Api-Keys", "Api-Keys"),
        ("!~", "!~"),
    ],
)
def test_check_api_key(value: object, key: str) -> None:
    """Text or a secret; a pasted scheme is left out."""
    assert check_api_key(value, WHERE) == key


PLACEHOLDERS = [
    *("…", "sk-…", "...", "xxxx", "XXXXXXXX", "****", "<key>", "<your key>", "{key}", "[API_KEY]"),
    *("{{ secrets.KEY }}", "$KEY", "${DCIPHER_API_KEY}", "$(cat key)", "%DCIPHER_API_KEY%"),
    *("your-key", "YOUR_API_KEY", "your api key", "my-api-key", "insert-your-key-here", "key-here"),
    *("api_key", "DCIPHER_API_KEY", "dcipher-key", "changeme", "CHANGE_ME", "None", "null"),
    *('"<key>"', "'…'", "Api-Key <key>", "your-api-secret", "your-token"),
]
NO_PLACEHOLDERS = [
    "k",
    "key",
    "secret",
    "emu_your-key",
    "sk-xxxx1",
    "a$KEY",
    "nullable",
    "my-key-7",
]


@pytest.mark.parametrize("check", [check_api_key, check_api_secret])
@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_rejected(check: Any, text: str) -> None:
    """Text that was copied from an example is reported before it is sent."""
    if check is check_api_secret:
        text = text.removeprefix("Api-Key ")
    with pytest.raises(ConfigurationError, match="is a placeholder from an example"):
        check(text, WHERE)


@pytest.mark.parametrize("check", [check_api_key, check_api_secret])
@pytest.mark.parametrize("text", NO_PLACEHOLDERS)
def test_a_key_that_resembles_a_placeholder(check: Any, text: str) -> None:
    """A key that only contains such text is accepted."""
    assert check(text, WHERE) == text


@pytest.mark.parametrize("check", [check_api_key, check_api_secret])
def test_surrounding_blanks_are_removed_with_one_warning(check: Any) -> None:
    """A line break from a file is not part of a key, and the warning does not show it."""
    with pytest.warns(UserWarning, match="surrounding blanks or a line break") as caught:
        assert check(" SECRET\r\n", WHERE) == "SECRET"
    assert len(caught) == 1
    assert "SECRET" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("SEC RET", "a blank or control character at position 3"),
        ("SEC\nRET", "a blank or control character at position 3"),
        ("SEC\x7fRET", "a blank or control"),
        ("SECRETä", "a non-ASCII character at position 6"),
        ("\u200bSECRET", "a non-ASCII character at position 0"),
        ("SECRET\ud800", "a non-ASCII"),
        (b"SECRET", "must be text, not bytes"),
        (5, "must be text, not int"),
        (SecretStr(""), "is empty"),
    ],
)
def test_a_key_that_a_header_cannot_contain(value: object, says: str) -> None:
    """The error has the kind and position of the character, never the key."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        check_api_key(value, WHERE)
    assert WHERE in str(caught.value)
    assert "SEC" not in str(caught.value)


def test_a_scheme_without_a_key_is_no_key() -> None:
    """`Api-Key ` and nothing after it is a key that is missing."""
    with pytest.raises(MissingAPIKeyError):
        quietly(check_api_key, "Api-Key ")


@pytest.mark.parametrize("secret", ["s", "two words", "ä😀", "\x01"])
def test_check_api_secret(secret: str) -> None:
    """A secret for signing is any text."""
    assert check_api_secret(secret, WHERE) == check_api_secret(SecretStr(secret), WHERE) == secret


@given(st.text(st.characters(), min_size=1).map("sEcReT".__add__))
@settings(max_examples=200, deadline=None)
def test_any_key_is_visible_ascii_or_rejected(text: str) -> None:
    """Any text is either valid in a header, or an error that does not show it."""
    try:
        key = quietly(check_api_key, text)
    except ConfigurationError as error:
        assert "sEcReT" not in str(error)  # noqa: PT017 - either is right
    else:
        assert key == text.strip()
        assert all("!" <= character <= "~" for character in key)


# Base URLs


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://h", "https://h"),
        (" https://h/\n", "https://h"),
        ("https://h/prefix//", "https://h/prefix"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("HTTPS://H:443/p", "HTTPS://H:443/p"),
        ("https://[::1]:1", "https://[::1]:1"),
        ("https://[fe80::1%25eth0]", "https://[fe80::1%25eth0]"),
        ("https://a_b-c.h.", "https://a_b-c.h."),
        ("https://bücher.example", "https://bücher.example"),
        (HttpUrl("https://h"), "https://h"),
        (httpx.URL("https://h/p"), "https://h/p"),
    ],
)
def test_check_base_url(value: object, url: str) -> None:
    """A scheme, a host, perhaps a path; the slash at the end does not matter."""
    assert check_base_url(value, WHERE) == url


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("h", "must look like"),
        ("//h", "must look like"),
        ("ftp://h", "must look like"),
        ("https://", "must look like"),
        ("https:///p", "must look like"),
        (5, "must look like"),
        (b"https://h", "must look like"),
        ("https://[::1", "is not a URL"),
        ("https://h:x", "is not a URL"),
        ("https://h:99999", "is not a URL"),
        ("https://user@h", "user name"),
        ("https://@h", "user name"),
        ("https://h?a", "neither a query"),
        ("https://h?", "neither a query"),
        ("https://h/#", "neither a query"),
        ("https://h/a b", "blanks or control"),
        ("https://h\t/p", "blanks or control"),
        ("https://h/\x7f", "blanks or control"),
        ("https://h/\u202e", "blanks or control"),
        ("https://h\\p", "backslash"),
        ("https://.", "cannot be a name"),
        ("https://a..b", "cannot be a name"),
        ("https://.h", "cannot be a name"),
        ("https://a;b.localhost", "cannot be a name"),
        ("https://a%00.h", "cannot be a name"),
        ("https://" + "a" * 64, "cannot be a name"),
        ("https://" + "a." * 127, "cannot be a name"),
    ],
)
def test_an_invalid_base_url(value: object, says: str) -> None:
    """Each defect is named, with the source of the URL."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        check_base_url(value, WHERE)
    assert WHERE in str(caught.value)


@pytest.mark.parametrize(
    "value", ["ftp://user:PASSWORD@h", "user:PASSWORD@h", "https://user:PASSWORD", "sk-PASSWORD"]
)
def test_a_base_url_shows_no_password(value: str) -> None:
    """User info, or a key in the wrong variable, is not in the error."""
    with pytest.raises(ConfigurationError) as caught:
        check_base_url(value, WHERE)
    assert "PASSWORD" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "https://[v1.x]",
        "https://xn--localhost",
        "https://a\u0301.example",
        "https://h/" + "a" * 70_000,
    ],
)
def test_a_base_url_that_httpx_rejects(value: str) -> None:
    """It is a configuration error of the constructor of the client."""
    with pytest.raises(ConfigurationError):
        HTTPClient(value)


@given(st.text(max_size=30) | st.text(max_size=20).map("https://".__add__))
@settings(max_examples=150, deadline=None)
def test_any_base_url_is_plain_or_rejected(text: str) -> None:
    """Any text is a URL without user info, query and fragment, or a `ConfigurationError`."""
    try:
        url = check_base_url(text, WHERE)
    except ConfigurationError:
        return
    assert url.lower().startswith(("http://", "https://"))
    assert not url.endswith("/")
    assert not set("?# \n") & set(url)


@pytest.mark.parametrize(
    "url", ["https://h", "http://localhost:1", "http://127.0.0.1", "http://[::1]"]
)
def test_urls_that_a_key_may_be_sent_to(url: str) -> None:
    """Https to any host, plain http to this machine."""
    refuse_plain_http(url)


@pytest.mark.parametrize("url", ["http://h", "HTTP://h", "http://localhost.example.com"])
def test_urls_that_a_key_may_not_be_sent_to(url: str) -> None:
    """Plain http to another host is rejected, with advice."""
    with pytest.raises(ConfigurationError, match="allow_insecure=True"):
        refuse_plain_http(url)


# Numbers and levels


@pytest.mark.parametrize(("value", "number"), [(5, 5.0), (0.1, 0.1), ("60", 60.0), (" 1.5 ", 1.5)])
def test_check_timeout(value: object, number: float) -> None:
    """Seconds, as a number or its text."""
    assert check_timeout(value, WHERE) == number


@pytest.mark.parametrize(
    "value", [0, -1, "nan", "inf", float("nan"), 10**400, True, "", "5s", None, [5], b"5"]
)
def test_invalid_timeouts(value: object) -> None:
    """Not positive, not finite, or not a number."""
    with pytest.raises(ConfigurationError, match="positive, finite number of seconds"):
        check_timeout(value, WHERE)


@pytest.mark.parametrize(("value", "count"), [(0, 0), (3, 3), ("7", 7), (" 7 ", 7)])
def test_check_max_retries(value: object, count: int) -> None:
    """An integer, or its text, including 0."""
    assert check_max_retries(value, WHERE) == count


@pytest.mark.parametrize("value", [-1, "-1", 1.0, "1.0", True, None, "", "many", "9" * 5000])
def test_invalid_max_retries(value: object) -> None:
    """Negative numbers, fractions and other values are rejected."""
    with pytest.raises(ConfigurationError, match="integer, 0 or more"):
        check_max_retries(value, WHERE)


def test_check_log() -> None:
    """A level in any case. The error for another word lists the levels, but not the word, which may be a key."""
    assert check_log(" DEBUG ", WHERE) == "debug"
    with pytest.raises(ConfigurationError, match="debug, info, warning, error, critical") as caught:
        check_log("loud\x1b", WHERE)
    assert "loud" not in str(caught.value)


# Headers


@pytest.mark.parametrize(
    ("headers", "checked"),
    [
        (None, {}),
        ({}, {}),
        ({"X-Team": "a, b"}, {"X-Team": "a, b"}),
        ({"User-Agent": "mine/1"}, {"User-Agent": "mine/1"}),
        ({"X-Empty": ""}, {"X-Empty": ""}),
    ],
)
def test_check_headers(headers: dict[str, str] | None, checked: dict[str, str]) -> None:
    """Headers of the user's go along."""
    assert check_headers(headers) == checked


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"X": "a\r\nY: b"}, "contains a line break"),
        ({"X": "a\nb"}, "contains a line break"),
        ({"X": "a\0"}, "contains a line break"),
        ({"X\r\n": "a"}, "is not a valid header name"),
        ({"": "a"}, "is not a valid header name"),
        ({"X Y": "a"}, "is not a valid header name"),
        ({"X:": "a"}, "is not a valid header name"),
        ({"Ü": "a"}, "is not a valid header name"),
        ({"X": 5}, "must be text"),
        ({5: "a"}, "must be text"),
        ({b"X": b"a"}, "must be text"),
        ({"Authorization": "a"}, "api_key="),
        ({"AUTHORIZATION": "a"}, "api_key="),
        ({"Signature": "a"}, "api_secret="),
        ({"signature-input": "a"}, "api_secret="),
        ({"Content-Digest": "a"}, "api_secret="),
        ({"Host": "a"}, "base_url="),
        ({"Content-Length": "5"}, "depends on the body"),
        ({"Transfer-Encoding": "chunked"}, "depends on the body"),
        ({"Idempotency-Key": "k"}, "idempotency_key="),
    ],
)
def test_invalid_headers(headers: Any, says: str) -> None:
    """No header of the client is replaced, no line is injected, and values are not shown."""
    with pytest.raises(ConfigurationError, match=says):
        check_headers(headers)


def sent(headers: dict[str, str]) -> None:
    """Sends headers, and returns their bytes."""
    request = httpx.Request("GET", "https://h", headers=check_headers(headers))
    h11.Request(method="GET", target="/", headers=request.headers.raw)


@pytest.mark.parametrize("value", [" a", "a ", "  a  "])
def test_blanks_around_a_header_value_are_removed(value: str) -> None:
    """RFC 9110 section 5.5: they do not belong to the value, and h11 rejects them."""
    assert check_headers({"X-Team": value}) == {"X-Team": "a"}
    sent({"X-Team": value})


@pytest.mark.parametrize("value", ["é", "\ud800", "a\tb", "\x01", "a\x7f"])
def test_a_header_value_that_cannot_be_sent(value: str) -> None:
    """A value that httpx cannot encode, or h11 rejects (RFC 9110 section 5.5), is a configuration error."""
    with pytest.raises(ConfigurationError):
        sent({"X-Team": value})


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
    | st.dictionaries(
        st.from_regex(r"[A-Za-z!#$%&'*+.^_`|~-]{1,9}", fullmatch=True),
        st.from_regex(r"([!-~]([ \t!-~]{0,9}[!-~])?)?", fullmatch=True),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_headers_of_ascii_are_sent_or_rejected(headers: dict[str, str]) -> None:
    """Names and visible values that pass the check are accepted by httpx and h11."""
    try:
        checked = check_headers(headers)
    except ConfigurationError:
        return
    if all(value.isascii() for value in checked.values()):
        sent(checked)
