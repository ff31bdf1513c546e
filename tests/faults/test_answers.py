"""Responses of the API, and their results or errors."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import (
    APIStatusError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    Resilience,
    Run,
    RunStatus,
)
from dcipher._wire.messages.responses import MAX_BODY
from tests.faulty import Reply, json_reply
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

TWICE = Resilience(max_retries=2, backoff_initial=0.002)
ONCE = Resilience(max_retries=0)
RUN = Run(flow_id="f", task_id="t")
ENDLESS = {"length": 1 << 40, "after": "stall"}
MONSTER = "x" * 10 + r"\u001b[2J\u0007\r\n\u202e" + "y" * 1_000_000
BOMB = gzip.compress(
    b" " * (MAX_BODY + 1), mtime=0
)  # else it is in the ids, and different in each process


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, InvalidResponseError), (404, NotFoundError), (500, InternalServerError)],
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_endless_body(
    connect: Connect, server: FaultyServer, status: int, error: type[Exception], framing: Any
) -> None:
    """A body is read up to the limit: a stall after that takes no time."""
    body = b"x" * (MAX_BODY + 300_000)
    server.on("*", Reply(body, status, cut=len(body), framing=framing, **ENDLESS))
    client = connect(server, resilience=ONCE, timeout=2 * HANG)
    with no_hang(), pytest.raises(error) as caught:
        client.flows.get("f")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("reply", "error", "count"),
    [
        (Reply(BOMB, 200, {"Content-Encoding": "gzip"}), InvalidResponseError, 3),
        (Reply(BOMB, 404, {"Content-Encoding": "gzip"}), NotFoundError, 1),
        (Reply(b"no gzip", 404, {"Content-Encoding": "gzip"}), NotFoundError, 1),
        (Reply(b"x", 200, {"Content-Encoding": "br"}), InvalidResponseError, 3),
        (Reply(b"", 418), APIStatusError, 1),
        (Reply(b"<html>\x1b[31m", 404, {"Content-Type": "text/html"}), NotFoundError, 1),
        (json_reply('{"status": "RUNNING", "x": NaN}'), InvalidResponseError, 3),
        (json_reply('{"status": "RUNNING", "x": -Infinity}'), InvalidResponseError, 3),
        (json_reply('{"status": ""}'), InvalidResponseError, 3),
        (json_reply('{"status": 7}'), InvalidResponseError, 3),
        (json_reply('"RUNNING"'), InvalidResponseError, 3),
        (Reply(b""), InvalidResponseError, 3),
        (Reply("{}".encode("utf-16")), InvalidResponseError, 3),
        (Reply(b"<html>log in</html>"), InvalidResponseError, 3),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[:60],
)
def test_an_unusable_response(
    connect: Connect, server: FaultyServer, reply: Reply, error: type[APIStatusError], count: int
) -> None:
    """An unusable success is retried, an unreadable error is the error of its status."""
    server.on("/flows/f/status", reply)
    with pytest.raises(error) as caught:
        connect(server, resilience=TWICE).runs.refresh(RUN)
    assert (type(caught.value), len(server.requests)) == (error, count)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("response", "task_id", "outputs"),
    [
        (b'\xef\xbb\xbf{"taskId": "t"}', "t", 0),
        (b'{"taskId": 17}', "17", 0),
        (b'{"taskId": "t", "signedResponseURL": "https://s/0"}', "t", 1),
        (b'{"taskId": "t", "signedResponseURLs": ["https://s/0", "https://s/1"]}', "t", 2),
        (b'{"taskId": "t", "signedResponseURLs": []}', "t", 0),
        (b'{"taskId": "t", "signedResponseURL": null}', "t", 0),
    ],
)
def test_an_unusual_start_response(
    connect: Connect, server: FaultyServer, response: bytes, task_id: str, outputs: int
) -> None:
    """A byte order mark is removed, a number is an id, one URL or several are a tuple, unknown fields remain."""
    more = response.replace(b"}", b', "queue": {"place": 3}}')
    server.on("/flows/f/run", Reply(more, headers={"Content-Type": "application/json"}))
    server.on("/flows/f/status", json_reply('{"status": "RUNNING", "progress": 0.5}'))
    client = connect(server)
    run = client.flows.start("f")
    assert (run.task_id, len(run.outputs)) == (task_id, outputs)
    assert run.model_extra == {"queue": {"place": 3}}
    seen = client.runs.refresh(run)
    assert seen.status is RunStatus.RUNNING
    assert seen.model_extra == {"queue": {"place": 3}, "progress": 0.5}
    assert server.requests[-1].target.endswith(f"taskId={task_id}")


@pytest.mark.parametrize(
    "body",
    [
        f'{{"message": "{MONSTER}"}}',
        f'{{"title": "{MONSTER}"}}',
        f'{{"error": {{"message": "{MONSTER}"}}}}',
        f'{{"detail": [{{"loc": ["body", "{MONSTER}"], "msg": "{MONSTER}"}}]}}',
        f'["{MONSTER}"]',
        MONSTER,
        f'"{MONSTER}"',
    ],
    ids=["message", "title", "nested", "fields", "list", "text", "JSON text"],
)
@pytest.mark.parametrize("code", [400, 500])
def test_a_huge_error(connect: Connect, server: FaultyServer, body: str, code: int) -> None:
    """Only few and clean characters of the message are shown, at any position in the body."""
    server.on("*", json_reply(body, code))
    with pytest.raises(APIStatusError) as caught:
        connect(server, resilience=ONCE).flows.get("f")
    text = str(caught.value)
    assert "xxx" in text
    assert text.isprintable()
    assert len(text) < 800


def test_cookies(kind: str, connect: Connect, server: FaultyServer) -> None:
    """A cookie of any response, also of a redirect, is neither stored nor sent."""
    server.on("/flows/f", json_reply('{"id": "f"}', Set_Cookie="session=canary; Path=/"))
    server.on(
        "/flows/g", json_reply("{}", 302, Set_Cookie="other=canary; Path=/", Location="/flows/f")
    )
    client = connect(server)
    client.flows.get("f")
    with pytest.raises(APIStatusError, match="which is not followed"):
        client.flows.get("g")
    client.flows.get("f")
    assert not any("cookie" in request.headers for request in server.requests)
    http = client._api.http
    ours = (
        http.get_or_create_httpx_client if kind == "sync" else http.get_or_create_async_httpx_client
    )
    assert list(ours().cookies.jar) == []
    assert [request.path for request in server.requests] == ["/flows/f", "/flows/g", "/flows/f"]


def test_responses_are_requested_unencoded(connect: Connect, api: FaultyServer) -> None:
    """No encoding is requested: an uncompressed response cannot be a bomb."""
    client = connect(api)
    client.runs.read(client.runs.wait(client.flows.start("f"), timeout=5))
    assert {request.headers["accept-encoding"] for request in api.requests} == {"identity"}
    assert len(api.requests) == 3
