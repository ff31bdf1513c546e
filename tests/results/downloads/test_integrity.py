"""A truncated, damaged or wrong body is never accepted as the result."""

from __future__ import annotations

import base64
import gzip
import hashlib
import traceback
import zlib
from typing import TYPE_CHECKING, NamedTuple

import pytest

from dcipher import (
    IntegrityError,
    Resilience,
    ResultError,
)
from tests.faulty import FaultyServer, Reply
from tests.results.downloads.stores import (
    MIB,
    ONCE,
    SMALL,
    TWICE,
    assert_saved,
    assert_untouched,
    result_of,
    store,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect


class Broken(NamedTuple):
    """A body that differs from its promise."""

    name: str
    reply: Reply


def digest_of(body: bytes, name: str) -> str:
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


def promised(headers: dict[str, str]) -> Reply:
    return Reply(SMALL, 200, headers)


MEMBERS = gzip.compress(SMALL[:1000]) + gzip.compress(SMALL[1000:])
GZIP = {"Content-Encoding": "gzip"}
WRONG = {
    "Repr-Digest": f"sha-256=:{digest_of(b'x', 'sha256')}:",
    "Content-Digest": f"sha-512=:{digest_of(b'x', 'sha512')}:",
    "Content-MD5": digest_of(b"x", "md5"),
    "x-goog-hash": f"crc32c=AAAAAA==,md5={digest_of(b'x', 'md5')}",
    "x-amz-checksum-sha256": digest_of(b"x", "sha256"),
    "x-amz-checksum-sha1": digest_of(b"x", "sha1"),
}
BROKEN = [
    Broken("too short", Reply(SMALL, length=len(SMALL) + 1, after="close")),
    Broken("chunks without an end", Reply(SMALL, framing="chunked", cut=1000, after="close")),
    Broken("half a gzip", Reply(gzip.compress(SMALL)[:-9], 200, GZIP)),
    Broken("half a second member", Reply(MEMBERS[:-5], 200, GZIP)),
    Broken("garbage after a gzip", Reply(gzip.compress(SMALL) + b"x" * 40, 200, GZIP)),
    Broken("no gzip at all", Reply(SMALL, 200, GZIP)),
    Broken("a bomb", Reply(gzip.compress(b"\0" * 64 * MIB), 200, GZIP)),
    *(Broken(name, promised({name: value})) for name, value in WRONG.items()),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_damaged_body_is_not_saved(
    connect: Connect, server: FaultyServer, target: Path, broken: Broken
) -> None:
    """A truncated, damaged or different body leaves the old file and no debris."""
    server.on("/result", broken.reply)
    client = connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01))
    with pytest.raises(IntegrityError):
        client.runs.download(result_of(server), target)
    assert_untouched(target)


@pytest.mark.parametrize("broken", BROKEN[:6] + BROKEN[8:], ids=lambda broken: broken.name)
def test_a_damaged_body_is_fetched_again(
    connect: Connect, server: FaultyServer, target: Path, broken: Broken
) -> None:
    """A damaged body is fetched again from its start."""
    server.on("/result", broken.reply, Reply(SMALL))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


def test_a_damaged_gzip_leaves_nothing_in_the_next_attempt(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """The output before the damage is not in the file of the next attempt."""
    text = SMALL.hex().encode()
    good = gzip.compress(text)
    bad = good[: len(good) // 2] + b"\0" * 64 + good[len(good) // 2 + 64 :]
    server.on("/result", Reply(bad, 200, GZIP, trickle=0), Reply(good, 200, GZIP))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, text)


@pytest.mark.parametrize("flaw", ["checksum", "length"])
def test_a_wrong_gzip_trailer_leaves_nothing_in_the_next_attempt(
    connect: Connect, server: FaultyServer, target: Path, flaw: str
) -> None:
    """A gzip with a wrong checksum or length is fetched again, and only the valid one is in the file."""
    good = gzip.compress(SMALL)
    bad = good[:-8] + b"\0\0\0\0" + good[-4:] if flaw == "checksum" else good[:-4] + b"\0\0\0\1"
    server.on("/result", Reply(bad, 200, GZIP), Reply(good, 200, GZIP))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", gzip.compress(SMALL)),
        ("x-gzip", gzip.compress(SMALL)),
        ("GZIP", MEMBERS),
        ("gzip", gzip.compress(b"") + MEMBERS + gzip.compress(b"")),
        ("deflate", zlib.compress(SMALL)),
        ("identity", SMALL),
    ],
)
def test_an_unrequested_encoding_is_decoded(
    connect: Connect, server: FaultyServer, target: Path, name: str, body: bytes
) -> None:
    """An encoding that was not requested is decoded, to the last member."""
    server.on("/result", Reply(body, 200, {"Content-Encoding": name}))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "of-our-own"])
