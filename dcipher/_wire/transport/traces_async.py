"""The steps of a request, as httpcore reports them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpcore

from .heads import extensions_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["LOGGER", "AsyncTrace", "AsyncTracedBody"]

LOGGER = logging.getLogger(f"{httpcore.__name__}.http11")
"""Where it logs what httpcore does, all steps are reported."""


class AsyncTrace:
    """Reports each step of a request to its `trace` extension, and in httpcore's debug log."""

    def __init__(self, request: httpcore.Request) -> None:
        self._request = request
        self._hook = extensions_of(request).get("trace")

    async def step(self, name: str, run: Callable[..., Any], *arguments: Any) -> Any:
        """Reports the beginning of a step, runs it, and reports its end."""
        await self.report(f"{name}.started", request=self._request)
        try:
            value = await run(*arguments)
        except BaseException as error:
            await self.report(f"{name}.failed", exception=error)
            raise
        await self.report(f"{name}.complete", return_value=value)
        return value

    async def report(self, name: str, **info: Any) -> None:
        """Reports one event."""
        if self._hook is not None:
            await self._hook(name, info)
        part, _, event = name.partition(".")
        logger = logging.getLogger(f"{httpcore.__name__}.{part}")
        if logger.isEnabledFor(logging.DEBUG):
            shown = (f"{key}={_shown(value)!r}" for key, value in info.items() if value is not None)
            logger.debug(" ".join((event, *shown)))


class AsyncTracedBody:
    """A body whose steps are reported."""

    def __init__(self, body: Any, trace: AsyncTrace) -> None:
        self._body = body
        self._trace = trace

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        name = "http11.receive_response_body"
        await self._trace.report(f"{name}.started")
        try:
            async for chunk in self._body:
                yield chunk
        except Exception as error:
            await self._trace.report(f"{name}.failed", exception=error)
            raise
        await self._trace.report(f"{name}.complete")

    async def aclose(self) -> None:
        await self._trace.step("http11.response_closed", self._body.aclose)


def _shown(value: Any) -> Any:
    """Returns the head of a response instead of the response."""
    if not isinstance(value, httpcore.Response):
        return value
    known = extensions_of(value)
    return known["http_version"], value.status, known["reason_phrase"], value.headers
