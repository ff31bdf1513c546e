"""Stored requests and responses: bounded, and without secrets."""

from __future__ import annotations

import base64
import html
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.gate.exchanges import KEPT, READ, Exchange, Exchanges
from dcipher.emulator.gate.journal import (
    Journal,
    RequestRecord,
    masked_headers,
    masked_query,
    size_of,
)
from dcipher.emulator.gate.masking import (
    is_secret_name,
    masked_body,
    masked_json,
    masked_text,
    masked_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "emu_aB3-_x/7+Kq9.Zt5"


def exchange(asked: bytes, *answered: bytes, secrets: tuple[str, ...] = ()) -> Exchange:
    """Returns the stored data of one request."""
    exchanges = Exchanges(secrets=secrets)
    recording = exchanges.record("1")
    recording.record_request(asked)
    headers = [(b"Set-Cookie", b"canary"), (b"ETag", b'"1"')]
    recording.record_response({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in answered:
        recording.record_response({"type": "http.response.body", "body": chunk, "more_body": True})
    assert exchanges.get("1") is None
    recording.record_response({"type": "http.response.body", "body": b""})
    recording.finish()
    kept = exchanges.get("1")
    assert kept is not None
    return kept


def test_both_sides_are_stored() -> None:
    """Bodies as text with their sizes, and the redacted headers of the response."""
    kept = exchange(b'{"a": 1}', b"b", b"c")
    assert (kept.request.text, kept.request.size, kept.request.whole) == ('{"a": 1}', 8, True)
    assert (kept.response.text, kept.response.size, kept.response.whole) == ("bc", 2, True)
    assert kept.response_headers == {"set-cookie": "***", "etag": '"1"'}


def test_a_long_response_is_truncated() -> None:
    """The beginning of a long text is stored, also if it is truncated within a character."""
    kept = exchange(b"", b"x" + "é".encode() * KEPT, b"y")
    assert kept.response.text == "x" + "é" * ((KEPT - 1) // 2)
    assert (kept.response.size, kept.response.whole) == (2 * KEPT + 2, False)


def test_a_long_request_is_truncated_or_not_stored() -> None:
    """A request that is too long to search for secrets is not stored; only its size is."""
    cut = exchange(json.dumps({"text": "x" * KEPT}).encode()).request
    assert (len(cut.text or ""), cut.whole) == (KEPT, False)
    left = exchange(json.dumps({"password": "canary", "text": "x" * READ}).encode()).request
    assert (left.text, left.whole, left.size > READ) == (None, False, True)


@pytest.mark.parametrize("body", [b"\x00\x01", b"\xff\xfe", b"caf\xc3"])
def test_binary_bodies_are_not_stored(body: bytes) -> None:
    """Only the size of bytes that are not text is stored."""
    kept = exchange(body)
    assert (kept.request.text, kept.request.size, kept.request.whole) == (None, len(body), False)


def test_secrets_are_redacted_when_they_are_recorded() -> None:
    """No side has the key, the value of a secret, or the query of a signed URL."""
    asked = json.dumps({"pipelineParams": {"password": "canary", "note": "emu_canary"}}).encode()
    answered = b'{"signedResponseURL":"https://h/r?Expires=1\\u0026Signature=canary"}'
    kept = exchange(asked, answered, secrets=("emu_canary",))
    assert "canary" not in repr(kept)
    assert json.loads(kept.response.text or "")["signedResponseURL"] == "https://h/r?***"


def test_only_the_last_are_stored() -> None:
    """The oldest are removed. A reset removes all."""
    exchanges = Exchanges(limit=2)
    for number in "123":
        exchanges.record(number).finish()
    assert [exchanges.get(n) is not None for n in "123"] == [False, True, True]
    exchanges.clear()
    assert exchanges.get("3") is None


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "apiKey", "APIKey", "X-API-Key", "sessionToken", "client_secret",
     "accesstoken", "Authorization", "Set-Cookie", "Signature", "private-key", "AWSSecretKey"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """Secret names are detected in any notation."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["keyword", "keywords", "key", "sort_key", "max_tokens", "author", "monkey", "text", ""]
)
def test_other_names(name: str) -> None:
    """A param that only resembles one is shown."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ('{"a" : 1.0}', '{"a" : 1.0}'),
        ('{"token": null}', '{"token": null}'),
        ('{"token": {"deep": ["canary"]}}', '{"token":"***"}'),
        ('[{"a": "https://h/x?a=canary b"}]', '[{"a":"https://h/x?*** b"}]'),
        ('{"token": "canary', '{"token": "***"'),
        ('{"token": "can\\"ary", "a": 1', '{"token": "***", "a": 1'),
        ('{"token": 123456, "b":', '{"token": "***", "b":'),
        ('{"token": {"a": ["canary"]}, "b":', '{"token": "***", "b":'),
        ('{"token": ["}]", {"a": "canary', '{"token": "***"'),
        ('5" wide: {"token": "canary", "a":', '5" wide: {"token": "***", "a":'),
        ('{"a": "\\\\", "token": "canary\\', '{"a": "\\\\", "token": "***"'),
        ('{"u": "https:\\/\\/h\\/x?canary\\u0026canary", "b":', '{"u": "https:\\/\\/h\\/x?***", "b":'),
        ("plain https://h/x?canary end", "plain https://h/x?*** end"),
        ("[" * 5000, "[" * 5000),
    ],
)  # fmt: skip
def test_bodies_are_redacted(body: str, masked: str) -> None:
    """Complete JSON by its values; truncated JSON and other text by patterns. The rest is unchanged."""
    assert masked_body(body) == masked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["token", "api_key", "Password"]))