def test_an_unknown_encoding_is_saved_unchanged(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The bytes were paid for: they are saved, with a warning. Reading them is an error with the reason."""
    server.on("/result", Reply(SMALL, 200, {"Content-Encoding": name, "ETag": '"1"'}))
    client = connect(server, resilience=ONCE)
    client.runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert "the file is saved encoded" in caplog.text
    with pytest.raises(IntegrityError, match=r"encoding.* is not supported.*runs\.download"):
        client.runs.read(result_of(server))


def test_an_unknown_encoding_has_no_integrity(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """With `require_integrity`, a result in an unknown encoding is an error."""
    server.on("/result", Reply(SMALL, 200, {"Content-Encoding": "br"}))
    with pytest.raises(IntegrityError, match="'br' is not supported"):
        connect(server).runs.download(result_of(server), target, require_integrity=True)
    assert_untouched(target)


@pytest.mark.parametrize("name", ["aws-chunked", "aws-chunked,gzip", "gzip, aws-chunked", "utf-8"])
def test_values_that_are_not_encodings(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """Other values of the header change no byte. An encoding beside them is decoded."""
    body = gzip.compress(SMALL) if "gzip" in name else SMALL
    server.on("/result", Reply(body, 200, {"Content-Encoding": name}))
    client = connect(server, resilience=ONCE)
    client.runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert client.runs.read(result_of(server), bytes) == SMALL


def test_an_encoded_result_is_not_resumed(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A reset in an encoded body begins it anew."""
    body = gzip.compress(SMALL)
    headers = {**GZIP, "ETag": '"1"'}
    server.on(
        "/result", Reply(body, 200, headers, cut=200_000, after="close"), Reply(body, 200, headers)
    )
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert "range" not in server.requests[1].headers


@pytest.mark.parametrize("name", [*WRONG])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_right_digest_is_accepted(
    connect: Connect, server: FaultyServer, target: Path, name: str, resumed: bool
) -> None:
    """Each kind of digest is computed over the complete file, also after a resume."""
    value = WRONG[name]
    for algorithm in ("sha256", "sha512", "md5", "sha1"):
        value = value.replace(digest_of(b"x", algorithm), digest_of(SMALL, algorithm))
    good = store(SMALL, **{name: value})
    bad = store(SMALL, cut=100_000, **{name: value})
    server.on("/result", *([bad, good] if resumed else [good]))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert len(server.requests) == 1 + resumed


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": f'"{hashlib.md5(b"x").hexdigest()}"'},  # noqa: S324
        {"x-amz-checksum-sha256": f"{digest_of(b'x', 'sha256')}-3"},
        {"Content-MD5": "not base64"},
        {"Repr-Digest": "sha-256"},
        {"Repr-Digest": "unixsum=30637"},
        {"x-goog-hash": "crc32c=AAAAAA=="},
    ],
)
def test_other_checksums_are_ignored(
    connect: Connect, server: FaultyServer, target: Path, headers: dict[str, str]
) -> None:
    """An ETag, a checksum of parts, and invalid values promise nothing."""
    server.on("/result", Reply(SMALL, 200, headers))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


ROWS = b'[{"name": "canary-77"}]'


