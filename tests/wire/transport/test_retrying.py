"""Retries: which requests, how often, and the final error."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from dcipher import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Resilience,
    SubmissionUnknownError,
    UnprocessableEntityError,
)
from tests.faulty import NOTHING, RESET, STALL, Reply, json_reply
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

TWICE = Resilience(max_retries=2, backoff_initial=0.002)
NEVER_AMBIGUOUS = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
GOOD_FLOW = json_reply('{"id": "f"}')
GOOD_START = json_reply('{"taskId": "t"}')
MESSAGE = '{"message": "said by the service"}'


class Case(NamedTuple):
    """A fault, and what it must come to with two retries."""

    name: str
    fault: Reply
    error: type[Exception]
    get: int
    """Requests of a GET."""
    start: int
    """Requests of a start."""
    once: int
    """Requests of a start with `resend_ambiguous=False`."""
    unknown: bool = False
    """Whether that is a `SubmissionUnknownError`."""


def status(code: int, **headers: str) -> Reply:
    return json_reply(MESSAGE, code, **headers)


CASES = [
    Case("closed before the head", NOTHING, APIConnectionError, 3, 3, 1, True),
    Case("reset before the head", RESET, APIConnectionError, 3, 3, 1, True),
    Case(
        "reset in the head",
        Reply(head_cut=20, after="reset"),
        APIConnectionError,
        3,
        3,
        1,
        True,
    ),
    Case(
        "closed in the body",
        Reply(b'{"taskId": "t", "id"', length=99, after="close"),
        APIConnectionError,
        3,
        3,
        1,
        True,
    ),
    Case("408", status(408), APIStatusError, 3, 3, 1, True),
    Case("409", status(409), ConflictError, 3, 3, 1, True),
    Case("500", status(500), InternalServerError, 3, 3, 1, True),
    Case("502", Reply(b"<html>bad gateway</html>", 502), InternalServerError, 3, 3, 1, True),
    Case("503", status(503), InternalServerError, 3, 3, 1, True),
    Case("504", Reply(status=504), InternalServerError, 3, 3, 1, True),
    Case("599", Reply(status=599), InternalServerError, 3, 3, 1, True),
    Case("503 that says when", status(503, Retry_After="0"), InternalServerError, 3, 3, 3),
    Case("425", status(425), APIStatusError, 3, 3, 3),
    Case("429", status(429, Retry_After="0"), RateLimitError, 3, 3, 3),
    Case("429 that does not say when", status(429), RateLimitError, 3, 3, 3),
    Case("400", status(400), BadRequestError, 1, 1, 1),
    Case("401", status(401), AuthenticationError, 1, 1, 1),
    Case("403", status(403), PermissionDeniedError, 1, 1, 1),
    Case("404", status(404), NotFoundError, 1, 1, 1),
    Case("422", status(422), UnprocessableEntityError, 1, 1, 1),
    Case("418", status(418), APIStatusError, 1, 1, 1),
    Case("413", Reply(b"", 413), APIStatusError, 1, 1, 1),
    Case("304", Reply(b"", 304), APIStatusError, 1, 1, 1),
    Case(
        "200 with HTML",
        Reply(b"<html>log in", headers={"Content-Type": "text/html"}),
        InvalidResponseError,
        3,
        3,
        1,
        True,
    ),
    Case("200 with nothing", Reply(b""), InvalidResponseError, 3, 3, 1, True),
    Case("204", Reply(b"", 204, framing="none"), InvalidResponseError, 3, 3, 1, True),
    Case("200 with a list", json_reply("[]"), InvalidResponseError, 3, 3, 1, True),
    Case(
        "200 with NaN",
        json_reply('{"id": NaN, "taskId": NaN}'),
        InvalidResponseError,
        3,
        3,
        1,
        True,
    ),
    Case("200 without an id", json_reply("{}"), InvalidResponseError, 3, 3, 1, True),
    Case(
        "200 with null",
        json_reply('{"id": null, "taskId": null}'),
        InvalidResponseError,
        3,
        3,
        1,
        True,
    ),
    Case(
        "200 with true",
        json_reply('{"id": true, "taskId": true}'),
        InvalidResponseError,
        3,
        3,
        1,
        True,
    ),
    Case(
        "200 with half a gzip",
        Reply(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}),
        InvalidResponseError,
        3,
        3,
        1,
        True,
    ),
    Case(
        "not HTTP",
        Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n\r\n", after="close"),
        APIConnectionError,
        3,
        3,
        1,
        True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table(connect: Connect, server: FaultyServer, case: Case) -> None:
    """Each fault comes to its error, after exactly as many requests as its outcome allows."""
    server.on("/flows/f", case.fault)
    server.on("/flows/f/run", case.fault)
    client = connect(server, resilience=TWICE)
    with pytest.raises(case.error) as got:
        client.flows.get("f")
    assert (type(got.value), got.value.attempts) == (case.error, case.get)
    with pytest.raises(case.error) as started:
        client.flows.start("f", {"text": "é"})
    assert (type(started.value), started.value.attempts) == (case.error, case.start)
    assert len(server.seen("/flows/f")) == case.get
    sent = server.seen("/flows/f/run")
    assert len(sent) == case.start
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert {request.body for request in sent} == {'{"pipelineParams":{"text":"é"}}'.encode()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_may_not_be_sent_again(connect: Connect, server: FaultyServer, case: Case) -> None:
    """With `resend_ambiguous=False` a start is repeated only after what certainly did nothing."""
    server.on("/flows/f/run", case.fault)
    client = connect(server, resilience=NEVER_AMBIGUOUS)
    with pytest.raises(SubmissionUnknownError if case.unknown else case.error) as caught:
        client.flows.start("f", idempotency_key="mine-1")
    assert len(server.requests) == caught.value.attempts == case.once
    if case.unknown:
        assert caught.value.flow_id == "f"
        assert caught.value.idempotency_key == "mine-1"
        assert "mine-1" in str(caught.value)


@pytest.mark.parametrize("fault", [RESET, NOTHING, status(500), status(429), Reply(b"")])
def test_it_recovers(connect: Connect, server: FaultyServer, fault: Reply) -> None:
    """A fault that passes is not noticed."""
    server.on("/flows/f", fault, fault, GOOD_FLOW)
    server.on("/flows/f/run", fault, fault, GOOD_START)
    client = connect(server, resilience=TWICE)
    assert client.flows.get("f").id == "f"
    assert client.flows.start("f").task_id == "t"
    assert len(server.requests) == 6


def test_without_retries_everything_is_sent_once(connect: Connect, server: FaultyServer) -> None:
    """`max_retries=0` means one request."""
    server.on("*", status(503))
    client = connect(server, resilience=None, max_retries=0)
    with pytest.raises(InternalServerError):
        client.flows.get("f")
    with pytest.raises(InternalServerError):
        client.flows.start("f")
    assert len(server.requests) == 2


def test_max_retries_beats_the_resilience(connect: Connect, server: FaultyServer) -> None:
    """`max_retries` changes that one value of the `resilience` that is given beside it."""
    server.on("*", status(500))
    with pytest.raises(InternalServerError) as caught:
        connect(server, resilience=TWICE, max_retries=1).flows.get("f")
    assert caught.value.attempts == 2


def test_a_refused_connection_is_tried_again(connect: Connect) -> None:
    """Nothing was sent: it is tried again with every setting, and the error names the host.

    Once, on this machine: nobody listens, and more attempts would only be silence.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = connect(base_url=f"http://127.0.0.1:{port}", resilience=NEVER_AMBIGUOUS)
    for call in (client.flows.get, client.flows.start):
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1") as caught:
            call("f")
        assert type(caught.value) is APIConnectionError
        assert caught.value.attempts == 2


