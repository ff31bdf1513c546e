"""Any response of the API is a model, or a typed error that is safe to display."""

from __future__ import annotations

import json
import math
import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcipher import DcipherError, ErrorResponse, Flow, InvalidResponseError, Run
from dcipher._wire.api import _readable
from dcipher._wire.errors.error_bodies import error_response
from dcipher._wire.errors.status_errors import status_error, unexpected_status
from dcipher._wire.messages.operations import Operation, get_flow, run_status, start_run
from dcipher._wire.messages.parsing import flow_of, started_run, status_of
from dcipher._wire.messages.responses import MAX_BODY, APIResponse
from dcipher.errors import RequestInfo
from tests.faulty import Reply
from tests.fuzz.bodies import bodies, curiosities, headers, responses_json, statuses
from tests.fuzz.exploring import assert_told_well, efforts, explore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

NOW = datetime(2024, 1, 2, tzinfo=timezone.utc)
RUN = Run(flow_id="f", task_id="t")
INFO = RequestInfo("POST", "https://api.example.com/flows/f/run")
START = start_run("f", {}, "key")
OPERATIONS: dict[str, tuple[Operation, Callable[[APIResponse], Run | Flow]]] = {
    "start": (START, lambda answer: started_run(answer, START, NOW)),
    "status": (run_status("f", "t"), lambda answer: status_of(answer, RUN, NOW)),
    "flow": (get_flow("f"), flow_of),
}
Pairs = list[tuple[bytes, bytes]]


def judged(name: str, status: int, pairs: Pairs, body: bytes, secrets: list[str]) -> Run | Flow:
    """Returns the result of a response, without the client."""
    answer = APIResponse(status, httpx.Headers(pairs), body, INFO, 2, tuple(secrets))
    answer = _readable(answer)
    if not 200 <= status < 300:
        raise status_error(answer, 1_700_000_000.0)
    return OPERATIONS[name][1](answer)


def assert_a_good_model(model: Run | Flow) -> None:
    """Checks that it can be printed, pickled, and restored from JSON."""
    repr(model), str(model)
    assert pickle.loads(pickle.dumps(model)).model_dump() == model.model_dump()  # noqa: S301
    again: Run | Flow
    if isinstance(model, Run):
        again = Run.from_json(model.to_json(reveal=True))
    else:
        again = Flow.model_validate_json(model.model_dump_json())
    assert type(again) is type(model)
    assert again.model_dump() == _finite(model.model_dump())


