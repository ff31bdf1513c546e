"""The spans: of a call of the API, a run, a wait, a fetched result."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from dcipher._masking.text import clean
from dcipher.errors import DcipherError
from dcipher.models import Run

from .context import Attached, attached, batch_of_row, link, tracer
from .library import api, is_loaded, quietly
from .metrics import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["Span", "call", "fetch", "flow_run", "poll", "wait"]

T = TypeVar("T")

CALLS: Final = {
    "flow": "dcipher.flows.get",
    "start": "dcipher.flows.start",
    "status": "dcipher.runs.get",
}
# Of an error's text: a path may be as personal as a query.
# A scheme of any length would be searched for at each letter of a long text.
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,15}:\\?/\\?/[^\s\"<>]*", re.IGNORECASE)


class Span:
    """A span in a `with` block. Without a name, or if the program has no tracer, it does nothing."""

    def __init__(
        self,
        name: str | None,
        flow_id: str,
        attributes: dict[str, Any] | None = None,
        *,
        kind: str = "INTERNAL",
        started: str | None = None,
        is_current: bool = True,
    ) -> None:
        self._name = name
        self._flow_id = flow_id
        self._attributes = {"dcipher.flow.id": flow_id, **(attributes or {})}
        self._kind = kind
        self._started = started
        self._is_current = is_current
        self._attached: Attached | None = None
        self._span: Any = None

    def __enter__(self) -> Self:
        found = None if self._name is None else tracer()
        if found is not None:
            self._span = quietly(self._start, found)
            if self._is_current:
                self._attached = attached(self._span)
                self._attached.__enter__()
        return self

    def _start(self, tracer: Any) -> Any:
        trace, context = api("trace"), None
        links = [link(trace, self._started)] if self._started else []
        batch = batch_of_row()
        if batch is not None and self._name == CALLS["start"]:
            # A trace of its own: that of the batch would have a span for each row.
            links.append(trace.Link(batch))
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        attributes = {name: value for name, value in self._attributes.items() if value is not None}
        return tracer.start_span(self._name, context, trace.SpanKind[self._kind], attributes, links)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._attached is not None:
            self._attached.__exit__()
        if self._span is not None:
            # A caller that stops the iteration of `watch` closes the generator.
            if error is not None and not isinstance(error, GeneratorExit):
                quietly(self._fail, error)
            quietly(self._span.end)

    def _fail(self, error: BaseException) -> None:
        name, trace = type(error).__name__, api("trace")
        self.set("error.type", name)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, name))
        # Not its traceback, nor a message of another library, which is not redacted.
        if isinstance(error, DcipherError):
            found = {
                "exception.type": f"{type(error).__module__}.{name}",
                "exception.message": _URL.sub("[URL]", str(error)),
            }
            self._span.add_event("exception", found)

    def set(self, name: str, value: Any) -> None:
        """Sets an attribute; `None`: does nothing."""
        if self._span is not None and value is not None:
            quietly(self._span.set_attribute, name, value)

    def observing(self, parse: Callable[[Any], T]) -> Callable[[Any], T]:
        """Returns a function that parses the response of a call, and reports both."""
        return parse

    def status(self, run: Run) -> None:
        """Reports the new status of a run."""
        if self._span is None:
            return
        status = _URL.sub("[URL]", clean(str(run.status)))  # the service may send any text
        self.set("dcipher.run.status", status)
        quietly(self._span.add_event, "status", {"dcipher.run.status": status})

    def received(self, size: int) -> None:
        """Reports the size of a result in bytes."""
        self.set("dcipher.result.size", size)
        measure("result.size", size, self._flow_id)


NO_SPAN: Final = Span(None, "")


class _Call(Span):
    def observing(self, parse: Callable[[Any], T]) -> Callable[[Any], T]:
        def observed(response: Any) -> T:
            self._responded(response.status_code, response.attempts)
            parsed = parse(response)
            self.set("dcipher.task.id", getattr(parsed, "task_id", None))
            return parsed

        return observed

    def _fail(self, error: BaseException) -> None:
        self._responded(getattr(error, "status_code", 0), getattr(error, "attempts", 1))
        super()._fail(error)

    def _responded(self, status: int, attempts: int) -> None:
        self.set("http.response.status_code", status or None)
        self.set("http.request.resend_count", attempts - 1 or None)


class _Poll(Span):
    """A poll. It has no span: that of the wait has an event for each change of status."""

    def observing(self, parse: Callable[[Any], T]) -> Callable[[Any], T]:
        measure("run.polls", 1, self._flow_id)

        def observed(response: Any) -> T:
            run = parse(response)
            if isinstance(run, Run) and run.finished_at is not None and run.created_at is not None:
                seconds = max(0.0, (run.finished_at - run.created_at).total_seconds())
                measure("run.duration", seconds, self._flow_id, run_status=str(run.status))
            return run

        return observed


class _Wait(Span):
    def __enter__(self) -> Self:
        measure("run.active", 1, self._flow_id)
        return super().__enter__()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        super().__exit__(_, error, __)
        measure("run.active", -1, self._flow_id)


def call(operation: Any, base_url: str) -> Span:
    """Returns the span of a call of the API."""
    if not is_loaded():
        return NO_SPAN
    host, port = _server(base_url)
    attributes = {
        "dcipher.task.id": operation.task_id,
        "server.address": host,
        "server.port": port,
        "http.request.method": operation.method,
    }
    return _Call(CALLS[operation.name], operation.flow_id, attributes, kind="CLIENT")


@lru_cache(maxsize=64)
def _server(base_url: str) -> tuple[str | None, int]:
    parts = urlsplit(base_url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def poll(flow_id: str) -> Span:
    """Returns what observes one poll of a wait."""
    return _Poll(None, flow_id) if is_loaded() else NO_SPAN


def flow_run(flow_id: str) -> Span:
    """Returns the span of `flows.run`."""
    return Span("dcipher.flows.run", flow_id) if is_loaded() else NO_SPAN


def wait(run: Run, *, is_current: bool = True) -> Span:
    """Returns the span of a wait. That of a generator is not current: its caller has another one."""
    if not is_loaded():
        return NO_SPAN
    return _Wait(
        "dcipher.runs.wait",
        run.flow_id,
        {"dcipher.task.id": run.task_id},
        started=run.traceparent,
        is_current=is_current,
    )


def fetch(run: Run, index: int) -> Span:
    """Returns the span of one result that is fetched. A row of a batch has none."""
    if not is_loaded():
        return NO_SPAN
    return Span(
        None if batch_of_row() else "dcipher.runs.download",
        run.flow_id,
        {"dcipher.task.id": run.task_id, "dcipher.output.index": index},
        started=run.traceparent,
    )
