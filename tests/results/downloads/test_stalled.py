"""A download without bytes of the body is stalled, whatever else is received."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import IntegrityError, Resilience, ResultError
from tests.faulty import Reply
from tests.results.downloads.stores import ONCE, SMALL, assert_saved, result_of
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b"5\r\nhello\r\n"
FRAMING = {
    "an extension": HEAD + b"5;ext=" + b"x" * 3000,
    "a size": HEAD + b"0" * 15 + b";" * 3000,
    "an extension in the middle": HEAD + HELLO + b"5;ext=" + b"x" * 3000,
    "a trailer": HEAD + HELLO + b"0\r\nX-Trailer: " + b"x" * 3000,
    "many trailers": HEAD + HELLO + b"0\r\n" + b"x: y\r\n" * 500,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the thirty seconds of a slow transfer by half a second."""
    monkeypatch.setattr("dcipher._results.downloads.transfers.stalls.STALL", 0.5)


@pytest.fixture(params=[False, True], ids=["", "by a client of the user's"])
def options(request: pytest.FixtureRequest, kind: str) -> Iterator[dict[str, Any]]:
    """The blocking client goes through an httpx client of the user's, too."""
    if not request.param:
        yield {}
    elif kind == "sync":
        with httpx.Client() as given:
            yield {"http_client": given}
    else:
        pytest.skip("the fixture `kind` has that way")


@pytest.mark.parametrize("what", FRAMING)
def test_slow_framing_is_not_progress(
    connect: Connect, server: FaultyServer, target: Path, options: dict[str, Any], what: str
) -> None:
    """Extensions of chunks and trailers are not bytes of the result: the request is retried."""
    server.on("/result", Reply(raw=FRAMING[what], trickle=0.02), Reply(SMALL))
    connect(server, **options).runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert len(server.requests) == 2


def test_a_stalled_body_is_not_complete(
    connect: Connect, server: FaultyServer, target: Path, options: dict[str, Any]
) -> None:
    """If the end of the connection is that of the body, an abandoned one is incomplete."""
    body = Reply(SMALL[:3000], framing="none", trickle=0.02, after="stall")
    server.on("/result", body, Reply(SMALL))
    connect(server, **options).runs.download(result_of(server), target)
    assert_saved(target, SMALL)


def test_a_slow_error_response_is_abandoned(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The body of an error is read only for a while: the status is sufficient."""
    monkeypatch.setattr("dcipher._results.downloads.transfers.store.EXCERPT_TIME", 0.5)
    refused = FRAMING["an extension"].replace(b"200 OK", b"405 No")
    server.on("/result", Reply(raw=refused, trickle=0.02))
    with pytest.raises(Exception, match="the store returned 405"):
        connect(server, **options).runs.download(result_of(server), target)


def test_a_pause_behind_enough_is_no_stall(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that brought much may pause: it is the rate that counts."""
    monkeypatch.setattr("dcipher._results.downloads.transfers.stalls.SLOWEST", 1000.0)
    chunk = f"{len(SMALL):x}\r\n".encode() + SMALL + b"\r\n"

    def pausing(_: Any) -> Reply:
        return Reply(raw=HEAD + chunk, after="stall")

    server.on("/result", pausing, Reply(SMALL))
    client = connect(server, timeout=httpx.Timeout(5, read=1.0))
    client.runs.download(result_of(server), target)
    assert_saved(target, SMALL)
    assert len(server.requests) == 2  # the read itself timed out


def test_a_slow_head_has_the_total_timeout(
    connect: Connect, server: FaultyServer, target: Path, kind: str
) -> None:
    """`timeout` limits the head of a download as that of a request, not the sum of its phases."""
    if "user" in kind:
        pytest.skip("waiting for a connection counts there, too")
    server.on("/result", Reply(SMALL, headers={"X-Long": "x" * 2000}, trickle=0.05))
    client = connect(server, timeout=1.0, resilience=ONCE)
    began = time.monotonic()
    with pytest.raises(IntegrityError):
        client.runs.download(result_of(server), target)
    sent, ended = server.requests[0].at, time.monotonic()
    assert began <= sent
    assert ended - sent < 10  # the sum of the phases is 13 s


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_deadline_ends_an_active_download(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    framing: Any,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Resilience.deadline` limits a download with all its attempts, also while bytes are received."""
    monkeypatch.setattr("dcipher._results.downloads.transfers.stalls.SLOWEST", 1.0)
    server.on("/result", Reply(bytes(20_000), framing=framing, trickle=0.005))
    patient = Resilience(max_retries=9, backoff_initial=0.01, deadline=0.8)
    client = connect(server, timeout=2 * HANG, resilience=patient, **options)
    with no_hang(), pytest.raises(ResultError):
        client.runs.download(result_of(server), target)
    assert len(server.requests) == 1


def test_the_deadline_ends_a_stalled_download(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """The same holds for a stalled one, even if a read may take longer."""
    server.on("/result", Reply(bytes(1_000_000), cut=300_000, after="stall"))
    patient = Resilience(max_retries=9, backoff_initial=0.01, deadline=0.8)
    client = connect(server, timeout=2 * HANG, resilience=patient)
    with no_hang(), pytest.raises(ResultError):
        client.runs.download(result_of(server), target)
