"""Fetching runs, waiting for them, watching them, reading their results."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import BaseModel, validate_call

from dcipher import (
    AsyncDcipher,
    AuthenticationError,
    Dcipher,
    InvalidParamsError,
    NotFoundError,
    PermissionDeniedError,
    PollingInterruptedError,
    Resilience,
    ResultError,
    ResultParseError,
    Run,
    RunCancelledError,
    RunFailedError,
    RunStatus,
    WaitTimeoutError,
)
from tests.conftest import KEY
from tests.faulty import NOTHING, RESET, STALL, Reply, json_reply
from tests.waiting import HANG, fastest, no_hang

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

FAST = 0.02
"""Seconds between two looks."""


class Row(BaseModel):
    n: int


def status(word: str, message: str | None = None, **more: Any) -> Reply:
    output = {} if message is None else {"message": message}
    return json_reply(json.dumps({"status": word, **output, **more}))


def attached(**fields: Any) -> Run:
    """A run that another process has started at an unknown time."""
    return Run(flow_id="f", task_id="t", **fields)


def new(**fields: Any) -> Run:
    return attached(created_at=datetime.now(timezone.utc), **fields)


def test_get_is_one_poll(connect: Connect, api: FaultyServer) -> None:
    """`runs.get` returns status, message and other fields of the service, but no outputs, which it does not know."""
    api.on("/flows/f/status", status(" running ", "half way", progress=0.5))
    run = connect(api).runs.get("f", "t")
    assert (run.status, run.message, run.outputs) == (RunStatus.RUNNING, "half way", ())
    assert run.model_extra == {"progress": 0.5}
    assert len(api.requests) == 1


def test_refresh_keeps_known_fields(connect: Connect, api: FaultyServer) -> None:
    """`runs.refresh` changes the status, and keeps outputs, key and dates."""
    client = connect(api)
    started = client.flows.start("f")
    run = client.runs.refresh(started)
    assert run.succeeded
    assert started.status is RunStatus.PENDING
    assert (run.outputs, run.created_at, run.idempotency_key) == (
        started.outputs,
        started.created_at,
        started.idempotency_key,
    )
    assert run.finished_at is not None


@pytest.mark.parametrize("call", ["refresh", "wait", "watch", "download", "read", "records"])
def test_a_run_is_required(connect: Connect, api: FaultyServer, call: str) -> None:
    """Any object but a `Run` is an `InvalidParamsError`, and nothing is sent."""
    arguments = ("t", "out") if call == "download" else ("t",)
    with pytest.raises(InvalidParamsError, match="must be a Run"):
        list(getattr(connect(api).runs, call)(*arguments))
    assert api.requests == []


def test_wait_for_a_run_of_another_process(connect: Connect, api: FaultyServer) -> None:
    """Two ids are sufficient to wait. The first poll is at once."""
    client = connect(api)

    def call() -> None:
        api.on("/flows/f/status", status("RUNNING"), status("SUCCEEDED"))
        assert client.runs.wait(attached(), poll_interval=FAST).succeeded

    fastest(call, 0.4)


def test_a_stored_run_is_waited_for_and_read(connect: Connect, api: FaultyServer) -> None:
    """A run that went through JSON with its URLs can be waited for and read by another client."""
    stored = connect(api).flows.start("f").to_json(reveal=True)
    client = connect(api)
    run = client.runs.wait(Run.from_json(stored), timeout=0)
    assert client.runs.read(run) == {"text": 1}


def test_a_run_that_has_ended_is_not_polled(connect: Connect, api: FaultyServer) -> None:
    """Waiting for an ended run sends nothing, and does not depend on what could be sent."""
    client = connect(api)
    run = attached(status="SUCCEEDED")
    assert client.runs.wait(run) is run
    imported = Run(flow_id="f", task_id="", status="SUCCEEDED")
    assert client.runs.wait(imported) is imported
    assert list(client.runs.watch(run)) == [run]
    with pytest.raises(RunFailedError):
        client.runs.wait(attached(status="FAILED"))
    assert api.requests == []


@pytest.mark.parametrize(
    ("word", "error", "output"),
    [
        ("FAILED", RunFailedError, "the corpus is empty"),
        ("failed", RunFailedError, "the corpus is empty"),
        ("CANCELLED", RunCancelledError, "cancelled"),
        ("CANCELFAILED", RunFailedError, "CANCELFAILED"),
    ],
)
def test_ends_that_are_errors(
    connect: Connect, api: FaultyServer, word: str, error: type[Exception], output: str
) -> None:
    """Each failure has its error, with the run and the message of the service."""
    api.on("/flows/f/status", status(word, "the corpus is empty\x1b[31m"))
    with pytest.raises(error, match=output) as caught:
        connect(api).runs.wait(attached())
    assert type(caught.value) is error
    assert "the corpus is empty" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.run.is_terminal  # type: ignore[attr-defined]
    assert caught.value.run.task_id == "t"  # type: ignore[attr-defined]


def test_only_known_statuses_end_a_wait(connect: Connect, api: FaultyServer) -> None:
    """Free text, unknown and earlier statuses do not."""
    words = ["setting up cluster", "RUNNING", "PENDING", "COMPLETED", "CANCELLING", "SUCCEEDED"]
    api.on("/flows/f/status", *map(status, words))
    seen = [str(run.status) for run in connect(api).runs.watch(attached(), poll_interval=FAST)]
    assert seen == words


def test_watch_yields_a_failed_run(connect: Connect, api: FaultyServer) -> None:
    """`runs.watch` yields the last run, succeeded or not, and raises no error for it."""
    api.on("/flows/f/status", status("RUNNING"), status("RUNNING"), status("FAILED", "why"))
    seen = list(connect(api).runs.watch(attached(), poll_interval=FAST))
    assert [run.status for run in seen] == [RunStatus.RUNNING, RunStatus.FAILED]
    assert seen[-1].message == "why"


def test_watch_may_be_left(connect: Connect, api: FaultyServer) -> None:
    """Ending the iteration after the first change leaves nothing."""
    api.on("/flows/f/status", status("RUNNING"))
    client = connect(api)
    for run in client.runs.watch(attached(), poll_interval=FAST):
        assert run.status is RunStatus.RUNNING
        break
    assert client.runs.get("f", "t").status is RunStatus.RUNNING


def test_poll_interval(connect: Connect, api: FaultyServer) -> None:
    """`poll_interval` is the time between two polls."""
    client = connect(api)

    def call() -> None:
        api.on("/flows/f/status", *[status("RUNNING")] * 3, status("SUCCEEDED"))
        began, before = time.monotonic(), len(api.requests)
        client.runs.wait(attached(), poll_interval=0.1)
        assert len(api.requests) - before == 4
        assert time.monotonic() - began >= 3 * 0.1

    fastest(call, 1.0)


def test_a_new_run_is_first_polled_after_half_a_second(connect: Connect, api: FaultyServer) -> None:
    """A run that was just started is polled within a second, not before half of one."""
    client = connect(api)

    def call() -> None:
        began = time.monotonic()
        client.runs.wait(new())
        assert api.requests[-1].at - began >= 0.4

    fastest(call, 1.0)


FAULTS = [
    RESET,
    NOTHING,
    json_reply("{}", 500),
    json_reply("{}", 503),
    json_reply("{}", 429),
    json_reply("{}", 408),
    json_reply("{}", 409),
    Reply(b"<html>maintenance"),
    Reply(b""),
    json_reply('{"status": null}'),
    json_reply('{"status": ""}'),
    json_reply('{"status": 7}'),
    json_reply("[]"),
]


@pytest.mark.parametrize("retries", [0, 1])
def test_failing_polls_do_not_end_a_wait(
    connect: Connect, api: FaultyServer, retries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait continues after any number of failures of any kind, with one warning."""
    api.on("/flows/f/status", *FAULTS, status("SUCCEEDED"))
    policy = Resilience(max_retries=retries, backoff_initial=0.01, backoff_max=0.01)
    run = connect(api, resilience=policy).runs.wait(attached(), poll_interval=0.01)
    assert run.succeeded
    assert len(api.requests) == len(FAULTS) + 1
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_a_stalled_poll_does_not_end_a_wait(connect: Connect, api: FaultyServer) -> None:
    """A poll without a response takes its timeout, not more."""
    api.on("/flows/f/status", STALL, status("SUCCEEDED"))
    assert connect(api, timeout=0.2).runs.wait(attached(), poll_interval=FAST).succeeded


