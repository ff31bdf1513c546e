"""Spans: of calls, waits, downloads, whole runs; with their parents, links, attributes and events."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr

from dcipher import (
    APIConnectionError,
    AsyncDcipher,
    Dcipher,
    NotFoundError,
    PermissionDeniedError,
    ResultError,
    Run,
    RunFailedError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from dcipher._telemetry.spans import CALLS
from dcipher._wire.messages.parsing import _MODELS
from tests.conftest import KEY
from tests.faulty import FaultyServer, json_reply
from tests.telemetry.conftest import scope_of
from tests.waiting import no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.telemetry.conftest import Spans

START, WAIT, DOWNLOAD = "dcipher.flows.start", "dcipher.runs.wait", "dcipher.runs.download"


def test_call(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A call is a CLIENT span, which says where it went, what came back, and for which run."""
    client = connect(api)
    run = client.flows.start("f")
    client.runs.get("f", run.task_id)
    client.flows.get("f")
    assert spans.names() == [START, "dcipher.runs.get", "dcipher.flows.get"]
    assert {span.kind for span in spans.ours()} == {SpanKind.CLIENT}
    port = int(api.url.rpartition(":")[2])
    common = {
        "dcipher.flow.id": "f",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
    }
    start, get, flow = (dict(span.attributes) for span in spans.ours())
    assert start == {**common, "http.request.method": "POST", "dcipher.task.id": "t"}
    assert get == {**common, "http.request.method": "GET", "dcipher.task.id": "t"}
    assert flow == {**common, "http.request.method": "GET"}
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.ours())


def test_each_operation() -> None:
    """Each operation of the API has a span with a name."""
    assert CALLS.keys() == _MODELS.keys()


