# Generated from dcipher/_wire/transport/traces_async.py by scripts/unasync.py: edit that, not this.
# ruff: noqa: UP028
"""The steps of a request, as httpcore reports them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpcore

from .heads import extensions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["LOGGER", "Trace", "TracedBody"]

LOGGER = logging.getLogger(f"{httpcore.__name__}.http11")
"""Where it logs what httpcore does, all steps are reported."""


class Trace:
    """Reports each step of a request to its `trace` extension, and in httpcore's debug log."""

    def __init__(self, request: httpcore.Request) -> None:
        self._request = request
        self._hook = extensions_of(request).get("trace")

    def step(self, name: str, run: Callable[..., Any], *arguments: Any) -> Any:
        """Reports the beginning of a step, runs it, and reports its end."""
        self.report(f"{name}.started", request=self._request)
        try:
            value = run(*arguments)
        except BaseException as error:
            self.report(f"{name}.failed", exception=error)
            raise
        self.report(f"{name}.complete", return_value=value)
        return value

    def report(self, name: str, **info: Any) -> None:
        """Reports one event."""
        if self._hook is not None:
            self._hook(name, info)
        part, _, event = name.partition(".")
        logger = logging.getLogger(f"{httpcore.__name__}.{part}")
        if logger.isEnabledFor(logging.DEBUG):
            shown = (f"{key}={_shown(value)!r}" for key, value in info.items() if value is not None)
            logger.debug(" ".join((event, *shown)))


class TracedBody:
    """A body whose steps are reported."""

    def __init__(self, body: Any, trace: Trace) -> None:
        self._body = body
        self._trace = trace

    def __iter__(self) -> Generator[bytes]:
        name = "http11.receive_response_body"
        self._trace.report(f"{name}.started")
        try:
            for chunk in self._body:
                yield chunk
        except Exception as error:
            self._trace.report(f"{name}.failed", exception=error)
            raise
        self._trace.report(f"{name}.complete")

    def close(self) -> None:
        self._trace.step("http11.response_closed", self._body.close)


def _shown(value: Any) -> Any:
    """Returns the head of a response instead of the response."""
    if not isinstance(value, httpcore.Response):
        return value
    known = extensions_of(value)
    return known["http_version"], value.status, known["reason_phrase"], value.headers
