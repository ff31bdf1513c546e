"""OpenTelemetry that fails breaks no call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer
    from tests.telemetry.conftest import Spans


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the collector is down")


class FailingSampler(Sampler):
    should_sample = fail
    get_description = fail


class FailingExporter(SpanExporter):
    export = fail


class FailingStart(SpanProcessor):
    on_start = fail


class FailingEnd(SpanProcessor):
    on_end = fail


class FailingMeters(NoOpMeterProvider):
    get_meter = fail


def failing(what: str) -> TracerProvider:
    provider = TracerProvider(sampler=FailingSampler() if what == "sampler" else None)
    processors = {
        "exporter": SimpleSpanProcessor(FailingExporter()),
        "start": FailingStart(),
        "end": FailingEnd(),
    }
    if what in processors:
        provider.add_span_processor(processors[what])
    return provider


@pytest.mark.parametrize("what", ["sampler", "exporter", "start", "end"])
def test_tracer(
    connect: Connect, api: FaultyServer, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sampler, processor or exporter that raises does not: the run is run, and read."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", failing(what))
    client = connect(api)
    assert client.runs.read(client.flows.run("f")) == {"text": 1}
    assert not trace.get_current_span().get_span_context().is_valid


def test_meter(connect: Connect, api: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter that raises does not."""
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", FailingMeters())
    client = connect(api)
    assert client.runs.read(client.flows.run("f")) == {"text": 1}


@pytest.mark.parametrize("value", [None, "two\r\nlines", "not ASCII: ä"])
def test_propagator(
    connect: Connect,
    api: FaultyServer,
    spans: Spans,
    value: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A propagator that raises, or writes what no header can contain, does not end a call."""

    def inject(carrier: dict[str, str], **_: Any) -> None:
        carrier["x-trace"] = fail() if value is None else value

    monkeypatch.setattr(propagate, "inject", inject)
    connect(api).flows.get("f")
    assert "x-trace" not in api.requests[0].headers
    assert len(spans.ours()) == 1


def test_half_imported(
    connect: Connect, api: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that another thread is importing, or that is no API, is as good as none."""
    import sys
    from types import ModuleType

    for name in ("trace", "metrics", "context"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.{name}", ModuleType(name))
    client = connect(api)
    assert client.runs.read(client.flows.run("f")) == {"text": 1}