def test_a_new_run_may_be_unknown_for_a_while(connect: Connect, api: FaultyServer) -> None:
    """A 404 seconds after the start is not the end; one on an old run is."""
    api.on("/flows/f/status", json_reply("{}", 404), json_reply("{}", 404), status("SUCCEEDED"))
    client = connect(api)
    assert client.runs.wait(new(), poll_interval=FAST).succeeded
    api.on("/flows/f/status", json_reply("{}", 404), status("SUCCEEDED"))
    old = attached(created_at=datetime(2020, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(NotFoundError):
        client.runs.wait(old)


@pytest.mark.parametrize(
    ("code", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_a_permanent_failure_ends_a_wait(
    connect: Connect, api: FaultyServer, code: int, error: type[Exception]
) -> None:
    """A rejected key ends the wait at once."""
    api.on("/flows/f/status", json_reply("{}", code))
    with pytest.raises(error):
        connect(api).runs.wait(attached(), timeout=30)
    assert len(api.requests) == 1


def test_a_timeout_has_advice(connect: Connect, api: FaultyServer) -> None:
    """A timeout ends the wait with a last poll. The run continues, and is found by its ids."""
    api.on("/flows/f/status", status("RUNNING"))
    client = connect(api)
    began = time.monotonic()
    with (
        no_hang(),
        pytest.raises(TimeoutError, match=r"Run\(flow_id='f', task_id='t'\)") as caught,
    ):
        client.runs.wait(attached(), timeout=0.3, poll_interval=0.2)
    assert time.monotonic() - began >= 0.3
    assert isinstance(caught.value, WaitTimeoutError)
    assert caught.value.run.status is RunStatus.RUNNING
    api.on("/flows/f/status", status("SUCCEEDED"))
    assert client.runs.wait(Run(flow_id="f", task_id="t")).succeeded


def test_no_time_is_one_poll(connect: Connect, api: FaultyServer) -> None:
    """`timeout=0` polls once."""
    api.on("/flows/f/status", status("RUNNING"))
    client = connect(api)
    with pytest.raises(WaitTimeoutError):
        client.runs.wait(new(), timeout=0)
    assert len(api.requests) == 1
    api.on("/flows/f/status", status("SUCCEEDED"))
    assert client.runs.wait(new(), timeout=0).succeeded


def test_a_timeout_while_the_api_is_unavailable(connect: Connect, api: FaultyServer) -> None:
    """A wait whose polls all fail ends with its timeout, with the last failure as cause."""
    api.on("/flows/f/status", json_reply("{}", 500))
    with pytest.raises(WaitTimeoutError) as caught:
        connect(api).runs.wait(attached(), timeout=0.3, poll_interval=0.1)
    assert type(caught.value.__cause__).__name__ == "InternalServerError"


def test_a_timeout_while_a_poll_hangs(connect: Connect, api: FaultyServer) -> None:
    """A hanging poll makes a wait longer than its timeout by a second or so at most."""
    api.on("/flows/f/status", STALL)
    with no_hang(), pytest.raises(WaitTimeoutError):
        connect(api, timeout=2 * HANG).runs.wait(attached(), timeout=0)


def test_an_api_that_remains_unavailable(connect: Connect, api: FaultyServer) -> None:
    """Without a timeout, the wait ends after `deadline` without a successful poll. The error has the run."""
    api.on("/flows/f/status", status("RUNNING"), json_reply("{}", 503))
    policy = Resilience(backoff_initial=0.05, backoff_max=0.1, deadline=0.5)
    began = time.monotonic()
    with no_hang(), pytest.raises(PollingInterruptedError, match="may continue") as caught:
        connect(api, resilience=policy).runs.wait(attached(), poll_interval=0.05)
    assert time.monotonic() - began >= 0.5
    assert caught.value.run.status is RunStatus.RUNNING


def test_a_successful_poll_resets_the_failures(connect: Connect, api: FaultyServer) -> None:
    """Failures that are interrupted by successes do not add up."""
    bad, good = json_reply("{}", 503), status("RUNNING")
    api.on("/flows/f/status", *[bad, bad, good] * 10, status("SUCCEEDED"))
    policy = Resilience(backoff_initial=0.05, backoff_max=0.05, deadline=1.2)
    assert connect(api, resilience=policy).runs.wait(attached(), poll_interval=0.05).succeeded


def test_a_retry_after_beyond_all_clocks(api: FaultyServer) -> None:
    """A poll that is delayed beyond the range of a clock does not end a wait by an OverflowError."""
    api.on("/flows/f/status", json_reply("{}", 503, Retry_After="9" * 300), status("SUCCEEDED"))
    policy = Resilience(backoff_initial=0.01, max_retry_after=0.05)
    with Dcipher(KEY, base_url=api.url, resilience=policy) as client:
        assert client.runs.wait(attached(), poll_interval=FAST).succeeded


@pytest.mark.parametrize("asked", ["86400", "9" * 300])
def test_a_retry_after_of_a_day(api: FaultyServer, asked: str) -> None:
    """A poll is not delayed by more than `max_retry_after`."""
    api.on("/flows/f/status", json_reply("{}", 503, Retry_After=asked), status("SUCCEEDED"))

    async def main() -> Run | None:
        policy = Resilience(backoff_initial=0.01, max_retry_after=0.05)
        async with AsyncDcipher(KEY, base_url=api.url, resilience=policy) as client:
            with anyio.move_on_after(HANG):
                return await client.runs.wait(attached(), poll_interval=FAST)
        return None

    run = anyio.run(main)
    assert run is not None
    assert run.succeeded


def test_a_retry_after_of_a_poll_is_respected(connect: Connect, api: FaultyServer) -> None:
    """The next poll is not sent before that time."""
    api.on("/flows/f/status", json_reply("{}", 429, Retry_After="0.4"), status("SUCCEEDED"))
    connect(api).runs.wait(attached(), poll_interval=FAST)
    first, second = api.requests
    assert second.at - first.at >= 0.4


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "soon", True])
def test_invalid_times(connect: Connect, api: FaultyServer, value: Any) -> None:
    """An invalid timeout or interval is an `InvalidParamsError` before the first poll."""
    client = connect(api)
    with pytest.raises(InvalidParamsError, match="timeout"):
        client.runs.wait(attached(), timeout=value)
    with pytest.raises(InvalidParamsError, match="poll_interval"):
        client.runs.wait(attached(), poll_interval=value)
    assert api.requests == []


def test_an_invalid_wait_timeout_starts_no_run(connect: Connect, api: FaultyServer) -> None:
    """An invalid `wait_timeout` is reported before the run is started."""
    with pytest.raises(InvalidParamsError):
        connect(api).flows.run("f", wait_timeout=-1)
    assert api.requests == []


def test_a_callback_that_raises(connect: Connect, api: FaultyServer) -> None:
    """The exception of `on_status` is raised, and the client still works."""

    def stop(run: Run) -> None:
        raise KeyError(run.task_id)

    client = connect(api)
    with pytest.raises(KeyError):
        client.runs.wait(attached(), on_status=stop)
    assert client.runs.get("f", "t").succeeded


def results(server: FaultyServer, *bodies: bytes, kind: str = "application/json") -> Run:
    urls = []
    for number, body in enumerate(bodies):
        server.on(f"/{number}", Reply(body, 200, {"Content-Type": kind}))
        urls.append({"url": f"{server.url}/{number}?Signature=x"})
    fields = {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": urls}
    return Run.model_validate(fields)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'[{"n": 1}, {"n": 2}]', "application/json"),
        (b'{"n": 1}\n{"n": 2}\n', "application/x-ndjson"),
        (b"n\r\n1\r\n2\r\n", "text/csv"),
    ],
)
def test_read_and_records(
    connect: Connect, server: FaultyServer, body: bytes, media_type: str
) -> None:
    """A result is read as a value or row by row, from JSON, NDJSON or CSV, and validated."""
    run = results(server, body, kind=media_type)
    client = connect(server)
    assert client.runs.read(run, list[Row]) == [Row(n=1), Row(n=2)]
    assert list(client.runs.records(run, Row)) == [Row(n=1), Row(n=2)]
    assert client.runs.read(run, bytes) == body


