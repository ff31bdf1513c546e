"""Any id, key or header is rejected before anything is sent, or arrives unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcipher import ConfigurationError, InvalidParamsError
from tests.faulty import json_reply
from tests.fuzz.exploring import assert_told_well, efforts, explore

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

ANSWER = json_reply('{"taskId": "t", "status": "RUNNING", "id": "f"}')
ids = (
    st.text(max_size=40)
    | st.text("./\\%25eEfF aä?#&=;+:@", min_size=1, max_size=16)
    | st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True)
    | st.sampled_from(["..", "%2e%2e", "..%2F..", "a/../b", "a\\..\\b", "x" * 1024, "😀" * 1024])
)


@pytest.fixture(params=["", "/api/v1"], ids=["root", "prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def only_request(server: FaultyServer, before: int) -> Recorded:
    assert len(server.requests) == before + 1
    return server.requests[-1]


@efforts
@pytest.mark.parametrize("call", ["start", "get", "status"])
def test_any_flow_id_is_one_segment(
    connect: Connect, server: FaultyServer, prefix: str, call: str, effort: int
) -> None:
    """A flow id is rejected unsent, or is one segment of the path, which decodes to it exactly."""
    server.on("*", ANSWER)
    client = connect(server, base_url=server.url + prefix, max_retries=0)
    calls: dict[str, Any] = {
        "start": client.flows.start,
        "get": client.flows.get,
        "status": lambda flow_id: client.runs.get(flow_id, "t"),
    }
    tail = {"start": ["run"], "get": [], "status": ["status"]}[call]

    @example("%25%32%65%25%32%65")
    @example("a//b")
    @example("\udc80")
    @given(ids)
    def check(flow_id: str) -> None:
        before = len(server.requests)
        try:
            calls[call](flow_id)
        except InvalidParamsError as error:
            assert len(server.requests) == before
            assert_told_well(error)
            return
        path = only_request(server, before).path
        assert path.startswith(f"{prefix}/flows/")
        first, *rest = path[len(f"{prefix}/flows/") :].split("/")
        assert rest == tail
        assert unquote(first, errors="strict") == flow_id
        assert first.isascii()

    explore(check, 25 * effort)


@efforts
def test_any_task_id_is_one_parameter(connect: Connect, server: FaultyServer, effort: int) -> None:
    """A task id is rejected unsent, or is the only query parameter, which decodes to it exactly."""
    server.on("*", ANSWER)
    client = connect(server, max_retries=0)

    @example("a&taskId=b")
    @example("+")
    @given(ids)
    def check(task_id: str) -> None:
        before = len(server.requests)
        try:
            assert client.runs.get("f", task_id).task_id == task_id
        except InvalidParamsError as error:
            assert len(server.requests) == before
            assert_told_well(error)
            return
        request = only_request(server, before)
        path, _, query = request.target.partition("?")
        assert path == "/flows/f/status"
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
        assert pairs == [("taskId", task_id)]

    explore(check, 40 * effort)


@efforts
def test_any_task_id_of_a_response_can_be_requested(
    connect: Connect, server: FaultyServer, effort: int
) -> None:
    """The id of a start response is rejected there, or can be requested."""
    from json import dumps

    from dcipher import InvalidResponseError

    client = connect(server, max_retries=0)
    server.on("/flows/f/status", ANSWER)

    @given(ids)
    def check(task_id: str) -> None:
        server.on("/flows/f/run", json_reply(dumps({"taskId": task_id})))
        try:
            run = client.flows.start("f")
        except InvalidResponseError as error:
            assert_told_well(error)
            return
        assert client.runs.refresh(run).task_id == task_id

    explore(check, 25 * effort)


texts = st.text(max_size=20) | st.text("aZ09 \t\r\n:;,é\x00\x7f\x85\u2028", max_size=12)


@efforts
def test_any_idempotency_key_is_one_header(
    connect: Connect, server: FaultyServer, effort: int
) -> None:
    """A key is rejected unsent, or is the exact value of the header."""
    server.on("*", ANSWER)
    client = connect(server, max_retries=0)

    @example("a\r\nX-Injected: 1")
    @example("x" * 256)
    @given(texts)
    def check(key: str) -> None:
        before = len(server.requests)
        try:
            client.flows.start("f", idempotency_key=key)
        except InvalidParamsError as error:
            assert len(server.requests) == before
            assert_told_well(error)
            return
        pairs = only_request(server, before).pairs
        assert [v for n, v in pairs if n.lower() == "idempotency-key"] == [key]
        assert "x-injected" not in {n.lower() for n, _ in pairs}

    explore(check, 40 * effort)


OURS = {"authorization", "signature", "host", "content-length", "transfer-encoding"}


@efforts
def test_any_header_is_one_header(connect: Connect, server: FaultyServer, effort: int) -> None:
    """A header of the user is rejected, or sent once. It replaces none of ours."""
    server.on("*", ANSWER)
    client = connect(server, max_retries=0)
    client.flows.get("f")
    usual = {name.lower(): value for name, value in server.requests[-1].pairs}
    names = texts | st.sampled_from(
        ["X-A", "authorization", "HOST", "Signature", "Cookie", "Accept", "Content-Length", "TE"]
    )

    @example("X-A", "1\r\nX-Injected: 1")
    @example("X-A\r\nX-Injected", "1")
    @example("X-A: 1\r\nX-Injected", "1")
    @given(names, texts | st.just("x" * 9000))
    def check(name: str, value: str) -> None:
        before = len(server.requests)
        try:
            derived = client.with_options(headers={name: value})
        except ConfigurationError as error:
            assert_told_well(error)
            return
        derived.flows.get("f")
        pairs = [(n.lower(), v) for n, v in only_request(server, before).pairs]
        assert dict(pairs) == {**usual, name.lower(): value.strip()}
        assert len(dict(pairs)) == len(pairs)
        assert name.lower() not in OURS

    explore(check, 40 * effort)