def test_a_refused_connection_is_called_so(connect: Connect) -> None:
    """The message has the cause."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = connect(base_url=f"http://127.0.0.1:{port}", max_retries=0)
    with pytest.raises(APIConnectionError, match="refused"):
        client.flows.get("f")


def test_a_name_that_does_not_resolve(connect: Connect) -> None:
    """The error of an unknown host names it, and where it was configured."""
    client = connect(base_url="https://dcipher.invalid", resilience=Resilience(max_retries=0))
    with pytest.raises(APIConnectionError, match=r"dcipher\.invalid \(base_url=…\)"):
        client.flows.get("f")


@pytest.mark.parametrize(("code", "fault"), [(429, "0.2"), (503, "0.2")])
def test_not_before_the_service_says(
    connect: Connect, server: FaultyServer, code: int, fault: str
) -> None:
    """After `Retry-After` the next attempt is not made earlier."""
    server.on("/flows/f", status(code, Retry_After=fault), GOOD_FLOW)
    connect(server).flows.get("f")
    first, second = server.requests
    assert second.at - first.at >= 0.2


@pytest.mark.parametrize("asked", ["121", "86400", "9" * 300, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_too_long_a_wait_is_an_error_at_once(
    connect: Connect, server: FaultyServer, asked: str
) -> None:
    """Above `max_retry_after` the error comes at once, and says for how long the service asked."""
    server.on("/flows/f", status(429, Retry_After=asked))
    with pytest.raises(RateLimitError) as caught:
        connect(server).flows.get("f")
    assert caught.value.retry_after > 120
    assert len(server.requests) == 1


@pytest.mark.parametrize("asked", ["-1", "inf", "nan", "1e9", "soon", "", "1, 2", "+5", "0x10"])
def test_nonsense_in_retry_after_is_ignored(
    connect: Connect, server: FaultyServer, asked: str
) -> None:
    """What is neither seconds nor a date changes nothing, and hides no status."""
    server.on("/flows/f", Reply(b"", 429, {"Retry-After": asked}), GOOD_FLOW)
    assert connect(server).flows.get("f").id == "f"


@pytest.mark.parametrize("name", ["Retry-After", "X-Request-Id", "Server"])
def test_other_scripts_in_a_header_hide_no_status(
    connect: Connect, server: FaultyServer, name: str
) -> None:
    """A header of an error that is not ASCII is no reason for another error."""
    utf8 = "١é".encode().decode("latin-1")
    server.on("/flows/f", Reply(b"", 403, {name: utf8}))
    with pytest.raises(PermissionDeniedError):
        connect(server).flows.get("f")


def test_zero_in_retry_after_is_no_hot_loop(connect: Connect, server: FaultyServer) -> None:
    """`Retry-After: 0` means the usual backoff."""
    server.on("/flows/f", status(429, Retry_After="0"), GOOD_FLOW)
    connect(server, resilience=Resilience(backoff_initial=0.2)).flows.get("f")
    first, second = server.requests
    assert second.at - first.at >= 0.2


def test_a_deadline_ends_the_retries(connect: Connect, server: FaultyServer) -> None:
    """`deadline` bounds a call with all its retries."""
    server.on("*", status(500))
    policy = Resilience(max_retries=1000, backoff_initial=0.1, backoff_max=0.1, deadline=0.35)
    with no_hang(), pytest.raises(InternalServerError):
        connect(server, resilience=policy).flows.get("f")
    assert len(server.requests) <= 4


def test_a_deadline_bounds_an_attempt_that_hangs(connect: Connect, server: FaultyServer) -> None:
    """`deadline` bounds a call whose only attempt gets no answer, too."""
    server.on("*", STALL)
    with no_hang(), pytest.raises(APITimeoutError):
        connect(server, timeout=2 * HANG, resilience=Resilience(deadline=0.3)).flows.get("f")


def test_a_read_timeout(connect: Connect, server: FaultyServer) -> None:
    """No answer within `timeout` is an `APITimeoutError`, which is a TimeoutError; it is tried again."""
    server.on("*", STALL)
    with pytest.raises(TimeoutError, match="127") as caught:
        connect(
            server, timeout=0.15, resilience=Resilience(max_retries=1, backoff_initial=0.01)
        ).flows.get("f")
    assert isinstance(caught.value, APITimeoutError)
    assert caught.value.attempts == 2


def trickling(where: str) -> Reply:
    """An answer that takes 100 seconds to come."""
    padding = {"X-Padding": "x" * 20_000} if where == "head" else {}
    return Reply(b"{}" + b" " * 20_000, 200, padding, trickle=0.005)


@pytest.mark.parametrize("where", ["head", "body"])
def test_timeout_bounds_the_whole_request(
    connect: Connect, server: FaultyServer, where: str
) -> None:
    """A server that sends a byte now and then does not make a request longer than `timeout`."""
    server.on("*", trickling(where))
    with no_hang(), pytest.raises(APITimeoutError):
        connect(server, timeout=0.6, max_retries=0).flows.get("f")


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_timeout_of_parts_bounds_the_whole_request(
    connect: Connect, server: FaultyServer, where: str
) -> None:
    """So does an httpx.Timeout, by the sum of its parts; httpx starts each anew with every byte."""
    server.on("*", trickling(where))
    with no_hang(), pytest.raises(APITimeoutError):
        connect(server, timeout=httpx.Timeout(0.15), max_retries=0).flows.get("f")


def test_a_server_that_reads_slowly(connect: Connect, server: FaultyServer) -> None:
    """A body that the server takes in little by little does not make a request longer than `timeout`."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def read_slowly() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            while connection.recv(2000) and not ended.wait(0.02):
                pass

    ended = threading.Event()
    thread = threading.Thread(target=read_slowly, daemon=True)
    thread.start()
    server.port = listening.getsockname()[1]
    with no_hang(), pytest.raises(APITimeoutError):
        connect(server, timeout=0.5, max_retries=0).flows.start("f", {"text": "x" * 20_000_000})
    ended.set()
    listening.close()
    thread.join(HANG)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(connect: Connect, server: FaultyServer, code: int) -> None:
    """The API's redirects are errors: nothing, and no key, goes to the other host."""
    from tests.faulty import FaultyServer as Other

    with Other() as other:
        server.on("*", Reply(b"", code, {"Location": f"{other.url}/x?token=canary"}))
        client = connect(server)
        for call in (client.flows.get, client.flows.start):
            with pytest.raises(APIStatusError, match="which is not followed") as caught:
                call("f")
            assert caught.value.status_code == code
            assert "canary" not in str(caught.value)
        assert other.connections == 0
    assert len(server.requests) == 2


