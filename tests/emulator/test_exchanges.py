"""What is kept of requests: bounded, and without secrets."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher.emulator.exchanges import KEPT, READ, Exchange, Exchanges
from dcipher.emulator.journal import Journal, RequestRecord
from dcipher.emulator.masking import is_secret_name, masked_body, masked_text, masked_value


def exchange(asked: bytes, *answered: bytes, secrets: tuple[str, ...] = ()) -> Exchange:
    """What is kept of one request."""
    exchanges = Exchanges(secrets=secrets)
    recording = exchanges.record("1")
    recording.asked(asked)
    headers = [(b"Set-Cookie", b"canary"), (b"ETag", b'"1"')]
    recording.hear({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in answered:
        recording.hear({"type": "http.response.body", "body": chunk, "more_body": True})
    assert exchanges.get("1") is None
    recording.hear({"type": "http.response.body", "body": b""})
    recording.finish()
    kept = exchanges.get("1")
    assert kept is not None
    return kept


def test_both_sides_are_kept() -> None:
    """Bodies as text with their sizes, and the answer's headers without what they must not show."""
    kept = exchange(b'{"a": 1}', b"b", b"c")
    assert (kept.request.text, kept.request.size, kept.request.whole) == ('{"a": 1}', 8, True)
    assert (kept.answer.text, kept.answer.size, kept.answer.whole) == ("bc", 2, True)
    assert kept.answer_headers == {"set-cookie": "***", "etag": '"1"'}


def test_a_long_answer_is_cut() -> None:
    """Of a long text the beginning is kept, also where the cut goes through a character."""
    kept = exchange(b"", b"x" + "é".encode() * KEPT, b"y")
    assert kept.answer.text == "x" + "é" * ((KEPT - 1) // 2)
    assert (kept.answer.size, kept.answer.whole) == (2 * KEPT + 2, False)


def test_a_long_request_is_cut_or_not_kept() -> None:
    """What is too long to be searched for secrets is not kept at all; its size is."""
    cut = exchange(json.dumps({"text": "x" * KEPT}).encode()).request
    assert (len(cut.text or ""), cut.whole) == (KEPT, False)
    left = exchange(json.dumps({"password": "canary", "text": "x" * READ}).encode()).request
    assert (left.text, left.whole, left.size > READ) == (None, False, True)


@pytest.mark.parametrize("body", [b"\x00\x01", b"\xff\xfe", b"caf\xc3"])
def test_what_is_not_text_is_not_kept(body: bytes) -> None:
    """Of bytes that are no text only the number is known."""
    kept = exchange(body)
    assert (kept.request.text, kept.request.size, kept.request.whole) == (None, len(body), False)


def test_secrets_are_masked_when_they_are_recorded() -> None:
    """Neither side keeps the key, a secret's value, or the query of a signed URL."""
    asked = json.dumps({"pipelineParams": {"password": "canary", "note": "emu_canary"}}).encode()
    answered = b'{"signedResponseURL":"https://h/r?Expires=1\\u0026Signature=canary"}'
    kept = exchange(asked, answered, secrets=("emu_canary",))
    assert "canary" not in repr(kept)
    assert json.loads(kept.answer.text or "")["signedResponseURL"] == "https://h/r?***"


def test_only_the_last_are_kept() -> None:
    """The oldest go; a reset forgets all."""
    exchanges = Exchanges(limit=2)
    for number in "123":
        exchanges.record(number).finish()
    assert [exchanges.get(n) is not None for n in "123"] == [False, True, True]
    exchanges.forget()
    assert exchanges.get("3") is None


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "apiKey", "APIKey", "X-API-Key", "sessionToken", "client_secret",
     "accesstoken", "Authorization", "Set-Cookie", "Signature", "private-key", "AWSSecretKey"],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    """However their words are put together."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["keyword", "keywords", "key", "sort_key", "max_tokens", "author", "monkey", "text", ""]
)
def test_other_names_are_not(name: str) -> None:
    """A param that only sounds like one is shown."""
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
        ('{"u": "https:\\/\\/h\\/x?canary\\u0026canary", "b":', '{"u": "https:\\/\\/h\\/x?***", "b":'),
        ("plain https://h/x?canary end", "plain https://h/x?*** end"),
        ("[" * 5000, "[" * 5000),
    ],
)  # fmt: skip
def test_bodies_are_masked(body: str, masked: str) -> None:
    """Whole JSON by its values, a part of it and other text by its looks; the rest stays as it is."""
    assert masked_body(body) == masked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["token", "api_key", "Password"]))
def test_no_depth_hides_a_secret(value: object, name: str) -> None:
    """Wherever it stands in whatever JSON, a secret is not in what is shown."""
    wrapped = {"around": [value, {name: [value, "canary-value"]}], "url": "https://h/?canary-value"}
    assert "canary-value" not in masked_body(json.dumps(wrapped))
    assert "canary-value" not in json.dumps(masked_value(wrapped))  # type: ignore[arg-type]


def test_known_secrets_are_found_anywhere() -> None:
    """In names and in texts, too."""
    assert masked_value({"a-KEY": "b KEY c"}, ["KEY"]) == {"a-***": "b *** c"}
    assert masked_text("KEY", ["KEY"]) == "***"


def record(path: str) -> RequestRecord:
    now = datetime.now(timezone.utc)
    return RequestRecord("GET", path, "", 200, {}, None, path, now)


def test_the_journal_numbers_its_requests() -> None:
    """A number stays a request's own while older ones are let go; a reset begins with 1 again."""
    journal = Journal(limit=3)
    for number in range(1, 6):
        journal.add(record(f"/{number}"))
    assert journal.count == 5
    assert [(n, r.path) for n, r in journal.since(0)] == [(3, "/3"), (4, "/4"), (5, "/5")]
    assert [n for n, _ in journal.since(4)] == [5]
    assert journal.since(5) == journal.since(99) == ()
    found = [journal.get(number) for number in (2, 3, 5, 6)]
    assert [r and r.path for r in found] == [None, "/3", "/5", None]
    journal.forget()
    assert (journal.count, journal.since(0), journal.get(1)) == (0, (), None)
