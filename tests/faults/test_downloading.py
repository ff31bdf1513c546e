"""A result that arrives slowly, in parts, or not as announced."""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import threading
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import IntegrityError, Resilience
from tests.faulty import Reply
from tests.results.downloads.stores import assert_saved, assert_untouched, result_of, store
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

ONCE = Resilience(max_retries=0)
TWICE = Resilience(max_retries=2, backoff_initial=0.002, backoff_max=0.01)
BODY = bytes(range(256)) * 40


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second stands for the thirty that a transfer may trickle."""
    monkeypatch.setattr("dcipher._results.downloads.transfers.stalls.STALL", 0.5)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_trickle_counts_as_stalled(
    connect: Connect, server: FaultyServer, target: Path, framing: Any
) -> None:
    """A byte now and then is a dead transfer, however fast it began: it is resumed where it stood."""

    def trickle(_: Any) -> Reply:
        return Reply(BODY[:60], length=len(BODY), headers={"ETag": '"1"'}, trickle=0.02)

    def chunks(_: Any) -> Reply:
        head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'
        return Reply(
            raw=head + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY[:2000]), trickle=0.001
        )

    server.on("/result", trickle if framing == "length" else chunks, store(BODY))
    client = connect(server, resilience=TWICE, timeout=2 * HANG)
    client.runs.download(result_of(server), target)
    first, second = server.requests
    assert "range" not in first.headers
    assert second.headers["range"] != "bytes=0-"
    assert second.headers["if-match"] == '"1"'
    assert second.at - first.at < HANG
    assert_saved(target, BODY)


@contextmanager
def slowing(body: bytes, fast: int) -> Iterator[str]:
    """A store that sends so many bytes at once, and then one now and then."""
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(body)}\r\n\r\n'
            connection.sendall(head.encode() + body[:fast])
            for byte in body[fast : fast + 10_000]:
                if ended.wait(0.02):
                    break
                connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/slowing"
        ended.set()
        thread.join(HANG)


@pytest.mark.usefixtures("_impatient")
def test_a_fast_beginning_is_no_excuse(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """What came in the first window does not count in the next ones."""
    whole = b"x" * 500_000 + BODY
    with slowing(whole, 500_000) as url:
        server.on("/result", Reply(status=302, headers={"Location": url}), store(whole))
        client = connect(server, resilience=TWICE, timeout=2 * HANG)
        client.runs.download(result_of(server), target)
    first, second = server.requests
    assert second.headers["range"] != "bytes=0-"
    assert second.at - first.at < HANG
    assert_saved(target, whole)


def test_a_body_without_length_and_digest(
    connect: Connect, server: FaultyServer, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is taken, with a warning that shows no signature, unless a whole one is required."""
    server.on("/result", Reply(BODY, framing="none", after="close"))
    client = connect(server, resilience=TWICE)
    with pytest.raises(IntegrityError, match="neither a length nor a digest"):
        client.runs.download(result_of(server), target, require_integrity=True)
    assert len(server.requests) == 1
    assert_untouched(target)
    client.runs.download(result_of(server), target)
    assert_saved(target, BODY)
    (output,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "neither a length nor a digest" in output
    assert "canary" not in output


def _b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
SHA1 = hashlib.sha1(BODY, usedforsecurity=False).digest()
SHA256 = hashlib.sha256(BODY).digest()
DIGESTS = {
    "Repr-Digest": f"sha-256=:{_b64(SHA256)}:",
    "Content-Digest": f"sha-512=:{_b64(hashlib.sha512(BODY).digest())}:",
    "Content-MD5": _b64(MD5),
    "x-goog-hash": f"crc32c=AAAAAA==,md5={_b64(MD5)}",
    "x-amz-checksum-sha256": _b64(SHA256),
    "x-amz-checksum-sha1": _b64(SHA1),
    "x-amz-checksum-crc32": _b64(zlib.crc32(BODY).to_bytes(4, "big")),
}


def test_a_body_without_length_and_with_a_digest(
    connect: Connect, server: FaultyServer, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A digest that comes true is as good as a length: nothing is warned of, nothing refused."""
    promise = {"Repr-Digest": DIGESTS["Repr-Digest"]}
    server.on("/result", Reply(BODY, 200, promise, framing="none", after="close"))
    client = connect(server, resilience=ONCE)
    client.runs.download(result_of(server), target, require_integrity=True)
    assert_saved(target, BODY)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
@pytest.mark.parametrize(
    "name",
    DIGESTS,
)
def test_a_digest_that_is_not_the_bodys(
    connect: Connect, server: FaultyServer, target: Path, name: str, framing: Any
) -> None:
    """A promised digest that does not come true is noticed, and what was there is left alone."""
    # Said, since otherwise the next request may go out before the end of the connection is seen.
    headers = {name: DIGESTS[name], "Connection": "close"}
    other = Reply(BODY[:-1] + b"!", 200, headers, framing=framing, after="close")
    server.on("/result", other)
    with pytest.raises(IntegrityError, match="digest"):
        connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert len(server.requests) == 3
    assert_untouched(target)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_digest_of_a_file_in_two_parts(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """After a resume the digest is taken over the whole: it comes true, and a damaged part is noticed."""
    whole = store(BODY, cut=4000, **{name: DIGESTS[name]})
    server.on("/result", whole, store(BODY))
    client = connect(server, resilience=TWICE)
    client.runs.download(result_of(server), target)
    assert [request.headers.get("range") for request in server.requests] == [None, "bytes=4000-"]
    assert_saved(target, BODY)


def test_a_damaged_part_under_the_same_etag(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """Bytes that changed behind an unchanged ETag are found by the digest, and fetched anew."""
    promised = store(BODY, cut=4000, **{"Repr-Digest": DIGESTS["Repr-Digest"]})
    server.on("/result", promised, store(BODY[:-1] + b"!"), store(BODY))
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    ranges = [request.headers.get("range") for request in server.requests]
    assert ranges == [None, "bytes=4000-", None]
    assert_saved(target, BODY)


@pytest.mark.parametrize(
    "empty",
    [
        Reply(b""),
        Reply(b"", framing="chunked"),
        Reply(b"", framing="none", after="close"),
        Reply(b"", headers={"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
        Reply(b"", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["length", "chunked", "closed", "digest", "gzip"],
)
def test_nothing_is_a_valid_file(
    connect: Connect, server: FaultyServer, target: Path, empty: Reply
) -> None:
    """A result of no bytes is saved, and asked for once."""
    server.on("/result", empty)
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert len(server.requests) == 1
    assert_saved(target, b"")
