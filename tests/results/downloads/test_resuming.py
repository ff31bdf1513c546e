"""Exact bytes despite lost connections, odd ranges and other versions."""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from dcipher import (
    IntegrityError,
    Resilience,
    ResultChangedError,
)
from tests.faulty import NOTHING, RESET, FaultyServer, Reply
from tests.results.downloads.stores import (
    BODY,
    MIB,
    ONCE,
    SMALL,
    TWICE,
    assert_saved,
    assert_untouched,
    result_of,
    store,
)
from tests.waiting import no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.conftest import Connect


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB])
def test_exact_bytes_of_a_run(
    connect: Connect, emulator: Emulator, tmp_path: Path, size: int
) -> None:
    """A result of any size arrives byte by byte, nothing included, and its digest is checked."""
    client = connect(emulator)
    run = client.flows.start("bytes", {"size": size})
    while not (run := client.runs.refresh(run)).is_terminal:
        time.sleep(0.02)
    (path,) = client.runs.download(run, tmp_path / "out.bin")
    assert_saved(path, (bytes(range(256)) * (size // 256 + 1))[:size])


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
@pytest.mark.parametrize("size", [0, 1, MIB + 1])
def test_every_framing(
    connect: Connect, server: FaultyServer, target: Path, framing: Any, size: int
) -> None:
    """A body ends by its length, by its last chunk, or with the connection."""
    after: Any = "close" if framing == "none" else "keep"
    server.on("/result", Reply(BODY[:size], framing=framing, after=after))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY[:size])


def test_integrity_can_be_required(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A body that ends with the connection may be incomplete: `require_integrity` rejects it at once."""
    server.on("/result", Reply(SMALL, framing="none", after="close"))
    with pytest.raises(IntegrityError, match="neither a length nor a digest"):
        connect(server).runs.download(result_of(server), target, require_integrity=True)
    assert_untouched(target)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault", [RESET, NOTHING, Reply(b"", 500), Reply(b"", 503), Reply(b"", 429)]
)
def test_a_passing_fault_of_the_store(
    connect: Connect, server: FaultyServer, target: Path, fault: Reply
) -> None:
    """A fault that passes is not noticed."""
    server.on("/result", fault, fault, Reply(SMALL))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


@pytest.mark.parametrize("after", ["reset", "close"])
def test_a_lost_connection_is_resumed(
    connect: Connect, server: FaultyServer, target: Path, after: Any
) -> None:
    """After a lost connection, only the missing bytes of the same version are requested."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=2 * MIB, after=after)
    server.on("/result", first, store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    first, second = server.requests
    assert "range" not in first.headers
    start = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 2 * MIB
    assert second.headers["if-match"] == '"1"'


def test_progress_earns_attempts(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A store that breaks off after each megabyte is followed to the end."""
    server.on("/result", store(BODY, cut=MIB + MIB // 4))
    connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01)).runs.download(
        result_of(server), target
    )
    assert_saved(target, BODY)


def test_no_retries(connect: Connect, server: FaultyServer, target: Path) -> None:
    """`max_retries=0` disables retries for downloads, too."""
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target, kept=True)
    assert len(server.requests) == 1


def test_one_byte_does_not_earn_attempts(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A store that sends one byte per attempt is abandoned after `max_retries`."""
    server.on("/result", store(BODY, cut=1))
    with pytest.raises(IntegrityError, match="Nothing was saved"):
        connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_untouched(target)
    assert len(server.requests) == 3


@pytest.mark.parametrize("etag", ["", 'W/"1"', "1"])
def test_without_a_strong_validator_it_starts_again(
    connect: Connect, server: FaultyServer, target: Path, etag: str
) -> None:
    """Without a strong ETag, nothing is resumed: the next attempt requests everything."""
    server.on("/result", store(BODY, etag=etag, cut=2 * MIB), store(BODY, etag=etag))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert ["range" in request.headers for request in server.requests] == [False, False]


class Odd(NamedTuple):
    """A second answer that does not continue the first one."""

    name: str
    reply: Reply


TAIL = BODY[2 * MIB :]
RANGE = f"bytes {2 * MIB}-{len(BODY) - 1}/{len(BODY)}"


def part(body: bytes, content_range: str, **headers: str) -> Reply:
    return Reply(body, 206, {"ETag": '"1"', "Content-Range": content_range, **headers})


ODD = [
    Odd("the range is ignored", Reply(BODY, 200, {"ETag": '"1"'})),
    Odd("412", Reply(b"", 412)),
    Odd("416", Reply(b"", 416, {"Content-Range": "bytes */5"})),
    Odd("another version, whole", Reply(SMALL, 200, {"ETag": '"2"'})),
    Odd("another version, in part", part(TAIL, RANGE, ETag='"2"')),
    Odd("no version", Reply(TAIL, 206, {"Content-Range": RANGE})),
    Odd("an earlier range", part(BODY[5:], f"bytes 5-{len(BODY) - 1}/{len(BODY)}")),
    Odd("a shorter range", part(TAIL[:9], f"bytes {2 * MIB}-{2 * MIB + 8}/{len(BODY)}")),
    Odd("another size", part(TAIL + b"x", f"bytes {2 * MIB}-{len(BODY)}/{len(BODY) + 1}")),
    Odd("no size", part(TAIL, f"bytes {2 * MIB}-{len(BODY) - 1}/*")),
    Odd("no range", Reply(TAIL, 206, {"ETag": '"1"'})),
    Odd("nonsense", part(TAIL, "bytes one-two/three")),
    Odd(
        "several ranges",
        Reply(b"--x\r\n", 206, {"ETag": '"1"', "Content-Type": "multipart/byteranges; boundary=x"}),
    ),
    Odd("an encoded part", part(gzip.compress(TAIL), RANGE, **{"Content-Encoding": "gzip"})),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_mismatching_parts_are_never_joined(
    connect: Connect, server: FaultyServer, target: Path, odd: Odd
) -> None:
    """A response that is not the rest starts the transfer again: the file is the last version."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=2 * MIB, after="close")
    server.on("/result", first, odd.reply, Reply(BODY, 200, {"ETag": '"3"'}))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_a_result_that_keeps_changing(connect: Connect, server: FaultyServer, target: Path) -> None:
    """If the attempts end with another version, this is the error, and nothing is saved."""
    first = Reply(BODY, 200, {"ETag": '"1"'}, cut=MIB // 2, after="close")
    server.on("/result", first, Reply(b"", 412))
    with pytest.raises(ResultChangedError, match="changed between two parts"):
        connect(server, resilience=Resilience(max_retries=1, backoff_initial=0.01)).runs.download(
            result_of(server), target
        )
    assert_untouched(target)


def test_a_stalled_body_is_resumed(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A stalled body is abandoned after `timeout`, and resumed."""
    stalls = Reply(SMALL, 200, {"ETag": '"1"'}, cut=100_000, after="stall")
    server.on("/result", stalls, store(SMALL))
    connect(server, timeout=1.0).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert server.requests[1].headers["range"] == "bytes=100000-"


def test_a_slow_head(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A head that is sent byte by byte is abandoned, and the request is retried."""
    slow = Reply(BODY, headers={"X-Padding": "x" * 20_000}, trickle=0.01)
    server.on("/result", slow, store(BODY))
    client = connect(server, timeout=httpx.Timeout(0.3), resilience=TWICE)
    with no_hang():
        client.runs.download(result_of(server), target)
    assert_saved(target, BODY)