def test_retries(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """Retries are part of one span, which has their number; each attempt has its traceparent."""
    api.on("/flows/f", json_reply("{}", 503), json_reply("{}", 503), json_reply('{"id": "f"}'))
    connect(api).flows.get("f")
    span = spans.one("dcipher.flows.get")
    assert span.attributes["http.request.resend_count"] == 2
    assert span.attributes["http.response.status_code"] == 200
    ids = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-"
    sent = [request.headers["traceparent"] for request in api.requests]
    assert [header[:53] for header in sent] == [ids] * 3


def test_failure(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """The span of a failed call has the error's class and its message, without URL and traceback."""
    api.on("/flows/f", json_reply('{"message": "look at https://x.test/?sig=1"}', 404))
    with pytest.raises(NotFoundError):
        connect(api).flows.get("f")
    span = spans.one("dcipher.flows.get")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "NotFoundError")
    assert span.attributes["error.type"] == "NotFoundError"
    assert span.attributes["http.response.status_code"] == 404
    (event,) = span.events
    assert set(event.attributes) == {"exception.type", "exception.message"}
    assert event.attributes["exception.type"] == "dcipher.errors.NotFoundError"
    assert "look at [URL]" in event.attributes["exception.message"]
    assert "://" not in span.to_json().replace(span.resource.to_json(), "")


def test_lost_connection(connect: Connect, spans: Spans) -> None:
    """A call without a response has an error, and no status."""
    with FaultyServer() as gone:
        url = gone.url
    with pytest.raises(APIConnectionError):
        connect(base_url=url).flows.get("f")
    span = spans.one("dcipher.flows.get")
    assert span.attributes["error.type"] == "APIConnectionError"
    assert "http.response.status_code" not in span.attributes
    assert span.attributes["http.request.resend_count"] == 1  # of a server on this machine


def test_flow_run(connect: Connect, api: FaultyServer, spans: Spans, tmp_path: Path) -> None:
    """`flows.run` is the parent of the start, the wait and the download; the last two are linked to it."""
    with spans.tracer.start_as_current_span("request") as request:
        connect(api).flows.run("f", save_path=tmp_path / "result.json")
    start, wait, download, whole = (
        spans.one(name) for name in (START, WAIT, DOWNLOAD, "dcipher.flows.run")
    )
    assert len(spans.ours()) == 4
    assert whole.parent == request.get_span_context()
    for part in (start, wait, download):
        assert part.parent.span_id == whole.context.span_id
    for later in (wait, download):
        assert later.kind is SpanKind.INTERNAL
        assert [link.context.span_id for link in later.links] == [start.context.span_id]
        assert later.links[0].context.trace_id == start.context.trace_id
    size = (tmp_path / "result.json").stat().st_size
    assert download.attributes == {
        "dcipher.flow.id": "f",
        "dcipher.task.id": "t",
        "dcipher.output.index": 0,
        "dcipher.result.size": size,
    }


def test_statuses(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A wait has an event for each change of status, and none of its polls is a span."""
    statuses = ["QUEUED", "QUEUED", "setting up cluster", "SUCCEEDED"]
    api.on("/flows/f/status", *[json_reply(f'{{"status": "{status}"}}') for status in statuses])
    client = connect(api)
    client.runs.wait(Run(flow_id="f", task_id="t"), poll_interval=0.01)
    wait = spans.one(WAIT)
    assert spans.names() == [WAIT]
    assert [event.attributes["dcipher.run.status"] for event in wait.events] == [
        "QUEUED",
        "setting up cluster",
        "SUCCEEDED",
    ]
    assert {event.name for event in wait.events} == {"status"}
    assert wait.attributes["dcipher.run.status"] == "SUCCEEDED"
    polls = api.seen("/flows/f/status")
    assert len(polls) == 4
    assert {poll.headers["traceparent"][36:52] for poll in polls} == {
        f"{wait.context.span_id:016x}"
    }


def test_a_status_of_a_megabyte(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A status of any length is cut: it is neither searched nor exported whole."""
    api.on("/flows/f/status", json_reply(f'{{"status": "{"y" * 1_000_000}"}}'))
    with no_hang(), pytest.raises(WaitTimeoutError):
        connect(api).runs.wait(Run(flow_id="f", task_id="t"), timeout=0)
    (event,) = [event for event in spans.one(WAIT).events if event.name == "status"]
    assert 0 < len(event.attributes["dcipher.run.status"]) <= 200


def test_failed_run(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """The wait for a run that failed has failed, too."""
    api.on("/flows/f/status", json_reply('{"status": "FAILED", "message": "no corpus"}'))
    with pytest.raises(RunFailedError):
        connect(api).flows.run("f")
    for name in (WAIT, "dcipher.flows.run"):
        assert spans.one(name).status.status_code is StatusCode.ERROR
        assert spans.one(name).attributes["error.type"] == "RunFailedError"
    assert spans.one(START).status.status_code is StatusCode.UNSET


def test_error_of_a_callback(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """Of an error that is not ours, only the class is recorded: its message is not redacted."""

    def fail(_: Run) -> None:
        raise ValueError("canary")

    with pytest.raises(ValueError, match="canary"):
        connect(api).runs.wait(Run(flow_id="f", task_id="t"), on_status=fail)
    wait = spans.one(WAIT)
    assert wait.attributes["error.type"] == wait.status.description == "ValueError"
    assert "canary" not in wait.to_json()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_wait(api: FaultyServer, spans: Spans, backend: str) -> None:
    """The span of a wait that is cancelled ends, and the caller's is current again."""
    api.on("/flows/f/status", json_reply('{"status": "RUNNING"}'))

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=api.url) as client:
            with spans.tracer.start_as_current_span("request") as request:
                with anyio.move_on_after(0.1):
                    await client.runs.wait(Run(flow_id="f", task_id="t"))
                assert trace.get_current_span() is request

    anyio.run(main, backend=backend)
    wait = spans.one(WAIT)
    assert wait.attributes["error.type"] in {"CancelledError", "Cancelled"}
    assert not [event for event in wait.events if event.name == "exception"]


def test_wait_in_another_process(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A run that was stored as JSON is linked to its start, from a trace of its own."""
    with spans.tracer.start_as_current_span("first process"):
        stored = connect(api).flows.start("f").to_json()
    connect(api).runs.wait(Run.from_json(stored))
    start, wait = spans.one(START), spans.one(WAIT)
    assert wait.parent is None
    assert wait.context.trace_id != start.context.trace_id
    (link,) = wait.links
    assert (link.context.trace_id, link.context.span_id) == (
        start.context.trace_id,
        start.context.span_id,
    )
    assert link.context.is_remote


def test_watch(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """The span of `watch` has the statuses, and is not current for the code around the loop."""
    run = connect(api).flows.start("f")
    for _ in connect(api).runs.watch(run):
        assert not trace.get_current_span().get_span_context().is_valid
    wait = spans.one(WAIT)
    assert [event.attributes["dcipher.run.status"] for event in wait.events] == ["SUCCEEDED"]
    assert wait.links[0].context.span_id == spans.one(START).context.span_id


def test_watch_that_is_left(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A loop over `watch` that is left early has not failed."""
    api.on("/flows/f/status", json_reply('{"status": "RUNNING"}'))
    changes = connect(api).runs.watch(Run(flow_id="f", task_id="t"))
    assert next(iter(changes)).status == "RUNNING"
    changes.close()
    assert spans.one(WAIT).status.status_code is StatusCode.UNSET


def test_reads(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """`read` and `records` have a span for each result that they fetch."""
    client = connect(api)
    run = client.flows.run("f")
    assert client.runs.read(run) == {"text": 1}
    assert list(client.runs.records(run)) == [{"text": 1}]
    assert spans.names()[-2:] == [DOWNLOAD, DOWNLOAD]


def test_several_results(
    connect: Connect, emulator: Emulator, spans: Spans, tmp_path: Path
) -> None:
    """Each result of a download is a span of the caller's trace, also in a thread of ours.

    The emulator, which is in the same program, has no spans.
    """
    client = connect(emulator)
    run = client.runs.wait(client.flows.start("three"))
    with spans.tracer.start_as_current_span("request") as request:
        client.runs.download(run, tmp_path / "result")
    downloads = spans.ours(DOWNLOAD)
    assert sorted(span.attributes["dcipher.output.index"] for span in downloads) == [0, 1, 2]
    assert {span.parent.span_id for span in downloads} == {request.get_span_context().span_id}
    assert {scope_of(span) for span in spans.everything()} == {"dcipher", "program"}


def test_callbacks(connect: Connect, api: FaultyServer, spans: Spans, tmp_path: Path) -> None:
    """A callback of a wait sees the span of the wait; what a callback requests, others still report."""
    from opentelemetry import context

    seen: list[Any] = []

    def look(*_: object) -> None:
        hidden = context.get_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY)
        seen.append((trace.get_current_span().get_span_context().span_id, hidden))

    client = connect(api)
    run = client.runs.wait(client.flows.start("f"), on_status=look)
    client.runs.download(run, tmp_path / "result", on_progress=look)
    assert seen[0] == (spans.one(WAIT).context.span_id, None)
    assert {hidden for _, hidden in seen} == {None}


def test_requests_of_ours(connect: Connect, spans: Spans) -> None:
    """Instrumentations of HTTP clients are told to report no request of ours, by a transport of the user's either."""
    from opentelemetry import context

    hidden: dict[str, object] = {}

    def respond(request: httpx.Request) -> httpx.Response:
        key = context._SUPPRESS_HTTP_INSTRUMENTATION_KEY
        hidden[request.url.path] = context.get_value(key)
        replies = {
            "/flows/f/run": {
                "taskId": "t",
                "signedResponseURL": "https://store.test/r?Signature=s",
            },
            "/flows/f/status": {"status": "SUCCEEDED"},
        }
        return httpx.Response(200, json=replies.get(request.url.path, []))

    client = connect(base_url="https://api.test", transport=httpx.MockTransport(respond))
    assert client.runs.read(client.flows.run("f")) == []
    assert hidden == {"/flows/f/run": True, "/flows/f/status": True, "/r": True}
    assert len(spans.ours()) == 4


def test_store(connect: Connect, spans: Spans, tmp_path: Path) -> None:
    """The trace is sent to the API, and never to the store of a result."""
    with FaultyServer() as store, FaultyServer() as api:
        signed = f"{store.url}/result?X-Amz-Signature=canary-signature"
        api.on("/flows/f/run", json_reply(f'{{"taskId": "t", "signedResponseURL": "{signed}"}}'))
        api.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
        store.on("/result", json_reply("[1]"))
        with connect(api) as client, spans.tracer.start_as_current_span("request"):
            run = client.flows.run("f", save_path=tmp_path / "result")
            assert client.runs.read(run.model_copy(update={"files": ()})) == [1]
        assert all("traceparent" in request.headers for request in api.requests)
        trace_headers = {"traceparent", "tracestate", "baggage"}
        assert len(store.requests) == 2
        assert not any(trace_headers & request.headers.keys() for request in store.requests)


def test_secrets(
    connect: Connect, spans: Spans, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No span has a key, a secret, a signature or a URL, also where the service repeats them."""
    caplog.set_level("DEBUG")
    secret, signature, param = "canary-of-the-client", "canary-signature", "canary-param"
    with FaultyServer() as api:
        signed = f"{api.url}/result?X-Amz-Signature={signature}&sig={signature}"
        message = f'"message": "{KEY} {signed}'
        started = json_reply(f'{{"taskId": "t", "signedResponseURL": "{signed}"}}')
        api.on("/flows/f", json_reply(f'{{{message}"}}', 403))
        api.on("/flows/f/run", json_reply(f'{{{message} {param}"}}', 422), started)
        failed = json_reply(f'{{"status": "FAILED", {message} {signature}"}}')
        api.on("/flows/f/status", json_reply(f'{{"status": "{signed}"}}'), failed)
        api.on("/result", json_reply(f'{{"message": "{signed} {signature}"}}', 403))
        client = connect(api, api_secret=secret)
        with pytest.raises(PermissionDeniedError):
            client.flows.get("f")
        with pytest.raises(UnprocessableEntityError):
            client.flows.start("f", {"password": SecretStr(param)})
        run = client.flows.start("f")
        with pytest.raises(RunFailedError):
            client.runs.wait(run, poll_interval=0.01)
        done = run.model_copy(update={"status": "SUCCEEDED"})
        with pytest.raises(ResultError):
            client.runs.download(Run.from_json(done.to_json(reveal=True)), tmp_path / "result")
    assert spans.names() == ["dcipher.flows.get", START, START, WAIT, DOWNLOAD]
    shown = "".join(span.to_json() for span in spans.ours())
    assert shown.count("exception.message") == 4
    for hidden in (KEY, secret, signature, param, "X-Amz-Signature=", api.url):
        assert hidden not in shown
    for hidden in (KEY, secret, signature, param):
        assert hidden not in caplog.text


def test_tasks_and_threads(api: FaultyServer, spans: Spans) -> None:
    """Each task, and each thread with the context of its caller, has its own parent."""

    async def in_tasks() -> None:
        async def one(name: str) -> None:
            with spans.tracer.start_as_current_span(name):
                await client.flows.run("f")

        async with (
            AsyncDcipher(KEY, base_url=api.url) as client,
            anyio.create_task_group() as group,
        ):
            for name in ("a", "b"):
                group.start_soon(one, name)

    anyio.run(in_tasks)
    with Dcipher(KEY, base_url=api.url) as client, ThreadPoolExecutor(2) as threads:
        for name in ("c", "d"):
            with spans.tracer.start_as_current_span(name):
                threads.submit(copy_context().run, client.flows.run, "f")
    callers = {span.context.span_id for span in spans.of("program")}
    runs = spans.ours("dcipher.flows.run")
    assert {span.parent.span_id for span in runs} == callers
    assert len({span.context.trace_id for span in spans.ours()}) == len(callers) == 4


@pytest.mark.parametrize("off", ["0", "false"])
def test_off(
    connect: Connect, api: FaultyServer, spans: Spans, monkeypatch: pytest.MonkeyPatch, off: str
) -> None:
    """DCIPHER_OTEL=0 turns everything off."""
    monkeypatch.setenv("DCIPHER_OTEL", off)
    with spans.tracer.start_as_current_span("request"):
        client = connect(api)
        run = client.flows.run("f")
        assert client.runs.read(run) == {"text": 1}
    assert spans.ours() == []
    assert run.traceparent is None
    assert not any("traceparent" in request.headers for request in api.requests)


def test_suppressed(connect: Connect, api: FaultyServer, spans: Spans) -> None:
    """A program that suppresses instrumentations gets no spans of ours either."""
    from opentelemetry import context

    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        connect(api).flows.get("f")
    finally:
        context.detach(token)
    assert spans.ours() == []


def test_api_alone(connect: Connect, api: FaultyServer) -> None:
    """Without a tracer, as where only a library imports OpenTelemetry, nothing is added."""
    client = connect(api)
    run = client.flows.run("f")
    assert client.runs.read(run) == {"text": 1}
    assert run.traceparent is None
    assert not any("traceparent" in request.headers for request in api.requests)


def test_trace_of_the_caller(connect: Connect, api: FaultyServer) -> None:
    """Without a tracer, the trace of the caller continues at the API."""
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        connect(api).flows.get("f")
    assert api.requests[0].headers["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"


def test_without_opentelemetry(
    connect: Connect, api: FaultyServer, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has not imported OpenTelemetry has no spans, whatever is installed."""
    monkeypatch.delitem(sys.modules, "opentelemetry")
    client = connect(api)
    run = client.flows.run("f")
    assert client.runs.read(run) == {"text": 1}
    assert (spans.ours(), run.traceparent) == ([], None)


def test_it_is_not_imported(api: FaultyServer) -> None:
    """A call does not import OpenTelemetry."""
    code = (
        "import sys, dcipher\n"
        f"with dcipher.Dcipher({KEY!r}, base_url={api.url!r}) as client:\n"
        "    print(client.runs.read(client.flows.run('f')))\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.splitlines() == ["{'text': 1}", "[]"]