@pytest.mark.parametrize("location", ["http://127.0.0.1:x/", "http://[::1/"])
def test_a_redirect_to_nowhere_is_a_redirect(
    connect: Connect, server: FaultyServer, location: str
) -> None:
    """A Location that is no URL does not change what a 302 is."""
    server.on("*", Reply(b"", 302, {"Location": location}))
    with pytest.raises(APIStatusError):
        connect(server).flows.get("f")
    assert len(server.requests) == 1


def test_cookies_are_not_stored(connect: Connect, server: FaultyServer) -> None:
    """A cookie that the API sets is not sent back."""
    server.on("/flows/f", json_reply('{"id": "f"}', Set_Cookie="session=1; Path=/"))
    client = connect(server)
    client.flows.get("f")
    client.flows.get("f")
    assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"message": "no such flow"}', "no such flow"),
        ('{"detail": "no such flow"}', "no such flow"),
        ('{"type": "about:blank", "title": "no such flow", "status": 404}', "no such flow"),
        ('{"error": {"message": "no such flow"}}', "no such flow"),
        ('{"error": "no such flow"}', "no such flow"),
    ],
)
def test_an_error_says_what_the_service_said(
    connect: Connect, server: FaultyServer, body: str, message: str
) -> None:
    """The usual shapes of an error body are understood."""
    server.on("*", json_reply(body, 404, X_Request_Id="r-1"))
    with pytest.raises(NotFoundError, match=message) as caught:
        connect(server).flows.get("f")
    error = caught.value
    assert error.error is not None
    assert error.error.message == message
    assert error.body == json.loads(body)
    assert error.request_id == "r-1"
    assert "r-1" in str(error)
    assert (error.request.method, error.request.url) == ("GET", f"{server.url}/flows/f")
    assert error.response.status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"<html>\x1b[31mno</html>", b"\xff\xfe", b"null", b'"x"', b"[1]"]
)
def test_an_error_page_is_still_a_status(
    connect: Connect, server: FaultyServer, body: bytes
) -> None:
    """An error without a usable body is the error of its status, with clean words."""
    server.on("*", Reply(body, 404))
    with pytest.raises(NotFoundError) as caught:
        connect(server).flows.get("f")
    assert caught.value.error is None
    assert "\x1b" not in str(caught.value)


