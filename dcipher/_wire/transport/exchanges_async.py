"""HTTP/1.1 on one connection: one request and its response at a time.

An ordinary head is written and read at once; all others are left to h11. In httpcore's own, h11 does
all of it, with a lock and a trace for each step: most of what a short call costs.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import httpcore
import httpx

from .deadlines import Deadline
from .heads import (
    HTTP,
    WHOLE,
    Body,
    Requests,
    extensions_of,
    known_body,
    ordinary_head,
    origin_for,
    proxy_fields,
    response_of,
    sent,
)
from .streams_async import READ, async_opened
from .traces_async import LOGGER, AsyncTrace, AsyncTracedBody
from .tunnels import tunnel

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from .streams_async import AsyncStream

__all__ = ["AsyncExchanges"]


class AsyncExchanges(httpcore.AsyncConnectionInterface):
    """What an `httpcore.AsyncHTTPConnection` sends by. It opens the connection, also by a proxy."""

    def __init__(
        self,
        origin: httpcore.Origin,
        ssl_context: ssl.SSLContext | None,
        proxy: httpx.Proxy | None = None,
    ) -> None:
        self._origin = origin
        self._ssl_context = ssl_context if origin.scheme == b"https" else None
        self._proxy = proxy
        is_forwarded = proxy is not None and not self._ssl_context and proxy.url.scheme in HTTP
        self.has_tunnel = proxy is not None and not is_forwarded
        """Whether the proxy connects it to the server. Otherwise, it forwards each request."""
        self._requests = Requests(proxy_fields(proxy) if proxy and is_forwarded else None)
        self._stream: AsyncStream | None = None
        self.deadline = Deadline(None)
        """Of the request in progress."""
        self.is_done = False
        """Whether the last exchange ended as it should, and another one may follow."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self.is_done = False
        extensions = extensions_of(request)
        timeouts: dict[str, float | None] = extensions.get("timeout", {})
        head, parser = self._requests.head(request)
        stream = self._stream or await self._open(request)
        deadline, was_sent = self.deadline, False
        deadline.begin(stream)
        deadline.was_sent = True
        write, read = timeouts.get("write"), timeouts.get("read")
        if "trace" in extensions or LOGGER.isEnabledFor(logging.DEBUG):
            return await self._traced(request, stream, head, parser)
        # Without the stream's own methods: most requests and responses take one of these steps each.
        with suppress(httpcore.WriteError):  # a server may respond before it has read all
            # A streamed body may take its time, in which a server could close an idle connection.
            if parser is None or not isinstance(request.stream, httpx.ByteStream):
                await stream.opened.send(head, deadline.bounded(write))
                head = b""
            await _send_body(request, stream, parser, write, head)
            was_sent = True
        data = await stream.opened.receive(READ, deadline.to_read(read))
        return await self._receive(request, stream, parser, was_sent, read, data)

    async def _traced(
        self,
        request: httpcore.Request,
        stream: AsyncStream,
        head: bytes,
        parser: h11.Connection | None,
    ) -> httpcore.Response:
        trace = AsyncTrace(request)
        timeouts: dict[str, float | None] = extensions_of(request).get("timeout", {})
        write, was_sent = timeouts.get("write"), False
        with suppress(httpcore.WriteError):
            await trace.step("http11.send_request_headers", stream.write, head, write)
            body = (request, stream, parser, write)
            await trace.step("http11.send_request_body", _send_body, *body)
            was_sent = True
        received = (request, stream, parser, was_sent, timeouts.get("read"))
        traced = await trace.step("http11.receive_response_headers", self._receive, *received)
        response: httpcore.Response = traced
        response.stream = AsyncTracedBody(response.stream, trace)
        extensions_of(response).pop(WHOLE, None)  # so that its steps are reported
        return response

    def begin(self, deadline: Deadline) -> None:
        """A request follows."""
        self.deadline = deadline
        if self._stream is not None:
            self._stream.deadline = deadline

    async def _open(self, request: httpcore.Request) -> AsyncStream:
        timeouts: dict[str, float | None] = extensions_of(request).get("timeout", {})
        origin, proxy, timeout = self._origin, self._proxy, timeouts.get("connect")
        run = AsyncTrace(request).step
        near = origin if proxy is None else origin_for(proxy.url)
        opening = run("connection.connect_tcp", async_opened, near, timeout, self.deadline)
        # From here on, it is closed with this object, whatever happens.
        stream: AsyncStream = await opening
        self._stream, part = stream, "connection"
        if proxy is not None and proxy.url.scheme == "https":
            context = proxy.ssl_context or httpcore.default_ssl_context()
            context.set_alpn_protocols(["http/1.1"])
            secure = (context, proxy.url.host, timeout)
            await run("connection.start_tls", stream.start_tls, *secure)
        if proxy is not None and self.has_tunnel:
            part = "proxy"
            await run("proxy.open_tunnel", stream.follow, tunnel(proxy, origin), timeouts)
        if self._ssl_context is not None:
            self._ssl_context.set_alpn_protocols(["http/1.1"])
            name = extensions_of(request).get("sni_hostname") or origin.host.decode("ascii")
            secure = (self._ssl_context, name, timeout)
            await run(f"{part}.start_tls", stream.start_tls, *secure)
        return stream

    async def _receive(
        self,
        request: httpcore.Request,
        stream: AsyncStream,
        parser: h11.Connection | None,
        was_sent: bool,
        timeout: float | None,
        data: bytes | None = None,
    ) -> httpcore.Response:
        """Returns the response. `data`: what was read of it already."""
        has_body = request.method not in {b"HEAD", b"CONNECT"}
        if data is not None and has_body and (head := ordinary_head(data)) is not None:
            body = Body(head.length, data[head.size :], is_last=not was_sent)
            return response_of(head, _Body(self, stream, body, timeout), stream)
        if parser is None:
            parser = self._requests.parser(request)
        event: Any = await stream.next_event(parser, timeout, data)
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = await stream.next_event(parser, timeout)
        rest = parser.trailing_data[0]
        known = known_body(request.method, event, rest, is_last=not was_sent)
        if known is not None:
            return response_of(event, _Body(self, stream, known, timeout), stream)
        if parser.their_state is h11.SWITCHED_PROTOCOL:
            stream.rest = rest
        return response_of(event, _ParsedBody(self, stream, parser, timeout), stream)

    @property
    def is_usable(self) -> bool:
        """Whether another request may follow: it is open, without bytes that nobody has requested."""
        stream = self._stream if self.is_done else None
        return stream is not None and not stream.rest and not stream.opened.is_readable

    def info(self) -> str:  # for the repr of httpcore's connection
        return "HTTP/1.1"

    async def aclose(self) -> None:
        stream, self._stream, self.is_done = self._stream, None, False
        self.deadline = Deadline(None)  # like the stream, it knows its event loop
        if stream is not None:
            await stream.aclose()


