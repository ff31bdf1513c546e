"""What a program sees of us by OpenTelemetry: its own tracer and meter, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Tracer


class Spans:
    """The spans of a program that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """That of the program itself."""
        return self.provider.get_tracer("program")

    def of(self, scope: str) -> list[Any]:
        return [span for span in self.everything() if scope_of(span) == scope]

    def ours(self, name: str | None = None) -> list[Any]:
        """Our spans in the order of their ends, of this name."""
        return [span for span in self.of("dcipher") if name in {None, span.name}]

    def one(self, name: str) -> Any:
        (span,) = self.ours(name)
        return span

    def names(self) -> list[str]:
        return [span.name for span in self.ours()]

    def everything(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


class Metrics:
    """The measurements of a program."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self._reader])

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name and scope.scope.name == "dcipher"
            for point in metric.data.data_points
        ]


def scope_of(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """A program with a tracer. It is set for one test, which the API does for no program."""
    found = Spans()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", found.provider)
    yield found
    found.provider.shutdown()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    """A program with a meter."""
    found = Metrics()
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", found.provider)
    yield found
    found.provider.shutdown()
