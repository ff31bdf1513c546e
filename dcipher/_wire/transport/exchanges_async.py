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

from .deadlines import Deadline
from .heads import (
    HTTP,
    WHOLE,
    absolute,
    checked,
    extensions_of,
    length_of,
    merged,
    new_parser,
    ordinary_fields,
    ordinary_head,
    origin_for,
    proxy_fields,
    request_head,
    response_of,
    sent,
)
from .streams_async import READ, async_opened
from .traces_async import LOGGER, AsyncTrace, AsyncTracedBody, async_untraced
from .tunnels_async import async_open_tunnel

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    import httpx

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
        is_plain = self._ssl_context is None
        is_forwarded = proxy is not None and is_plain and proxy.url.scheme in HTTP
        self.has_tunnel = proxy is not None and not is_forwarded
        """Whether the proxy connects it to the server. Otherwise, it forwards each request."""
        self._to_proxy = proxy_fields(proxy) if proxy is not None and is_forwarded else None
        """The headers of a forwarded request for the proxy."""
        self._stream: AsyncStream | None = None
        self.deadline = Deadline(None)
        """Of the request in progress."""
        self.is_done = False
        """Whether the last exchange ended as it should, and another one may follow."""
        # Those of the last request, which often are the same as those of the next one.
        self._method = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields: bytes | None = None
        """Its header lines; `None`: h11 sends it."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        self.is_done = False
        extensions = extensions_of(request)
        timeouts: dict[str, float | None] = extensions.get("timeout", {})
        head, parser = self._ordinary(request), None
        if head is None:
            parser = new_parser()
            head = parser.send(self._checked(request)) or b""
        is_traced = "trace" in extensions or LOGGER.isEnabledFor(logging.DEBUG)
        trace = AsyncTrace(request, extensions) if is_traced else None
        stream = self._stream or await self._open(extensions, timeouts, trace)
        deadline, was_sent = self.deadline, False
        deadline.begin(stream)
        deadline.was_sent = True
        write, read = timeouts.get("write"), timeouts.get("read")
        if trace is not None:
            return await self._traced(request, stream, head, parser, trace)
        # Without the stream's own methods: most requests and responses take one of these steps each.
        with suppress(httpcore.WriteError):  # a server may respond before it has read all
            await stream.opened.send(head, deadline.bounded(write))
            await _send_body(request, stream, parser, write)
            was_sent = True
        data = await stream.opened.receive(READ, deadline.to_read(read))
        return await self._receive(request, stream, parser, was_sent, read, data)

    async def _traced(
        self,
        request: httpcore.Request,
        stream: AsyncStream,
        head: bytes,
        parser: h11.Connection | None,
        trace: AsyncTrace,
    ) -> httpcore.Response:
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

    def _ordinary(self, request: httpcore.Request) -> bytes | None:
        """Returns a request without a body as bytes; `None`: h11 sends it."""
        method, headers = request.method, request.headers
        if method != self._method or headers != self._headers:
            fields = ordinary_fields(self._all_headers(headers))
            if fields is not None:
                self._checked(request)  # raises if they are invalid; h11 checks what it sends
            self._method, self._headers, self._fields = method, headers, fields
        fields = self._fields
        return None if fields is None else request_head(method, self._target(request), fields)

    def _checked(self, request: httpcore.Request) -> h11.Request:
        return checked(request.method, self._target(request), self._all_headers(request.headers))

    def _target(self, request: httpcore.Request) -> bytes:
        # RFC 9112 section 3.2.2: a proxy receives the whole URL.
        return request.url.target if self._to_proxy is None else absolute(request.url)

    def _all_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return headers if self._to_proxy is None else merged(self._to_proxy, headers)

    async def _open(
        self,
        extensions: dict[str, Any],
        timeouts: dict[str, float | None],
        trace: AsyncTrace | None,
    ) -> AsyncStream:
        origin, proxy, timeout = self._origin, self._proxy, timeouts.get("connect")
        run = async_untraced if trace is None else trace.step
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
            await run("proxy.open_tunnel", async_open_tunnel, stream, proxy, origin, timeouts)
        if self._ssl_context is not None:
            self._ssl_context.set_alpn_protocols(["http/1.1"])
            name = extensions.get("sni_hostname") or origin.host.decode("ascii")
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
            known = _Body(self, stream, head.length, timeout, is_last=not was_sent)
            known.begin(data[head.size :])
            return response_of(head, known, stream)
        if parser is None:
            parser = new_parser()
            parser.send(self._checked(request))
            parser.send(h11.EndOfMessage())
        event: Any = await stream.next_event(parser, timeout, data)
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = await stream.next_event(parser, timeout)
        rest, headers = parser.trailing_data[0], dict(event.headers)
        length = length_of(request.method, event.status_code, headers)
        body: _Body | _ParsedBody
        if length is None:
            if parser.their_state is h11.SWITCHED_PROTOCOL:
                stream.rest = rest
            body = _ParsedBody(self, stream, parser, timeout)
        else:
            closes = b"close" in headers.get(b"connection", b"").lower() or not was_sent
            is_last = closes or event.http_version != b"1.1"
            body = _Body(self, stream, length, timeout, is_last=is_last)
            body.begin(rest)
        return response_of(event, body, stream)

    @property
    def is_stale(self) -> bool:
        """Whether it was closed, or received bytes that nobody has requested."""
        stream = self._stream
        return stream is None or bool(stream.rest) or stream.opened.is_readable

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
        self,
        exchanges: AsyncExchanges,
        stream: AsyncStream,
        length: int,
        timeout: float | None,
        *,
        is_last: bool,
    ) -> None:
        self._exchanges = exchanges
        self._stream = stream
        self._length = self._left = length
        self._timeout = timeout
        self._is_last = is_last
        self.whole: bytes | None = None
        """The body, where all of it came with its head."""

    def begin(self, rest: bytes) -> None:
        """`rest` came with the head."""
        if len(rest) < self._length:
            self._stream.rest = rest
            return
        self.whole, self._left = rest[: self._length], 0
        self._stream.rest = rest[self._length :]

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        if self.whole:
            yield self.whole
        while self._left:
            data = await self._stream.read(READ, self._timeout)
            if not data:
                raise httpcore.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    f"(received {self._length - self._left} bytes, expected {self._length})"
                )
            if len(data) > self._left:
                data, self._stream.rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            yield data

    async def aclose(self) -> None:
        self._exchanges.is_done = not self._left and not self._is_last


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
) -> None:
    body: Any = request.stream
    async for chunk in body:
        await stream.write(sent(parser, h11.Data(data=chunk)), timeout)
    if parser is not None:
        await stream.write(sent(parser, h11.EndOfMessage()), timeout)
