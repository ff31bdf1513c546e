"""Untrusted text, made safe to display."""

from __future__ import annotations

import base64
import html
import json
import time
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._masking.redaction import MANY, REDACTED, redact, relevant_secrets
from dcipher._masking.text import clean, with_article
from dcipher._masking.urls import redact_query, redact_urls
from tests.fuzz.leaks import forms


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
    """One line, without control characters of terminals. Letters of every script remain."""
    assert clean(text) == shown


@pytest.mark.parametrize(("length", "limit"), [(200, 200), (3, 3), (0, 1)])
def test_clean_keeps_short_text(length: int, limit: int) -> None:
    """Text within the limit is unchanged."""
    assert clean("x" * length, limit) == "x" * length


@pytest.mark.parametrize(("length", "limit"), [(201, 200), (10_000_000, 200), (4, 3), (2, 1)])
def test_clean_truncates_long_text(length: int, limit: int) -> None:
    """Longer text is truncated visibly."""
    assert clean("x" * length, limit) == "x" * (limit - 1) + "…"


@given(st.text(st.characters(), max_size=900), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_any_text_becomes_printable(text: str, limit: int) -> None:
    """Short, printable in UTF-8, on one line, without controls. Cleaning it twice changes nothing."""
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert shown.splitlines() in ([], [shown])
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in shown)
    shown.encode()
    assert clean(shown, limit) == shown


def test_every_mark_of_direction_is_removed() -> None:
    """The twelve Bidi_Control characters of Unicode (UAX 9) reorder text: all are removed."""
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert clean(f"a{marks}b") == "a b"


def test_truncation_after_blanks_is_visible() -> None:
    """Truncated text is marked, even if blanks fill the examined part."""
    assert clean("a" + "\n" * 900 + "b").endswith(("b", "…"))


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        ("bad key k-1, k-1!", ["k-1"], f"bad key {REDACTED}, {REDACTED}!"),
        ("one two", ["one", "two"], f"{REDACTED} {REDACTED}"),
        ("a key k", ["k"], "a key k"),
        ("abc", [""], "abc"),
        ("abc", [], "abc"),
    ],
)
def test_secrets_are_masked(text: str, secrets: list[str], masked: str) -> None:
    """Each occurrence of each secret; one of one or two characters masks nothing."""
    assert redact(text, secrets) == masked


SECRET = "emu_k3y+/abcdef=0123"


