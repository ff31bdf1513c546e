"""Requests without a response: ambiguous, with the same bytes and the same key at each attempt."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import (
    APIConnectionError,
    APIError,
    InvalidParamsError,
    Resilience,
    SubmissionUnknownError,
)
from tests.faulty import NOTHING, RESET, FaultyServer, Reply, json_reply
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Connect

ONCE = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
TWICE = Resilience(max_retries=2, backoff_initial=0.002)
FLOW = json_reply('{"id": "f"}')
LARGE = {"text": "é" * 4_000_000}


@pytest.mark.parametrize("fault", [NOTHING, RESET, Reply(head_cut=12, after="close")], ids=str)
def test_a_kept_connection_that_closes_under_a_start(
    connect: Connect, server: FaultyServer, fault: Reply
) -> None:
    """A start on a kept connection that ends without a response may have been read: it is sent once, and reported."""
    server.on("/flows/f", FLOW)
    server.on("/flows/f/run", fault)
    client = connect(server, resilience=ONCE)
    client.flows.get("f")
    with pytest.raises(SubmissionUnknownError, match="idempotency_key='mine-1'"):
        client.flows.start("f", idempotency_key="mine-1")
    first, *starts = server.requests
    assert [first.connection] == [request.connection for request in starts]


@pytest.mark.parametrize("fault", [NOTHING, RESET], ids=["closed", "reset"])
def test_a_kept_connection_is_replaced(
    connect: Connect, server: FaultyServer, fault: Reply
) -> None:
    """With the same key, the start is retried by another connection, with the same bytes."""
    server.on("/flows/f", FLOW)
    server.on("/flows/f/run", fault, json_reply('{"taskId": "t"}'))
    client = connect(server, resilience=TWICE)
    client.flows.get("f")
    run = client.flows.start("f", {"text": "é"})
    assert run.task_id == "t"
    lost, again = server.seen("/flows/f/run")
    assert (lost.body, lost.headers["idempotency-key"]) == (
        again.body,
        again.headers["idempotency-key"],
    )
    assert lost.connection != again.connection


@contextmanager
def deaf(count: list[int]) -> Iterator[str]:
    """A server that resets each connection after the first bytes of a request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                count.append(len(connection.recv(4096)))
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(HANG)


def test_a_large_start_that_is_cut_off_while_it_is_written(connect: Connect) -> None:
    """A connection that ends during a large body leaves a doubt: sent once, or retried with the key."""
    count: list[int] = []
    with deaf(count) as url:
        with pytest.raises(SubmissionUnknownError):
            connect(base_url=url, resilience=ONCE).flows.start("f", LARGE)
        assert len(count) == 1
        with pytest.raises(APIConnectionError, match="pass idempotency_key="):
            connect(base_url=url, resilience=TWICE).flows.start("f", LARGE)
        assert len(count) == 4


def nested() -> dict[str, Any]:
    value: dict[str, Any] = {"list": [1]}
    value["list"].append(value)
    return value


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"a": {"b": [0, float("nan")]}}, r"params\.a\.b\[1\]"),
        ({"a": [float("-inf")]}, r"params\.a\[0\]"),
        ({"a": ({"b"},)}, r"params\.a\[0\]"),
        ({"a": {"b": frozenset()}}, r"params\.a\.b"),
        ({"a": [b"x"]}, r"params\.a\[0\]"),
        ({"a": {"b": "x\udc80"}}, r"params\.a\.b"),
        ({"a": {"\ud800": 1}}, r"a key in params\.a"),
        ({"a": nested()}, r"params\.a\.list\[1\]"),
    ],
    ids=["NaN", "infinity", "set", "frozenset", "bytes", "surrogate", "key", "cycle"],
)
def test_params_that_json_cannot_carry(
    connect: Connect, server: FaultyServer, params: Any, path: str
) -> None:
    """The error has the path inside params, and nothing is sent."""
    with pytest.raises(InvalidParamsError, match=path):
        connect(server).flows.start("f", params)
    assert server.connections == 0


def test_one_digest_one_body(connect: Connect, server: FaultyServer) -> None:
    """Signed or not, each attempt has the bytes of its digest."""
    from dcipher.signing.digests import digest_matches

    server.on("/flows/f/run", json_reply("{}", 500))
    client = connect(server, resilience=TWICE, api_secret="canary-secret")
    with pytest.raises(APIError):
        client.flows.start("f", {"text": "é", "n": [1, 2.5, None]})
    assert len({request.body for request in server.requests}) == 1
    assert len(server.requests) == 3
    for request in server.requests:
        assert digest_matches(request.headers["content-digest"], request.body)
        assert json.loads(request.body) == {"pipelineParams": {"text": "é", "n": [1, 2.5, None]}}