def test_a_long_error_is_cut(connect: Connect, server: FaultyServer) -> None:
    """At most 200 characters of a page stand in the message."""
    server.on("*", Reply(b"x" * 100_000, 404))
    with pytest.raises(NotFoundError) as caught:
        connect(server).flows.get("f")
    assert "x" * 150 in str(caught.value)
    assert "x" * 201 not in str(caught.value)


def test_a_huge_error_page_is_still_its_status(connect: Connect, server: FaultyServer) -> None:
    """A 401 with a body beyond the cap is an `AuthenticationError`, sent once."""
    server.on("*", Reply(b"x" * (9 * 1024 * 1024), 401))
    with pytest.raises(AuthenticationError):
        connect(server).flows.get("f")
    assert len(server.requests) == 1


def test_a_huge_answer_is_refused(connect: Connect, server: FaultyServer) -> None:
    """A success beyond 8 MiB is no answer of this API."""
    server.on("*", Reply(b" " * (9 * 1024 * 1024)))
    with pytest.raises(InvalidResponseError, match="8388608"):
        connect(server, max_retries=0).flows.get("f")


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"taskId": "17"}', b'{"taskId": 17, "new": {"a": 1}}']
)
def test_what_is_usable_is_used(connect: Connect, server: FaultyServer, body: bytes) -> None:
    """A byte order mark is left out, a number is an id, and unknown fields are kept."""
    server.on("*", Reply(body, 202))
    run = connect(server).flows.start("f")
    assert run.task_id == "17"
    assert (run.model_extra or {}) in ({}, {"new": {"a": 1}})