@pytest.mark.parametrize(
    "written",
    [
        SECRET.replace("/", "&#x2F;"),
        SECRET.replace("/", "&#x2f;").replace("+", "&#043;"),
        SECRET.replace("/", "&#47;").replace("=", "&amp;#61;"),
        SECRET.replace("+", "&plus;").replace("/", "&sol;"),
        "".join(f"&#{ord(character)};" for character in SECRET),
        "".join(f"&#x{ord(character):X};" for character in SECRET),
        SECRET.replace("+", "%2B").replace("/", "%2f"),
        SECRET.replace("+", "%252B").replace("/", "%25252F"),
        SECRET[:9] + "\r\n" + SECRET[9:],
        SECRET[:9] + "\u200b" + SECRET[9:],
        "\0".join(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_in_any_notation(written: str) -> None:
    """As entities, encoded twice, broken into lines, in UTF-16 that was decoded wrongly."""
    shown = redact(f"bad key {written}!", [SECRET])
    assert shown.startswith(f"bad key {REDACTED}")
    assert "emu" not in shown
    assert "0123" not in shown


def test_a_long_secret_is_redacted_quickly() -> None:
    """A session token of a thousand characters needs no second."""
    token, began = "Fwo+/" * 200, time.process_time()
    assert redact(f"a {token} b", [token]) == f"a {REDACTED} b"
    assert time.process_time() - began < 1


def test_very_many_secrets_are_filtered() -> None:
    """Of thousands, only those that the text may contain; of few, all."""
    many = [f"signature+{number:08}" for number in range(20_000)]
    assert relevant_secrets(many[:3], "") == many[:3]
    assert relevant_secrets(many, f"x {many[17_000]}") == (many[17_000],)
    assert len(relevant_secrets(many, " ".join(many))) <= 100


def test_one_secret_may_begin_another() -> None:
    """A secret that begins with another one is redacted completely, in any order of the arguments."""
    assert "tail" not in redact("echo: sk-1.tail", ["sk-1", "sk-1.tail"])


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


def test_redact_query_without_a_scheme() -> None:
    """A reference without a scheme (RFC 3986 section 4.2), as in a Location, loses its user info, too."""
    assert redact_query("//user:word@h/p") == "//h/p"


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("//h:1/p@q", "//h:1/p@q"),
        ("https://u:p@w@h/p", "https://h/p"),
        ("https://u?x@h/p", f"https://u?{REDACTED}"),
        ("p@q", "p@q"),
        ("#f", f"?{REDACTED}"),
    ],
)
def test_redact_query_of_a_reference(reference: str, shown: str) -> None:
    """User info ends at the last @ of the authority, and is nowhere else."""
    assert redact_query(reference) == shown


@pytest.mark.parametrize("url", ["https://h//@x", "https://h/p//user@x", "/p//a@b"])
def test_a_path_has_no_user_info(url: str) -> None:
    """RFC 3986 section 3.2: // begins an authority only after the scheme, or at the start."""
    assert redact_query(url) == url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("no URL? none at all", "no URL? none at all"),
        ("see https://h/p.", "see https://h/p."),
        ("see https://h/p?a=1&b=2 and more?", f"see https://h/p?{REDACTED} and more?"),
        ("https://h/a?b https://h/c#d", f"https://h/a?{REDACTED} https://h/c?{REDACTED}"),
        ("HTTP://H/p?a", f"HTTP://H/p?{REDACTED}"),
        ("https://h?a=https://o/p?b", f"https://h?{REDACTED}"),
        ('<a href="https://h/p?a=1&amp;b=2">x</a>', f'<a href="https://h/p?{REDACTED}">x</a>'),
        ('{"u":"https://h/p?a=1","n":1}', f'{{"u":"https://h/p?{REDACTED}","n":1}}'),
        (r'{"u":"https:\/\/h\/p?a=1"}', rf'{{"u":"https:\/\/h\/p?{REDACTED}"}}'),
        ("https://h/p?", "https://h/p?" + REDACTED),
        ("s3://b/p?versionId=1", "s3://b/p?versionId=1"),
        ("https://h/it's/p?a=1 x", f"https://h/it's/p?{REDACTED} x"),
        ("at 'https://h/p?a='b': no", f"at 'https://h/p?{REDACTED}': no"),
        ("GET /r?X-Amz-Signature=S1G failed", f"GET /r?X-Amz-Signature={REDACTED} failed"),
        ("s3://b/p?v=1&sig=S1G&x=2", f"s3://b/p?v=1&sig={REDACTED}&x=2"),
        ("u=https%3A%2F%2Fh%3FSignature%3DS1G", f"u=https%3A%2F%2Fh%3FSignature%3D{REDACTED}"),
        ("https://h/p?a=1\nnext", f"https://h/p?{REDACTED}\nnext"),
    ],
)
def test_redact_urls(text: str, shown: str) -> None:
    """The query and fragment of each URL are redacted up to its end. The rest is unchanged."""
    assert redact_urls(text) == shown


@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["https://h/p", "http://h", r"https:\/\/h\/p"]),
    st.text("abcXYZ019-._~%:/@!$&()*+,;=?", max_size=20),
    st.sampled_from(["", " ", '"', "\n", ">", "</a>"]),
)
@settings(max_examples=150, deadline=None)
def test_no_signature_remains(before: str, url: str, query: str, after: str) -> None:
    """Nothing of the query of a URL remains at any position. Redacting twice changes nothing."""
    shown = redact_urls(f"{before} {url}?{query}SIGNATURE{after}")
    assert "SIGNATURE" not in shown.removeprefix(before)
    assert shown.endswith(f"?{REDACTED}{after}")
    assert redact_urls(shown) == shown