@pytest.mark.parametrize("status", [201, 202, 204, 205, 207, 208, 226, 299, 304, 302, 206])
@pytest.mark.parametrize("kind_of_body", ["application/json", "text/plain", None])
def test_an_unexpected_success_shows_no_body(
    connect: Connect, server: FaultyServer, target: Path, status: int, kind_of_body: str | None
) -> None:
    """Below 400, the body may be the result: the error has the status, and no value of it."""
    headers = {} if kind_of_body is None else {"Content-Type": kind_of_body}
    body = b"" if status in {204, 205, 304} else ROWS
    server.on("/result", Reply(body, status, headers))
    with pytest.raises(ResultError) as caught:
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert str(status) in str(caught.value)
    assert "canary" not in repr(caught.value)
    assert_untouched(target)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + ROWS,
        CHUNKED + b"2\r\n[{\r\n" + ROWS,
        CHUNKED + b"0\r\n" + ROWS,
        b"HTTP/1.1 200 OK\r\n" + ROWS,
        ROWS,
    ],
    ids=["first chunk", "second chunk", "trailer", "header", "status"],
)
def test_a_row_in_place_of_framing_is_not_shown(
    connect: Connect, server: FaultyServer, target: Path, answer: bytes
) -> None:
    """The HTTP parser quotes an invalid line. If that is a row, the error has no value of it."""
    server.on("/result", Reply(raw=answer + b"\r\n\r\n", after="close"))
    with pytest.raises(ResultError, match="RemoteProtocolError: illegal") as caught:
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert_untouched(target)


@pytest.mark.parametrize(
    ("headers", "is_shown"),
    [
        ({}, True),
        ({"Content-Type": "application/xml"}, True),
        ({"Content-Type": "application/problem+json; charset=utf-8"}, True),
        ({"Content-Type": "text/csv"}, False),
        ({"Content-Type": "application/x-ndjson"}, False),
        ({"Content-Type": "application/vnd.apache.parquet"}, False),
        ({"Content-Type": "application/octet-stream"}, False),
        ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, False),
    ],
    ids=str,
)
def test_excerpts(
    connect: Connect, server: FaultyServer, target: Path, headers: dict[str, str], is_shown: bool
) -> None:
    """The text of a store about an error is shown; a table or a file is not, for any status."""
    server.on("/result", Reply(b"name: canary-77", 403, headers))
    with pytest.raises(ResultError) as caught:
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert ("canary" in str(caught.value)) is is_shown


def test_a_203_is_saved_if_it_is_complete(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """RFC 9110 section 15.3.4: 203 is a 200 from a proxy. Length and digest are checked."""
    server.on("/result", Reply(ROWS, 203, {"Content-Type": "application/json"}))
    client = connect(server, resilience=ONCE)
    client.runs.download(result_of(server), target)
    assert_saved(target, ROWS)
    assert client.runs.read(result_of(server)) == [{"name": "canary-77"}]
    for broken in (
        Reply(ROWS, 203, length=len(ROWS) + 1, after="close"),
        Reply(ROWS, 203, {"Repr-Digest": f"sha-256=:{digest_of(b'x', 'sha256')}:"}),
    ):
        server.on("/result", broken)
        with pytest.raises(IntegrityError) as caught:
            client.runs.download(result_of(server), target)
        assert "canary" not in repr(caught.value)


def test_a_203_is_not_resumed(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A 203 that is interrupted is fetched again from its start: its ETag is not that of the proxy."""
    server.on(
        "/result",
        Reply(SMALL, 203, {"ETag": '"1"'}, cut=1000, after="close"),
        Reply(SMALL, 200, {"ETag": '"1"'}),
    )
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert all("range" not in request.headers for request in server.requests)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["in the head", "for a chunk", "for a body", "after an interim answer", "after a refusal"],
)
def test_bytes_that_are_not_http_are_retried(
    connect: Connect, server: FaultyServer, target: Path, head: bytes
) -> None:
    """They are a lost response, wherever they begin. The body of a final status is ignored."""
    garbage = b"\x00\xff\x13garbage\r\n\r\n"
    server.on("/result", Reply(raw=head + garbage, after="close"), Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    server.on("/result", Reply(raw=b"HTTP/1.1 405 No\r\n\r\n" + garbage, after="close"))
    with pytest.raises(ResultError, match="the store returned 405"):
        connect(server).runs.download(result_of(server), target)
    assert len(server.requests) == 3