def test_one_of_several_results(connect: Connect, server: FaultyServer) -> None:
    """Of several results, `read` needs the index; `records` reads all of them in order."""
    run = results(server, b'[{"n": 1}]', b'[{"n": 2}]')
    client = connect(server)
    assert client.runs.read(run, output_index=1) == [{"n": 2}]
    assert [row.n for row in client.runs.records(run, Row)] == [1, 2]
    assert [row.n for row in client.runs.records(run, Row, output_index=1)] == [2]
    for index in (None, 2, -1, True):
        with pytest.raises(InvalidParamsError, match="output_index"):
            client.runs.read(run, output_index=index)


def test_invalid_rows(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An invalid row is an error with its location, without its value; or it is left out, and counted."""
    run = results(server, b'[{"n": 1}, {"n": "canary"}, {"n": 3}]')
    client = connect(server)
    got: list[Any] = []
    with pytest.raises(ResultParseError) as caught:
        got.extend(client.runs.records(run, Row))
    assert "canary" not in str(caught.value)
    assert (caught.value.output_index, caught.value.run.task_id) == (0, "t")
    assert [row.n for row in client.runs.records(run, Row, on_invalid="drop")] == [1, 3]
    assert "dropped 1 invalid rows" in caplog.text
    with pytest.raises(InvalidParamsError, match="on_invalid"):
        list(client.runs.records(run, Row, on_invalid="skip"))


@pytest.mark.parametrize("body", [b"", b"{", b'{"n": NaN}', b"\xff"])
def test_a_result_that_is_not_json(connect: Connect, server: FaultyServer, body: bytes) -> None:
    """A malformed result is a `ResultParseError`."""
    with pytest.raises(ResultParseError):
        connect(server).runs.read(results(server, body), list[Row])


def test_records_may_be_left(connect: Connect, server: FaultyServer) -> None:
    """Ending the iteration after the first row leaves nothing."""
    run = results(server, json.dumps([{"n": n} for n in range(5000)]).encode())
    client = connect(server)
    for row in client.runs.records(run, Row):
        assert row.n == 0
        break
    assert client.runs.read(run)[1] == {"n": 1}


def test_no_result_of_a_failed_run(connect: Connect, api: FaultyServer) -> None:
    """A failed run has no result: its own error has the reason."""
    api.on("/flows/f/status", status("FAILED", "why"))
    client = connect(api)
    run = client.flows.start("f")
    with pytest.raises(RunFailedError, match="why"):
        client.runs.read(run)
    with pytest.raises(RunFailedError, match="why"):
        list(client.runs.records(run))


def test_no_result_without_urls(connect: Connect, api: FaultyServer) -> None:
    """A run with only its ids can be waited for. The error for reading it has the reason."""
    client = connect(api)
    with pytest.raises(ResultError, match="reveal=True"):
        client.runs.read(client.runs.wait(attached()))


@pytest.mark.parametrize("client", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize("name", ["read", "records"])
def test_pydantic_checks_the_arguments(client: Any, name: str) -> None:
    """`validate_call` accepts the methods with a type, whose default is not an annotation."""
    made = client("a-key", base_url="http://127.0.0.1:9")
    assert callable(validate_call(getattr(made.runs, name)))
