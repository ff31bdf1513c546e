"""Sends requests of a download's thread by an async httpx client of the user, on its event loop."""

from __future__ import annotations

from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import httpx
from anyio import Semaphore
from typing_extensions import override

from dcipher._concurrency.tasks.threads import STOP_TIMEOUT
from dcipher._wire.transport.deadlines import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from concurrent.futures import Future

    from anyio.from_thread import BlockingPortal

    from dcipher._wire.http_client import HTTPClient
    from dcipher._wire.transport.deadlines import Deadline

__all__ = ["Bridge"]

AHEAD = 8
"""Chunks that are received before the thread takes them."""
_END = object()
"""The last item of an exchange."""


class Bridge:
    """Sends requests from a thread, one at a time."""

    def __init__(self, http: HTTPClient) -> None:
        self._http = http
        self.portal: Any = None
        """A `BlockingPortal` that runs them on the event loop. Set it before the first one."""
        self._exchange: _Exchange | None = None

    def send(self, request: httpx.Request) -> httpx.Response:
        """Returns the response with a body to read from this thread; the caller closes it."""
        self._exchange = exchange = _Exchange(self._http, request, self.portal)
        try:
            return exchange.response()
        except BaseException:
            exchange.close()
            raise

    def abort(self) -> None:
        """Interrupts the exchange in progress, from another thread or the event loop."""
        if self._exchange is not None:
            self._exchange.cancel()


class _Exchange(httpx.SyncByteStream):
    """One request and its response, in one task: a user's transport may depend on its task."""

    def __init__(self, http: HTTPClient, request: httpx.Request, portal: BlockingPortal) -> None:
        self._http = http
        self._request = request
        self._portal = portal
        self._deadline: Deadline = request.extensions[DEADLINE]
        self._received: SimpleQueue[Any] = SimpleQueue()
        self._room = Semaphore(0)  # the body has another deadline, which is not yet known
        self._has_ended = False
        self._task: Future[None] = portal.start_task_soon(self._run)

    async def _run(self) -> None:
        try:
            response = await self._http._send_async(self._request)  # noqa: SLF001 - ours alone
            try:
                self._received.put(response)
                await self._room.acquire()
                async with aclosing(_chunks(response)) as chunks:
                    async for chunk in chunks:
                        self._received.put(chunk)
                        await self._wait_for_room(chunks)
            finally:
                await response.aclose()
        except Exception as error:  # noqa: BLE001 - raised in the thread
            self._received.put(error)
        except BaseException:
            self._received.put(httpx.ReadError("it was aborted", request=self._request))
            raise
        finally:
            self._received.put(_END)

    async def _wait_for_room(self, chunks: AsyncGenerator[bytes]) -> None:
        try:
            await self._room.acquire()
        except BaseException:
            # Cancelled: so is the next read, which ends all generators below. trio warns of dropped ones.
            async for _ in chunks:
                pass
            raise

    def response(self) -> httpx.Response:
        received = self._next()
        # Without the extension `network_stream`, whose socket belongs to the event loop.
        extensions = {k: v for k, v in received.extensions.items() if k != "network_stream"}
        return httpx.Response(
            received.status_code,
            headers=received.headers,
            stream=self,
            request=received.request,
            extensions=extensions,
        )

    @override
    def __iter__(self) -> Iterator[bytes]:
        for _ in range(AHEAD):
            self._make_room()
        while (chunk := self._next()) is not _END:
            yield chunk
            self._make_room()

    def _next(self) -> Any:
        try:
            item = self._received.get(timeout=self._deadline.bounded(None))
        except Empty:
            self._deadline.check()
            raise httpx.ReadTimeout("the response took longer than the timeout") from None
        self._has_ended = item is _END
        if isinstance(item, Exception):
            raise item
        return item

    def _make_room(self) -> None:
        with suppress(RuntimeError):  # the call was cancelled, and its portal is closed
            _ = self._portal.start_task_soon(self._room.release)

    @override
    def close(self) -> None:
        self.cancel()
        with suppress(Empty):
            while not self._has_ended:
                self._has_ended = self._received.get(timeout=STOP_TIMEOUT) is _END

    def cancel(self) -> None:
        _ = self._task.cancel()


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes]:
    if response.is_stream_consumed:  # it is complete, as that of httpx.MockTransport
        yield response.content
        return
    async for chunk in response.aiter_raw():
        yield chunk
