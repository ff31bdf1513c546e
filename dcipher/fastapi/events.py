"""The status of a run as server-sent events (the HTML standard, section 9.2)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse

from dcipher import AsyncDcipher, DcipherError, Run
from dcipher._client.waiting.run_errors import timed_out
from dcipher._client.waiting.wait import check_wait_timeout
from dcipher.fastapi.problem_documents import problem_of
from dcipher.fastapi.watching import hub_of

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from dcipher.fastapi.watching import Watched

__all__ = ["status_events"]

RETRY: Final = 2000
"""Milliseconds until a browser reconnects."""
PING: Final = 15.0
"""Seconds without an event after which a comment is sent: proxies close what is silent."""


def status_events(
    client: AsyncDcipher, run: Run, *, timeout: float | None = None
) -> StreamingResponse:
    """Returns a response that streams the status of a run to a browser's `EventSource`.

    Each change of the status is a message: its data is a `RunView` as JSON, its id the number of
    the change. A browser that reconnects (`Last-Event-ID`) gets the changes since. After the last
    change comes the event `end`, with the same data: the page must then call `close()`, because a
    browser reconnects whenever a stream ends. The event `problem` has a problem document, and
    ends the stream, too.

    However many responses stream a run, it is polled once at a time, and only while somebody
    listens. An error before the first event is raised, so that it becomes an error response.

    The caller checks who may see the run.

    Args:
        client: The client of the application.
        run: The run, from anywhere: `Run(flow_id=…, task_id=…)` is enough.
        timeout: Seconds after which the stream ends with a problem, at least 1. `None`: no limit.

    Raises:
        InvalidParamsError: `timeout` is invalid.
    """
    return _StatusStream(client, run, check_wait_timeout(timeout))


class _StatusStream(StreamingResponse):
    # Not FastAPI's own stream (0.135): that knows no Last-Event-ID, and has begun the response before
    # the first event, when an error could still be an error response.
    media_type = "text/event-stream"

    def __init__(self, client: AsyncDcipher, run: Run, timeout: float | None) -> None:
        # X-Accel-Buffering: nginx would buffer the events.
        super().__init__(
            _nothing(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self._client = client
        self._run = run
        self._timeout = timeout
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = hub_of(self._client)
        watched = hub.join(self._run)
        failure = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_disconnected, receive, tasks.cancel_scope)
                tasks.start_soon(watched.poll, self._client, self._run)
                with suppress(OSError):  # the browser is gone (ASGI 2.4)
                    failure = await self._stream(watched, _last_event_id(scope), send)
                tasks.cancel_scope.cancel()
        finally:
            hub.leave(watched)
        # Outside the task group, which would wrap it: the handlers of the application expect the error itself.
        if failure is not None:
            raise failure

    async def _stream(self, watched: Watched, last: int, send: Send) -> DcipherError | None:
        """Sends events until the last one. Returns the error that occurred before the first one."""
        last = watched.resume(last)
        # The first poll may take a second, as in a wait.
        timeout = math.inf if self._timeout is None else max(self._timeout, 1.0)
        ends = anyio.current_time() + timeout
        while not watched.closing:
            for change in watched.after(last):
                last = change.number
                await self._send(send, _event(change.run.model_dump_json(), number=last))
            if watched.after(last):
                continue
            if watched.ended:
                view = watched.changes[-1].run
                await self._send(send, _event(view.model_dump_json(), event="end", number=last))
                break
            error = watched.error
            left = ends - anyio.current_time()
            if error is None and left <= 0:
                error = timed_out(self._run, self._timeout or 0.0, None)
            if error is not None:
                if not self._started:
                    return error
                await self._send(send, _event(problem_of(error).to_json(), event="problem"))
                break
            with anyio.move_on_after(min(PING, left)) as limit:
                await watched.changed()
            if limit.cancelled_caught and left > PING:
                await self._send(send, b": ping\n\n")
        await self._send(send, b"", more=False)
        return None

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        if not self._started:
            self._started = True
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            body = b"retry: %d\n\n%b" % (RETRY, body)
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await send(message)


async def _nothing() -> AsyncIterator[bytes]:
    """The body that the base class requires."""
    return
    yield b""


async def _until_disconnected(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _last_event_id(scope: Scope) -> int:
    """Returns the number of the last change that the browser knows; 0: none."""
    text = Headers(scope=scope).get("last-event-id", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _event(data: str, *, event: str | None = None, number: int | None = None) -> bytes:
    """Returns an event. `data` is one line: JSON escapes line breaks."""
    lines = [f"data: {data}"]
    if event is not None:
        lines.insert(0, f"event: {event}")
    if number is not None:
        lines.append(f"id: {number}")
    return "".join(f"{line}\n" for line in (*lines, "")).encode()
