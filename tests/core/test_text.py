"""Text from elsewhere, fit to be shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._core.text import REDACTED, clean, redact_query, without


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (" a \r\n\t b ", "a b"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\0b\x7fc\x9bd", "a b c d"),
        ("user\u202egnp.exe", "user gnp.exe"),
        ("a\u2028b\ufeffc\ud800d", "a b c d"),
        ("äöü 你好 😀 👩\u200d🔬", "äöü 你好 😀 👩\u200d🔬"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    """One line, without what a terminal obeys; letters of every script stay."""
    assert clean(text) == shown


@pytest.mark.parametrize(("length", "limit"), [(200, 200), (3, 3), (0, 1)])
def test_clean_keeps_what_fits(length: int, limit: int) -> None:
    """What fits is not cut."""
    assert clean("x" * length, limit) == "x" * length


@pytest.mark.parametrize(("length", "limit"), [(201, 200), (10_000_000, 200), (4, 3), (2, 1)])
def test_clean_cuts_what_does_not(length: int, limit: int) -> None:
    """What does not fit is cut, and the cut is seen."""
    assert clean("x" * length, limit) == "x" * (limit - 1) + "…"


@given(st.text(st.characters(), max_size=900), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_fit_to_be_shown(text: str, limit: int) -> None:
    """Short enough, printable in UTF-8, on one line, without controls; cleaning it again changes nothing."""
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert shown.splitlines() in ([], [shown])
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in shown)
    shown.encode()
    assert clean(shown, limit) == shown


@pytest.mark.xfail(strict=True, reason="U+061C is not in the list")
def test_every_mark_of_direction_is_left_out() -> None:
    """Unicode's twelve Bidi_Control characters (UAX 9) reorder what is shown: none is left."""
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert clean(f"a{marks}b") == "a b"


@pytest.mark.xfail(strict=True, reason="a cut at four times the limit is not marked")
def test_a_cut_behind_blanks_is_seen() -> None:
    """Text that is left out is announced, even where blanks fill the part that is looked at."""
    assert clean("a" + "\n" * 900 + "b").endswith(("b", "…"))


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        ("bad key k-1, k-1!", ["k-1"], f"bad key {REDACTED}, {REDACTED}!"),
        ("a b", ["a", "b"], f"{REDACTED} {REDACTED}"),
        ("abc", [""], "abc"),
        ("abc", [], "abc"),
    ],
)
def test_secrets_are_masked(text: str, secrets: list[str], masked: str) -> None:
    """Each occurrence of each secret; an empty one masks nothing."""
    assert without(text, secrets) == masked


@pytest.mark.xfail(
    strict=True, reason="the shorter secret is replaced first, the rest of the longer stays"
)
def test_one_secret_may_begin_another() -> None:
    """A secret that begins with another one is masked whole, whichever is given first."""
    assert "tail" not in without("echo: sk-1.tail", ["sk-1", "sk-1.tail"])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/p", "https://h/p"),
        ("https://h/p?a=1", f"https://h/p?{REDACTED}"),
        ("https://h/p#f", f"https://h/p?{REDACTED}"),
        ("https://h?a=1#f", f"https://h?{REDACTED}"),
        ("https://h/p#f?a", f"https://h/p?{REDACTED}"),
        ("https://user:word@h:1/p@q", "https://h:1/p@q"),
        ("/flows/f/status?taskId=t", f"/flows/f/status?{REDACTED}"),
        ("", ""),
    ],
)
def test_redact_query(url: str, shown: str) -> None:
    """Query, fragment and user info are secret; scheme, host and path are not."""
    assert redact_query(url) == shown


@pytest.mark.xfail(strict=True, reason="without a scheme, the user info stays")
def test_redact_query_without_a_scheme() -> None:
    """A reference without a scheme (RFC 3986 section 4.2), as in a Location, loses its user info, too."""
    assert redact_query("//user:word@h/p") == "//h/p"


@given(
    st.sampled_from(["http", "https", "s3"]),
    st.from_regex(r"[a-z0-9.\-]{1,9}", fullmatch=True),
    st.text("abc/@:;=", max_size=9),
    st.text(st.characters(codec="utf-8"), max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_no_query_survives(scheme: str, host: str, path: str, query: str) -> None:
    """Whatever the query, nothing of it is shown."""
    url = f"{scheme}://{host}/{path}"
    assert redact_query(f"{url}?{query}") == redact_query(f"{url}#{query}") == f"{url}?{REDACTED}"
