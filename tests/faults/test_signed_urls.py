"""Signed URLs: their expiry, how they are fetched, and which are not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import Resilience, ResultError, ResultExpiredError
from dcipher._results.downloads.transfers.sources import CLOCK_ERROR
from dcipher.http import HTTPAuthenticatedClient
from tests.faulty import Reply, json_reply
from tests.results.downloads.stores import result_of, run_at

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

TWICE = Resilience(max_retries=2, backoff_initial=0.002, backoff_max=0.01)
LATER = datetime(2094, 11, 6, 8, 49, 37, tzinfo=timezone.utc)


def _forms(moment: datetime) -> dict[str, str]:
    start = (moment - timedelta(seconds=900)).strftime("%Y%m%dT%H%M%SZ")
    epoch = int(moment.timestamp())
    return {
        "S3": f"X-Amz-Date={start}&X-Amz-Expires=900&X-Amz-Signature=canary-signature",
        "S3, older": f"AWSAccessKeyId=a&Expires={epoch}&Signature=canary-signature",
        "CloudFront": f"Expires={epoch}&Signature=canary-signature&Key-Pair-Id=K",
        "Google": f"X-Goog-Date={start}&X-Goog-Expires=900&X-Goog-Signature=canary-signature",
        "Azure": f"se={moment:%Y-%m-%dT%H:%M:%SZ}&sp=r&sig=canary-signature",
        "Azure, quoted": f"se={moment:%Y-%m-%dT%H%%3A%M%%3A%SZ}&sp=r&sig=canary-signature",
    }


@pytest.mark.parametrize("form", _forms(LATER))
def test_when_a_url_expires(connect: Connect, server: FaultyServer, form: str) -> None:
    """The expiry of each store is read from the start response. A URL that expired long ago is not requested."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    past = now - timedelta(seconds=CLOCK_ERROR + 1)
    client = connect(server, resilience=TWICE)
    for moment in (LATER, past):
        url = f"{server.url}/result?{_forms(moment)[form]}"
        server.on("/flows/f/run", json_reply(json.dumps({"taskId": "t", "signedResponseURL": url})))
        run = client.flows.start("f")
        assert run.outputs[0].expires_at == moment
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    run = client.runs.wait(run, timeout=5)
    with pytest.raises(ResultExpiredError, match="run the flow again") as caught:
        client.runs.read(run)
    assert server.seen("/result") == []
    assert "canary" not in str(caught.value)


EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.mark.parametrize(
    ("finished", "reply", "error", "count"),
    [
        (False, Reply(b"denied", 403), ResultError, 3),
        (False, Reply(b"missing", 404), ResultError, 3),
        (False, Reply(EXPIRED, 403), ResultExpiredError, 1),
        (False, Reply(b"gone", 410), ResultError, 1),
        (False, Reply(b"what?", 400), ResultError, 1),
        (True, Reply(b"denied", 403), ResultError, 1),
        (True, Reply(b"missing", 404), ResultError, 1),
        (True, Reply(EXPIRED, 400), ResultExpiredError, 1),
        (True, Reply(b"", 500), ResultError, 3),
        (True, Reply(b"", 429, {"Retry-After": "0"}), ResultError, 3),
        (True, Reply(b"", 503, {"Retry-After": "3600"}), ResultError, 1),
    ],
    ids=lambda value: f"{value.status} {value.body[:8]!r}" if isinstance(value, Reply) else None,
)
def test_a_store_that_rejects(
    connect: Connect,
    server: FaultyServer,
    finished: bool,
    reply: Reply,
    error: type[Exception],
    count: int,
) -> None:
    """A missing result is retried while the run is fresh; an expired or rejected URL is not."""
    server.on("/result", reply)
    run = run_at(f"{server.url}/result?Signature=canary-signature", finished=finished)
    with pytest.raises(error) as caught:
        connect(server, resilience=TWICE).runs.read(run)
    assert (type(caught.value), len(server.requests)) == (error, count)


def test_a_store_without_head_requests(
    connect: Connect, server: FaultyServer, tmp_path: Path
) -> None:
    """A result needs only one GET, which has its size."""
    told: list[tuple[int, int | None]] = []

    def store(request: Any) -> Reply:
        return Reply(b"x" * 1000) if request.method == "GET" else Reply(status=405)

    server.on("/result", store)
    client = connect(server)
    progress = {"on_progress": lambda done, total: told.append((done, total))}
    client.runs.download(result_of(server), tmp_path / "x", **progress)
    assert [request.method for request in server.requests] == ["GET"]
    assert told[-1] == (1000, 1000)


def test_nothing_of_a_client_of_the_users(
    kind: str, connect: Connect, server: FaultyServer, portal: BlockingPortal
) -> None:
    """Headers, cookies, and auth that the user's own httpx client would add do not reach the store."""
    server.on("*", Reply(b"{}"))
    given: dict[str, Any] = {
        "headers": {"X-Mine": "canary"},
        "cookies": {"session": "canary"},
        "auth": ("user", "canary"),
        "params": {"canary": "1"},
    }
    ours: Any = httpx.Client(**given) if kind == "sync" else httpx.AsyncClient(**given)
    connect(server, http_client=ours).runs.read(result_of(server), bytes)
    if kind == "sync":
        ours.close()
    else:
        portal.call(ours.aclose)
    (seen,) = server.requests
    assert seen.target == "/result?Signature=canary-signature"
    assert "canary" not in str(seen.headers)
    assert "authorization" not in seen.headers


def test_nothing_of_an_http_client_of_the_user(connect: Connect, server: FaultyServer) -> None:
    """Settings in `httpx_args` of an `HTTPAuthenticatedClient` are for the API, not for the store."""
    server.on("*", Reply(b"{}"))
    hooked: list[str] = []
    given: dict[str, Any] = {
        "auth": ("user", "canary"),
        "headers": {"X-Mine": "canary"},
        "event_hooks": {"request": [lambda request: hooked.append(str(request.url))]},
    }
    http = HTTPAuthenticatedClient(server.url, api_key="canary-key", httpx_args=given)
    client = connect(api_key=None, http_client=http)
    client.runs.read(result_of(server), bytes)
    (seen,) = server.requests
    assert "canary" not in str(seen.headers)
    assert "authorization" not in seen.headers
    assert hooked == []


@pytest.mark.parametrize(("ago", "count"), [(1, 3), (60, 1), (3600, 1)])
def test_seconds_after_the_end(
    connect: Connect, server: FaultyServer, ago: int, count: int
) -> None:
    """Only seconds after the end of the run a 404 means that the result is not there yet."""
    server.on("/result", Reply(b"missing", 404))
    ended = datetime.now(timezone.utc) - timedelta(seconds=ago)
    run = result_of(server).model_copy(update={"finished_at": ended})
    with pytest.raises(ResultError):
        connect(server, resilience=TWICE).runs.read(run)
    assert len(server.requests) == count