def test_no_depth_hides_a_secret(value: object, name: str) -> None:
    """A secret at any depth of any JSON is not shown."""
    wrapped = {"around": [value, {name: [value, "canary-value"]}], "url": "https://h/?canary-value"}
    assert "canary-value" not in masked_body(json.dumps(wrapped))
    assert "canary-value" not in json.dumps(masked_value(wrapped))  # type: ignore[arg-type]


SIZE = 128 * 1024


@pytest.mark.parametrize(
    "unit",
    ['\\"', '"', "\\", '":', '"token":', '"token":{', '"a" ', "http://", "http://a?", "%25", "&amp;",
     "&#0", "&", "\\u0065", "A", "emu_aB3-", '"a":"', " "],
)  # fmt: skip
def test_the_time_of_redaction_is_linear(unit: str) -> None:
    """No text takes quadratic time, which would be minutes here."""
    text = '"' + unit * (SIZE // len(unit))
    began = monotonic()
    masked_body(text, [KEY])
    assert monotonic() - began < 60


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "URL": lambda text: quote(text, safe=""),
    "URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "each character": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text.replace("/", "\\/")})),
    "HTML": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "URL in HTML": lambda text: html.escape("a=1&b=" + quote(text, safe="")),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in the midst": lambda text: base64.b64encode(f"me:{text}:x".encode()).decode(),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(f"m:{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_known_secret_is_found_in_any_encoding(encode: Callable[[str], str]) -> None:
    """In text, JSON, a header, a query and names. The surrounding text remains."""
    hidden = encode(KEY)
    body = {"text": f"before {hidden} after", hidden: 1, "other": "visible"}
    headers = masked_headers({"x-note": f"see {hidden}", "accept": "visible"}, [KEY])
    assert headers == {"x-note": "***", "accept": "visible"}
    for shown in (
        masked_text(f"before {hidden} after", [KEY]),
        masked_body(json.dumps(body), [KEY]),
        masked_body(json.dumps(body)[:-1], [KEY]),
        masked_query(f"a={quote(hidden)}&{quote(hidden)}=1&b=visible", [KEY]),
        masked_json(json.dumps(body).encode(), [KEY]).decode(),
    ):
        assert hidden not in shown
        assert KEY not in shown
        assert any(word in shown for word in ("after", "visible"))
        assert masked_text(shown, [KEY]) == shown


def test_a_short_secret_does_not_break_json_of_the_emulator() -> None:
    """If a secret is a word, the names of fields remain, because programs read them."""
    assert json.loads(masked_json(b'{"status": "the status"}', ["status"])) == {"status": "the ***"}
    assert masked_json(b'{"a": "a"}', ["a", "zz"]) == b'{"a": "a"}'


def test_known_secrets_are_found_anywhere() -> None:
    """In names and in texts."""
    assert masked_value({"a-KEY": "b KEY c"}, ["KEY"]) == {"a-***": "b *** c"}
    assert masked_text("KEY", ["KEY"]) == "***"


def record(path: str) -> RequestRecord:
    now = datetime.now(timezone.utc)
    return RequestRecord("GET", path, "", 200, {}, None, path, now)


def test_the_journal_is_bounded_by_size() -> None:
    """Large heads remove older requests, and so do many small headers. The newest one remains."""
    journal = Journal(size=1_000_000)
    for number in range(40):
        headers = {"x": "y" * 60_000} if number % 2 else {f"h{n}": "" for n in range(600)}
        at = datetime.now(timezone.utc)
        journal.add(RequestRecord("GET", f"/{number}", "", 200, headers, None, str(number), at))
    kept = journal.records()
    assert 10 < len(kept) < 20
    assert sum(map(size_of, kept)) <= 1_000_000
    assert [one.path for one in kept] == [f"/{number}" for number in range(40 - len(kept), 40)]
    assert [number for number, _ in journal.since(38)] == [39, 40]
    journal.clear()
    journal.add(record("/after"))
    assert [one.path for one in journal.records()] == ["/after"]


def test_exchanges_are_bounded_by_size() -> None:
    """Fewer long bodies than short ones are stored."""
    exchanges = Exchanges(size=1_000_000)
    for number in range(100):
        recording = exchanges.record(str(number))
        recording.record_request("\N{GRINNING FACE}".encode() * KEPT)
        recording.finish()
    kept = [exchanges.get(str(number)) for number in range(100)]
    assert kept[-1] is not None
    assert sum(one.size for one in kept if one) <= 1_000_000


def test_the_journal_numbers_its_requests() -> None:
    """The number of a request remains when older ones are removed. A reset begins with 1."""
    journal = Journal(limit=3)
    for number in range(1, 6):
        journal.add(record(f"/{number}"))
    assert journal.count == 5
    assert [(n, r.path) for n, r in journal.since(0)] == [(3, "/3"), (4, "/4"), (5, "/5")]
    assert [n for n, _ in journal.since(4)] == [5]
    assert journal.since(5) == journal.since(99) == ()
    found = [journal.get(number) for number in (2, 3, 5, 6)]
    assert [r and r.path for r in found] == [None, "/3", "/5", None]
    journal.clear()
    assert (journal.count, journal.since(0), journal.get(1)) == (0, (), None)