def _finite(value: Any) -> Any:
    """JSON has no infinity (RFC 8259 section 6): a number beyond a double's range is stored as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return type(value)(map(_finite, value)) if isinstance(value, (list, tuple)) else value


operations = pytest.mark.parametrize("name", list(OPERATIONS))


@efforts
@operations
def test_any_response_is_a_model_or_a_typed_error(name: str, effort: int) -> None:
    """Any status, headers and body: a model that can be stored, or an error that can be shown."""

    @example(500, [(b"Content-Encoding", b"br")], b"x", [])
    @example(500, [(b"Content-Type", b"text/plain; charset=hex")], b"xyz", [])
    @example(500, [(b"Content-Type", b"text/plain; charset=undefined")], b"xyz", [])
    @example(500, [(b"Content-Type", b"text/plain; charset=unicode_escape")], b"\\d", [])
    @example(200, [(b"Content-Encoding", b"gzip")], b"\x1f\x8b", [])
    @given(statuses, headers, bodies, st.lists(st.text(max_size=4), max_size=2))
    def check(status: int, pairs: Pairs, body: bytes, secrets: list[str]) -> None:
        try:
            model = judged(name, status, pairs, body, secrets)
        except DcipherError as error:
            assert_told_well(error)
        else:
            assert 200 <= status < 300
            assert_a_good_model(model)

    explore(check, 80 * effort)


@operations
@pytest.mark.parametrize(
    "status",
    [200, 422, *(pytest.param(n, marks=pytest.mark.thorough) for n in (204, 302, 404, 500, 999))],
)
def test_unusual_bodies(name: str, status: int) -> None:
    """Each of a collection of bodies that broke some parser, with each kind of status."""
    for body in curiosities:
        try:
            model = judged(name, status, [(b"Content-Type", b"application/json")], body, [])
        except DcipherError as error:
            assert_told_well(error)
        else:
            assert_a_good_model(model)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "body",
    [b'"' + b"x" * 10_000_000 + b'"', b'{"message": "' + b"\x1b" * 10_000_000, b"[0," * 3_000_000],
    ids=["text", "escapes", "brackets"],
)
def test_ten_megabytes(status: int, body: bytes) -> None:
    """A body beyond the limit is rejected or truncated, and at most a line of it is shown."""
    assert len(body) > MAX_BODY
    with pytest.raises(DcipherError) as caught:
        judged("start", status, [], body, [])
    assert_told_well(caught.value)


@efforts
def test_any_error_body_is_a_model_or_none(effort: int) -> None:
    """`ErrorResponse` or `None`, for any JSON; with its text if there is one, and dumpable."""

    @example({"message": "m", "field_errors": "x", "model_config": 1})
    @example({"error": {"message": {"message": "x"}}})
    @given(responses_json)
    def check(value: Any) -> None:
        found = error_response(value)
        if found is None:
            assert (
                not isinstance(value, dict)
                or not isinstance(value.get("message"), str)
                or not (value["message"].strip())
            )
            return
        assert isinstance(found, ErrorResponse)
        assert found.message or found.field_errors or found.title or found.type or found.instance
        repr(found), found.model_dump(mode="json")
        pickle.loads(pickle.dumps(found))  # noqa: S301 - our own

    explore(check, 150 * effort)


@efforts
def test_any_unexpected_status_is_reported(effort: int) -> None:
    """The error of a status that the OpenAPI document lacks can be shown, too."""

    @given(statuses, headers, bodies)
    def check(status: int, pairs: Pairs, body: bytes) -> None:
        answer = APIResponse(status, httpx.Headers(pairs), body, INFO)
        assert_told_well(unexpected_status(answer, 0.0))

    explore(check, 60 * effort)


# Over a real socket: whatever stands in for the API.

_line = st.binary(max_size=20).filter(lambda b: b"\n" not in b)
_lines = st.lists(
    st.builds(lambda name, value: name + b": " + value, _line, _line) | _line, max_size=4
)
raw_answers = st.binary(max_size=120) | st.builds(
    lambda first, lines, body: b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body,
    st.sampled_from(
        [
            *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 401 \x1b[31m", b"HTTP/1.1 99 x"),
            *(b"HTTP/1.1 100 Continue", b"HTTP/1.1 1000 x", b"HTTP/2 200", b"ICY 200 OK"),
            *(b"HTTP/1.1 204 x", b"HTTP/1.1 304 x", b"HTTP/1.1 101 Switching Protocols"),
            *(b"HTTP/1.1 500 \xff", b"HTTP/1.1 302 Found\r\nLocation: //[", b"HTTP/1.1 -1 x"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
            b"HTTP/1.1 503 x\r\nContent-Encoding: gzip\r\nRetry-After: \xd9\xa3",
        ]
    )
    | _line,
    _lines,
    bodies,
)
CALLS = {
    "start": lambda client: client.flows.start("f", {"n": 1}),
    "status": lambda client: client.runs.get("f", "t"),
    "flow": lambda client: client.flows.get("f"),
}


@efforts
@operations
def test_any_bytes_on_the_wire(
    connect: Connect, server: FaultyServer, name: str, effort: int
) -> None:
    """Rubbish instead of an answer, or an answer with a rubbish head, is a typed error or a model."""
    client = connect(server, max_retries=0, timeout=5.0)

    @example(b"")
    @example(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")
    @given(raw_answers)
    def check(raw: bytes) -> None:
        server.on("*", Reply(raw=raw, after="close"))
        try:
            model = CALLS[name](client)
        except DcipherError as error:
            assert_told_well(error)
        else:
            assert_a_good_model(model)

    explore(check, 30 * effort)


@efforts
@operations
def test_any_head_on_the_wire(
    connect: Connect, server: FaultyServer, name: str, effort: int
) -> None:
    """Any status, headers and body that a server can send have the same result as without one."""
    client = connect(server, max_retries=0, timeout=5.0)

    @given(st.integers(200, 999), headers, bodies)
    def check(status: int, pairs: Pairs, body: bytes) -> None:
        lines = [b"HTTP/1.1 %d x" % status, b"Content-Length: %d" % len(body)]
        lines += [
            name + b": " + value.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
            for name, value in pairs
            if name not in {b"Content-Length", b"Transfer-Encoding"}
        ]
        raw = b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if status in {204, 304} else body)
        server.on("*", Reply(raw=raw, after="close"))
        try:
            model = CALLS[name](client)
        except DcipherError as error:
            assert_told_well(error)
            if isinstance(error, InvalidResponseError):
                assert 200 <= status < 300
        else:
            assert 200 <= status < 300
            json.dumps(model.model_dump(mode="json"))

    explore(check, 30 * effort)