class _Body:
    """A body of a known length."""

    def __init__(
        self, exchanges: AsyncExchanges, stream: AsyncStream, body: Body, timeout: float | None
    ) -> None:
        self._exchanges = exchanges
        self._stream = stream
        self._body = body
        self._timeout = timeout
        self.whole = body.whole
        stream.rest = body.rest

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        if self.whole:
            yield self.whole
        while self._body.left:
            data = await self._stream.read(READ, self._timeout)
            part, self._stream.rest = self._body.part(data)
            yield part

    async def aclose(self) -> None:
        self._exchanges.is_done = self._body.is_done


class _ParsedBody:
    """A body that h11 reads: in chunks, up to the end of the connection, or none at all."""

    whole = None

    def __init__(
        self,
        exchanges: AsyncExchanges,
        stream: AsyncStream,
        parser: h11.Connection,
        timeout: float | None,
    ) -> None:
        self._exchanges = exchanges
        self._stream = stream
        self._parser = parser
        self._timeout = timeout

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        stream, parser, timeout = self._stream, self._parser, self._timeout
        while isinstance(event := await stream.next_event(parser, timeout), h11.Data):
            yield bytes(event.data)

    async def aclose(self) -> None:
        parser = self._parser
        if parser.our_state is parser.their_state is h11.DONE and not parser.trailing_data[0]:
            self._exchanges.is_done = True


async def _send_body(
    request: httpcore.Request,
    stream: AsyncStream,
    parser: h11.Connection | None,
    timeout: float | None,
    head: bytes = b"",
) -> None:
    """Sends a body; the head with its first chunk, if it was not sent before."""
    body: Any = request.stream
    async for chunk in body:
        if len(chunk) > READ:  # joining them would copy it
            await stream.write(head, timeout)
            head = b""
        await stream.write(head + sent(parser, h11.Data(data=chunk)), timeout)
        head = b""
    if parser is not None:
        head += sent(parser, h11.EndOfMessage())
    if head:
        await stream.write(head, timeout)