def test_an_idle_connection_that_the_server_closed(connect: Connect, server: FaultyServer) -> None:
    """A kept connection that the server has closed meanwhile is not used, and costs no retry."""
    server.on("*", GOOD_START)
    client = connect(server, resilience=Resilience(max_retries=0, resend_ambiguous=False))
    for _ in range(3):
        client.flows.start("f")
        server.drop()
        time.sleep(0.05)
    assert server.connections == 3


def test_a_conflict_is_waited_for(connect: Connect, kind: str) -> None:
    """A start that meets itself in progress (409) gets the same run in the end."""
    pytest.importorskip("fastapi")
    from dcipher.emulator import Emulator

    with Emulator(accept_time=0.15, queue_time=0) as emulator:
        emulator.flow("f")(lambda: 1)
        client = connect(emulator, resilience=Resilience(backoff_initial=0.05))
        with ThreadPoolExecutor(2) as pool:
            for number in range(20):  # on a slow machine, the second one may come too late to meet
                key = f"k{number}"
                starts = [
                    pool.submit(client.flows.start, "f", idempotency_key=key) for _ in range(2)
                ]
                runs = {start.result(HANG).task_id for start in starts}
                assert len(runs) == 1
                assert len(emulator.runs) == number + 1
                if any(request.status == 409 for request in emulator.requests):
                    return
        raise AssertionError("they never met")


def test_each_retry_is_logged(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A line for each: the first of a call at WARNING, for whoever waits; the others at INFO."""
    caplog.set_level("INFO", "dcipher")
    server.on("*", status(503), RESET, status(500), GOOD_FLOW)
    connect(server, resilience=Resilience(max_retries=3, backoff_initial=0.002)).flows.get("f")
    lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "dcipher"]
    assert [level for level, _ in lines] == ["WARNING", "INFO", "INFO"]
    assert [line.partition("(")[2].partition(")")[0] for _, line in lines] == [
        "status 503",
        "APIConnectionError",
        "status 500",
    ]
