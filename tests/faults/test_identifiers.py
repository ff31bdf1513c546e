"""Ids, keys and headers: rejected before anything is sent, or sent as exactly one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from dcipher import ConfigurationError, InvalidParamsError, Run
from tests.faulty import json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

KEY = "emu_canary-key-0123456789"

PATHS = [
    "", " ", ".", "..", "../../admin", "a/../../b", "%2e%2e", "%252e%252e%252fadmin", "%2E.", "..\\admin",
    "a\\..\\..\\b", "a%5c..%5cb", "x\r\ny", "x%0d%0ay", "x\x00", "a\tb", "\u2028", "a/./b", "%25%32%65%25%32%65",
]  # fmt: skip


@pytest.mark.parametrize("text", PATHS)
def test_ids_that_lead_elsewhere(connect: Connect, server: FaultyServer, text: str) -> None:
    """Such an id is rejected by every call, as the id of a flow and of a task."""
    client = connect(server)
    run = Run(flow_id="f", task_id=text)
    for call in (
        lambda: client.flows.get(text),
        lambda: client.flows.start(text),
        lambda: client.flows.run(text),
        lambda: client.run_flow(text),
        lambda: client.runs.get(text, "t"),
        lambda: client.runs.get("f", text),
        lambda: client.runs.refresh(run),
        lambda: client.runs.wait(run, timeout=5),
        lambda: client.runs.download(run, "x"),
        lambda: client.runs.read(run),
    ):
        with pytest.raises(InvalidParamsError):
            call()
    assert server.connections == 0


TEXTS = [
    "a?x=1#",
    "a b",
    "a/b",
    "ü",
    "a%20b",
    "a+b",
    "a&taskId=other",
    "a;b=c",
    "http://other/",
    "…",
    "a\\b",
    "x..y",
    ":@!$'()*,",
]


@pytest.mark.parametrize("prefix", ["", "/gateway/v1"])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_one_segment(
    connect: Connect, server: FaultyServer, text: str, prefix: str
) -> None:
    """Any other id is one segment of the path, and one query parameter, which decode to it."""
    server.on("*", json_reply('{"id": "f", "taskId": "t", "status": "RUNNING"}'))
    client = connect(server, base_url=server.url + prefix)
    client.flows.get(text)
    client.flows.start(text)
    client.runs.get(text, text)
    got, started, looked = (request.target for request in server.requests)
    for target, tail in ((got, ""), (started, "/run"), (looked.partition("?")[0], "/status")):
        assert target.startswith(f"{prefix}/flows/")
        assert target.endswith(tail)
        segment = target[len(f"{prefix}/flows/") : len(target) - len(tail)]
        assert "/" not in segment
        assert unquote(segment, errors="strict") == text
    name, _, value = looked.partition("?")[2].partition("=")
    assert (name, unquote(value), "&" in value) == ("taskId", text, False)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"AUTHORIZATION": "x"},
        {"signature": "sig1=:x:"},
        {"Signature-Input": "sig1=()"},
        {"Content-Digest": "sha-256=:x:"},
        {"hOsT": "other"},
        {"Content-Length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Idempotency-Key": "mine"},
        {"X-Mine": "a\r\nAuthorization: x"},
        {"X-Mine": "a\nb"},
        {"X-Mine": "a\rb"},
        {"X-Mine": "a\x00b"},
        {"X-Mine\r\nAuthorization": "x"},
        {"X-Mine: a\r\nHost": "x"},
        {"X-Mine": "ü"},
        {"": "x"},
        {"Authorization ": "x"},
    ],
    ids=repr,
)
def test_headers_that_replace_ours(
    construct: Callable[..., Any], connect: Connect, server: FaultyServer, headers: dict[str, str]
) -> None:
    """A header that would replace one of the client, or contain another one, is rejected at once."""
    with pytest.raises(ConfigurationError):
        construct(KEY, base_url=server.url, headers=headers)
    with pytest.raises(ConfigurationError):
        connect(server).with_options(headers=headers)
    assert server.connections == 0


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "ü", "x" * 256, "\x7f"])
def test_idempotency_keys(connect: Connect, server: FaultyServer, key: str) -> None:
    """A key that a header cannot contain is rejected before anything is sent."""
    with pytest.raises(InvalidParamsError, match="idempotency_key"):
        connect(server).flows.start("f", idempotency_key=key)
    assert server.connections == 0
