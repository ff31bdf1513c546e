"""The context of a trace: what the API and a run get of it, what instrumentations do not report."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from dcipher._version import __version__

from .library import api, is_loaded, quietly

__all__ = [
    "Attached",
    "attached",
    "batch_of_row",
    "hidden",
    "link",
    "propagated",
    "traceparent",
    "tracer",
]

_BATCH: Final = "dcipher-batch"
"""The key of the context for the span of a batch, for its rows."""


class Attached:
    """Makes a context the current one in a `with` block; `None`: does nothing.

    It is a class: the block of a generator changes tracebacks.
    """

    def __init__(self, context: Any = None) -> None:
        self._context = context
        self._token: Any = None

    def __enter__(self) -> None:
        if self._context is not None:
            self._token = quietly(_api().attach, self._context)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            quietly(_api().detach, self._token)


_NOTHING: Final = Attached()


def _api() -> Any:
    return import_module("opentelemetry.context")  # every other module of the API has imported it


def tracer() -> Any:
    """Returns the tracer of the program; `None` if it has none, or suppresses instrumentations."""
    trace = api("trace")
    return None if trace is None else quietly(_tracer, trace)


def _tracer(trace: Any) -> Any:
    provider, context = trace.get_tracer_provider(), _api()
    if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    # The API has no public name for what its own exporters, and users by `suppress_instrumentation`, set.
    is_suppressed = context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)  # noqa: SLF001
    return None if is_suppressed else _tracer_of(provider)


@lru_cache(maxsize=2)
def _tracer_of(provider: Any) -> Any:
    return provider.get_tracer("dcipher", __version__)


def attached(span: Any, *, is_batch: bool = False) -> Attached:
    """Returns a context in which this span is the current one."""

    def context() -> Any:
        changed = api("trace").set_span_in_context(span)
        return _api().set_value(_BATCH, span.get_span_context(), changed) if is_batch else changed

    return _NOTHING if span is None else Attached(quietly(context))


def batch_of_row() -> Any:
    """Returns the context of the batch's span for a row; `None`: no batch, or it has no span.

    What is called where a batch reads its rows, and has a span of its own, is no row.
    """
    current = _current()
    return current if quietly(lambda: _api().get_value(_BATCH)) == current else None


def hidden(*, is_signed: bool = False) -> Attached:
    """Returns a context for one request, in which instrumentations of HTTP clients report nothing.

    They would report what our span does, and signatures: opentelemetry-util-http redacts four query
    parameters, and not `X-Amz-Signature`. `is_signed`: also without a tracer, and with DCIPHER_OTEL=0.
    """
    if not is_loaded():
        return _NOTHING
    if (sys.modules.get("opentelemetry.context") if is_signed else tracer()) is None:
        return _NOTHING
    return Attached(quietly(_suppressed))


def _suppressed() -> Any:
    context = _api()
    changed = context.get_current()
    for name in ("_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "_SUPPRESS_INSTRUMENTATION_KEY"):
        changed = context.set_value(getattr(context, name, name), True, changed)
    return changed


def propagated() -> dict[str, str]:
    """Returns the headers for the current span, by the propagator of the program: for the API only."""
    found: dict[str, str] = {}
    if not is_loaded() or _current() is None:
        return found
    quietly(lambda: import_module("opentelemetry.propagate").inject(found))
    return {
        name: value
        for name, value in found.items()
        if (name + value).isascii() and (name + value).isprintable()
    }


def traceparent() -> str | None:
    """Returns the current span as W3C Trace Context writes it; `None`: there is none."""
    current = _current() if is_loaded() else None
    if current is None:
        return None
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"


def _current() -> Any:
    trace = api("trace")
    if trace is None:
        return None
    current = quietly(lambda: trace.get_current_span().get_span_context())
    return current if current is not None and current.is_valid else None


def link(trace: Any, traceparent: str) -> Any:
    """Returns a link to the span that started a run."""
    _, trace_id, span_id, flags = traceparent.split("-")
    flags = trace.TraceFlags(int(flags, 16))
    return trace.Link(
        trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
    )
