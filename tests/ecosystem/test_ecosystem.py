"""Tools for httpx see every call of a client, whichever class of httpx or httpcore they patch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("respx", reason="the dependency group `ecosystem`")
pytest.importorskip("vcr", reason="the dependency group `ecosystem`")
pytest.importorskip("pytest_httpx", reason="the dependency group `ecosystem`")
pytest.importorskip(
    "opentelemetry.instrumentation.httpx", reason="the dependency group `ecosystem`"
)

import respx
import vcr
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dcipher import HTTPAuthenticatedClient, NotFoundError, Resilience
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_httpx import HTTPXMock

    from tests.conftest import Connect

AWAY = "https://api.dcipher.invalid"
SIGNED = "https://store.invalid/r?sig=1"
QUICK = Resilience(max_retries=2, backoff_initial=0.002)
STARTED = {"taskId": "t", "signedResponseURL": SIGNED}


@pytest.fixture(params=[False, True], ids=["direct", "by a proxy"], autouse=True)
def _proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a tool stands in for the network, there is none to a proxy either."""
    if request.param:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")


@respx.mock
def test_respx(connect: Connect) -> None:
    """Respx answers each attempt of each call, and the download of a result; a connection is never short."""
    flow = respx.get(f"{AWAY}/flows/f")
    flow.side_effect = [
        httpx.Response(503),
        *[httpx.Response(200, json={"id": "f"}) for _ in range(250)],
    ]
    respx.post(f"{AWAY}/flows/f/run").respond(json=STARTED)
    respx.get(url__startswith=f"{AWAY}/flows/f/status").respond(json={"status": "SUCCEEDED"})
    result = respx.get("https://store.invalid/r").respond(json=[1, 2])
    client = connect(base_url=AWAY, resilience=QUICK)
    for _ in range(250):  # more than there are connections
        assert client.flows.get("f").id == "f"
    assert flow.call_count == 251
    assert client.runs.read(client.flows.run("f")) == [1, 2]
    assert result.called
    assert result.calls[0].request.headers.get("authorization") is None
    assert flow.calls[0].request.headers["authorization"].startswith("Api-Key ")


def test_pytest_httpx(connect: Connect, httpx_mock: HTTPXMock) -> None:
    """pytest-httpx answers each attempt of each call, and the download of a result."""
    httpx_mock.add_response(url=f"{AWAY}/flows/f", status_code=503)
    httpx_mock.add_exception(httpx.ReadTimeout("slow"), url=f"{AWAY}/flows/f")
    httpx_mock.add_response(url=f"{AWAY}/flows/f", json={"id": "f"}, is_reusable=True)
    httpx_mock.add_response(url=f"{AWAY}/flows/f/run", method="POST", json=STARTED)
    httpx_mock.add_response(url=f"{AWAY}/flows/f/status?taskId=t", json={"status": "SUCCEEDED"})
    httpx_mock.add_response(url=SIGNED, json=[1, 2])
    httpx_mock.add_response(url=f"{AWAY}/flows/g", status_code=404)
    client = connect(base_url=AWAY, resilience=QUICK)
    for _ in range(250):
        assert client.flows.get("f").id == "f"
    assert client.runs.read(client.flows.run("f")) == [1, 2]
    with pytest.raises(NotFoundError):
        client.flows.get("g")
    assert len(httpx_mock.get_requests(url=f"{AWAY}/flows/f")) == 252


def test_vcrpy(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """Vcrpy records each call, and plays it where there is no server any more."""
    server.on("/flows/f", json_reply("{}", 503), json_reply('{"id": "f"}'))
    url = server.url
    cassette = str(tmp_path / "cassette.yaml")
    with vcr.use_cassette(cassette, record_mode="once"):
        assert connect(server, resilience=QUICK).flows.get("f").id == "f"
    assert len(server.requests) == 2
    with vcr.use_cassette(cassette, record_mode="none") as played:
        assert connect(base_url=url, resilience=QUICK).flows.get("f").id == "f"
    assert played.play_count == 2
    assert len(server.requests) == 2


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What OpenTelemetry's instrumentation of httpx reports."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def test_opentelemetry(connect: Connect, server: FaultyServer, spans: InMemorySpanExporter) -> None:
    """OpenTelemetry's instrumentation of httpx reports each attempt, and its trace goes along."""
    server.on("/flows/f", json_reply("{}", 503), json_reply('{"id": "f"}'))
    assert connect(server, resilience=QUICK).flows.get("f").id == "f"
    finished = spans.get_finished_spans()
    assert [span.name for span in finished] == ["GET", "GET"]
    traces = [f"{span.context.trace_id:032x}" for span in finished if span.context is not None]
    assert [request.headers["traceparent"].split("-")[1] for request in server.requests] == traces


def test_opentelemetry_on_one_client(connect: Connect, server: FaultyServer, kind: str) -> None:
    """One httpx client that is instrumented, and is part of a client of ours, reports its calls."""
    server.on("/flows/f", json_reply('{"id": "f"}'))
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    http = HTTPAuthenticatedClient(server.url, api_key="k")
    client = connect(http_client=http, api_key=None)
    own: Any = client._api.http
    built = (
        own.get_or_create_httpx_client()
        if kind == "sync"
        else own.get_or_create_async_httpx_client()
    )
    HTTPXClientInstrumentor.instrument_client(built, tracer_provider=provider)
    assert client.flows.get("f").id == "f"
    assert [span.name for span in exporter.get_finished_spans()] == ["GET"]
    assert json.loads(server.requests[0].body or b"{}") == {}