@given(
    st.sampled_from(["http", "https", "s3"]),
    st.from_regex(r"[a-z0-9.\-]{1,9}", fullmatch=True),
    st.lists(st.text("abc@:;=", min_size=1, max_size=3), max_size=3).map("/".join),
    st.text(st.characters(codec="utf-8"), max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_no_query_remains(scheme: str, host: str, path: str, query: str) -> None:
    """No query is shown."""
    url = f"{scheme}://{host}/{path}"
    assert redact_query(f"{url}?{query}") == redact_query(f"{url}#{query}") == f"{url}?{REDACTED}"


@pytest.mark.parametrize(
    ("noun", "shown"),
    [
        *(("object", "an object"), ("int", "an int"), ("Int64Scalar", "an Int64Scalar")),
        *(("set", "a set"), ("bytes", "a bytes"), ("Decimal", "a Decimal"), ("", "a ")),
        *(
            ("UUID", "a UUID"),
            ("uint8", "a uint8"),
            ("union", "a union"),
            ("unknown", "an unknown"),
        ),
        *(("ndarray", "an ndarray"), ("NAType", "an NAType"), ("SSLContext", "an SSLContext")),
        *(("Series", "a Series"), ("HTML", "an HTML"), ("Namespace", "a Namespace")),
    ],
)
def test_articles_follow_pronunciation(noun: str, shown: str) -> None:
    """The name of a type has the article that a reader would say."""
    assert with_article(noun) == shown


# However a text is written, and how long that takes

HARD = 'k3y+/é "<0>&=_%'


@pytest.mark.parametrize("secret", [SECRET, HARD, "canary-cred%2F6", "a" * 40, "pässwörd 1"])
@pytest.mark.parametrize("before", ["", "x", "é ", "%", "\\", "&"])
def test_every_form_is_redacted(secret: str, before: str) -> None:
    """Each notation of a library, and one within another, at any position."""
    for form in forms(secret):
        for text in {form, quote(form, safe=""), json.dumps(form)[1:-1], html.escape(form)}:
            shown = redact(f"{before}{text} after", [secret])
            assert not any(other in shown for other in forms(secret)), (form, text, shown)
            assert shown.endswith(" after")
            assert shown.startswith(before)


@given(st.text(max_size=40), st.text(min_size=3, max_size=12), st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_secret_is_redacted_and_nothing_else(before: str, secret: str, after: str) -> None:
    """The text around a secret remains, whatever characters it has."""
    shown = redact(f"{before}|{secret}|{after}", [secret])
    assert shown.count("|") >= 2 or "|" in secret
    if secret not in f"{before}|" and secret not in f"|{after}":
        assert secret not in shown or secret in REDACTED


@given(st.text("ab%2Fu\\&amp;#x;é\n\0", max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_text_without_the_secret_is_unchanged(text: str) -> None:
    """Complete and truncated escapes are unchanged."""
    assert redact(text, ["no such secret", "zz/zz"]) == text


@pytest.mark.parametrize("written", [SECRET, quote(SECRET, safe=""), "\r\n".join(SECRET)])
def test_the_beginning_of_a_secret_at_the_end_is_redacted(written: str) -> None:
    """A truncated text may end within a secret: from three characters on, no part of it is shown."""
    whole = redact(written, [SECRET])
    assert whole == REDACTED
    for end in range(len(written) // 4, len(written)):
        shown = redact(f"key: {written[:end]}", [SECRET], is_cut=True)
        assert "emu" not in shown
        assert "e\r\nm" not in shown
    assert redact("some emu", [SECRET]) == "some emu"


ENDLESS = [
    "a",
    "%25",
    "%2525",
    "%41b",
    "\\",
    "\\u0041",
    "&amp;",
    "&#x41;",
    "\0a",
    "https://",
    "?sig",
]


@pytest.mark.parametrize("piece", [*ENDLESS, "?token%25", "'", '"\\', "%3f", "&amp;#", "a\n"])
def test_no_text_takes_long(piece: str) -> None:
    """A hundred secrets in any 64 KiB need only a moment."""
    text = (piece * 65_536)[:65_536]
    secrets = [f"{'a' * 60}{number}" for number in range(MANY)]
    began = time.process_time()
    for is_cut in (False, True):
        redact_urls(redact(text, secrets, is_cut=is_cut))
    assert time.process_time() - began < 10  # it was minutes


@pytest.mark.thorough
@pytest.mark.parametrize("piece", ENDLESS)
def test_the_time_is_linear(piece: str) -> None:
    """Twice the text needs twice the time."""

    def seconds(length: int) -> float:
        text = (piece * length)[:length]
        taken = []
        for _ in range(3):
            began = time.process_time()
            redact_urls(redact(text, ["a" * 200, SECRET]))
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(1 << 20) < 6 * seconds(1 << 18) + 0.05


def test_a_long_text_of_escapes_is_redacted_completely() -> None:
    """Decoding millions of escapes would need seconds. A long text without them is searched."""
    assert redact("a%61" * 100_000, [SECRET]) == REDACTED
    lines = "a line\n" * 100_000
    assert redact(lines + SECRET, [SECRET]) == lines + REDACTED
