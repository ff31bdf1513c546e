"""With the instrumentations of httpx and FastAPI in the same program: `nox -s ecosystem`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip(
    "opentelemetry.instrumentation.httpx", reason="the dependency group `ecosystem`"
)
pytest.importorskip(
    "opentelemetry.instrumentation.fastapi", reason="the dependency group `ecosystem`"
)

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.trace import SpanKind

from dcipher import AsyncDcipher, Dcipher
from tests.conftest import KEY
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.telemetry.conftest import Spans

SIGNATURE = "X-Amz-Signature=canary-signature"


@pytest.fixture
def instrumented(spans: Spans) -> Iterator[Spans]:
    HTTPXClientInstrumentor().instrument(tracer_provider=spans.provider)
    yield spans
    HTTPXClientInstrumentor().uninstrument()


@pytest.fixture
def signed(server: FaultyServer) -> FaultyServer:
    """An API and a store, with a URL as S3 signs it."""
    url = f"{server.url}/result?{SIGNATURE}"
    server.on("/flows/f", json_reply('{"id": "f"}'))
    server.on("/flows/f/run", json_reply(f'{{"taskId": "t", "signedResponseURL": "{url}"}}'))
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", json_reply("[1]"))
    return server


def test_no_span_twice(
    connect: Connect, signed: FaultyServer, instrumented: Spans, tmp_path: Path
) -> None:
    """The instrumentation of httpx reports none of our requests, and so no signature."""
    client = connect(signed)
    client.flows.get("f")
    run = client.flows.run("f", save_path=tmp_path / "result")
    assert client.runs.read(run.model_copy(update={"files": ()})) == [1]
    for _ in client.flows.map("f", [{"a": 1}], read=Any, progress=False):
        pass
    assert {span.instrumentation_scope.name for span in instrumented.everything()} == {"dcipher"}
    assert len(signed.seen("/result")) == 3
    assert not [span for span in instrumented.everything() if "canary" in span.to_json()]


def test_other_requests(connect: Connect, signed: FaultyServer, instrumented: Spans) -> None:
    """Requests of the program itself are reported, also from a callback, below the span of the wait."""

    def look(_: object) -> None:
        httpx.get(f"{signed.url}/flows/f", trust_env=False)

    client = connect(signed)
    client.runs.wait(client.flows.start("f"), on_status=look)
    (theirs,) = [
        span
        for span in instrumented.everything()
        if span.kind is SpanKind.CLIENT and span.name == "GET"
    ]
    assert theirs.parent is not None
    assert theirs.parent.span_id == instrumented.one("dcipher.runs.wait").context.span_id


@pytest.mark.parametrize("is_off", [False, True])
def test_signature_without_a_tracer(
    connect: Connect,
    signed: FaultyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_off: bool,
) -> None:
    """Where only the instrumentation has a tracer, or ours are off, it reports calls, and no signed URL."""
    from opentelemetry import trace

    from tests.telemetry.conftest import Spans

    theirs = Spans()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", theirs.provider if is_off else None)
    if is_off:
        monkeypatch.setenv("DCIPHER_OTEL", "0")
    HTTPXClientInstrumentor().instrument(tracer_provider=theirs.provider)
    try:
        connect(signed).flows.run("f", save_path=tmp_path / "result")
    finally:
        HTTPXClientInstrumentor().uninstrument()
    assert [span.name for span in theirs.everything()] == ["POST", "GET"]
    assert not [span for span in theirs.everything() if "canary" in span.to_json()]


@pytest.mark.parametrize("kind_of_endpoint", ["async", "blocking"])
def test_fastapi(signed: FaultyServer, spans: Spans, kind_of_endpoint: str) -> None:
    """The span of a request to an application is the parent of ours, in an endpoint of either kind."""
    app = FastAPI()
    if kind_of_endpoint == "async":

        @app.get("/topics")
        async def topics() -> Any:
            async with AsyncDcipher(KEY, base_url=signed.url) as client:
                return await client.runs.read(await client.flows.run("f"))
    else:

        @app.get("/topics")
        def topics_in_a_thread() -> Any:
            with Dcipher(KEY, base_url=signed.url) as client:
                return client.runs.read(client.flows.run("f"))

    FastAPIInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    answer = asked(app, "/topics")
    assert answer.json() == [1]
    (server,) = [span for span in spans.everything() if span.kind is SpanKind.SERVER]
    assert server.context is not None
    run, download = spans.one("dcipher.flows.run"), spans.one("dcipher.runs.download")
    assert run.parent.span_id == download.parent.span_id == server.context.span_id
    assert {span.context.trace_id for span in spans.ours()} == {server.context.trace_id}


def asked(app: FastAPI, path: str) -> httpx.Response:
    """What the application answers."""
    import anyio

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.get(path)

    return anyio.run(ask)
