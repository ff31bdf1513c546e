# Generated from dcipher/_wire/transport/exchanges_async.py by scripts/unasync.py: edit that, not this.
"""HTTP/1.1 on one connection: one request and its response at a time.

An ordinary head is written and read at once; all others are left to h11. In httpcore's own, h11 does
all of it, with a lock and a trace for each step: most of what a short call costs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import httpcore

from .heads import WHOLE, ordinary_fields, ordinary_head, request_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

    from .streams import Network, Stream

__all__ = ["Exchanges"]

READ = 64 * 1024
LONGEST_LINE = 100 * 1024
"""Bytes of a head, or of a line between two chunks, as in httpcore."""


class Exchanges(httpcore.ConnectionInterface):
    """What an `httpcore.HTTPConnection` sends by. It opens the connection."""

    def __init__(
        self, origin: httpcore.Origin, ssl_context: ssl.SSLContext | None, network: Network
    ) -> None:
        self._origin = origin
        self._ssl_context = ssl_context
        self._network = network
        self._stream: Stream | None = None
        self.is_done = False
        """Whether the last exchange ended as it should, and another one may follow."""
        # Those of the last request, which often are the same as those of the next one.
        self._method = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields: bytes | None = None
        """Its header lines; `None`: h11 sends it."""

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        self.is_done = False
        timeouts = _timeouts(request)
        head = self._ordinary(request)
        parser = None if head else _parser()
        if parser is not None:
            head = parser.send(_event(request))
        stream = self._stream or self._open(request, timeouts.get("connect"))
        was_sent, timeout = False, timeouts.get("write")
        with suppress(httpcore.WriteError):  # a server may respond before it has read all
            stream.write(head or b"", timeout)
            body: Any = request.stream
            for chunk in body:
                stream.write(_sent(parser, h11.Data(data=chunk)), timeout)
            if parser is not None:
                stream.write(_sent(parser, h11.EndOfMessage()), timeout)
            was_sent = True
        return self._receive(request, stream, parser, was_sent)

    def _ordinary(self, request: httpcore.Request) -> bytes | None:
        """Returns a request without a body as bytes; `None`: h11 sends it."""
        method, headers = request.method, request.headers
        if method != self._method or headers != self._headers:
            fields = ordinary_fields(headers)
            if fields is not None:
                _event(request)  # raises if they are invalid; h11 checks what it sends itself
            self._method, self._headers, self._fields = method, headers, fields
        fields = self._fields
        return None if fields is None else request_head(method, request.url.target, fields)

    def _open(self, request: httpcore.Request, timeout: float | None) -> Stream:
        host = self._origin.host.decode("ascii")
        stream = self._network.connect_tcp(host, self._origin.port, timeout)
        if self._ssl_context is not None:
            self._ssl_context.set_alpn_protocols(["http/1.1"])
            name = _extensions(request).get("sni_hostname") or host
            stream = stream.start_tls(self._ssl_context, name, timeout)
        self._stream = stream
        return stream

    def _receive(
        self,
        request: httpcore.Request,
        stream: Stream,
        parser: h11.Connection | None,
        was_sent: bool,
    ) -> httpcore.Response:
        timeout = _timeouts(request).get("read")
        stream.framing.expect()
        data = stream.read(READ, timeout)
        head = None if request.method in {b"HEAD", b"CONNECT"} else ordinary_head(data)
        if head is not None:
            known = _Body(self, stream, head.length, timeout, is_last=not was_sent)
            known.begin(data[head.size :])
            return _response(head.status, head.reason, head.headers, known, stream)
        if parser is None:
            parser = _parser()
            parser.send(_event(request))
            parser.send(h11.EndOfMessage())
        event: Any = _next(parser, stream, timeout, data)
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = _next(parser, stream, timeout)
        rest, headers = parser.trailing_data[0], dict(event.headers)
        version = b"HTTP/" + event.http_version
        body: _Body | _ParsedBody
        if _has_length(request, event.status_code, headers):
            closes = version != b"HTTP/1.1" or b"close" in headers.get(b"connection", b"").lower()
            length = int(headers[b"content-length"])
            body = _Body(self, stream, length, timeout, is_last=closes or not was_sent)
            body.begin(rest)
        else:
            if parser.their_state is h11.SWITCHED_PROTOCOL:
                stream.framing.expect(rest=rest)
            body = _ParsedBody(self, stream, parser, timeout)
        raw = event.headers.raw_items()
        return _response(event.status_code, event.reason, raw, body, stream, version)

    # What httpcore asks of a connection.

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return origin == self._origin

    def is_available(self) -> bool:
        return self.is_done

    def is_idle(self) -> bool:
        return self.is_done

    def is_closed(self) -> bool:
        return not self.is_done

    def has_expired(self) -> bool:
        stream = self._stream
        return stream is None or bool(stream.get_extra_info("is_readable"))

    def info(self) -> str:
        return "HTTP/1.1"

    def close(self) -> None:
        self.is_done = False
        if self._stream is not None:
            self._stream.close()


class _Body:
    """A body of a known length."""

    def __init__(
        self,
        exchanges: Exchanges,
        stream: Stream,
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
            self._stream.framing.expect(self._length, rest)
            return
        self.whole, self._left = rest[: self._length], 0
        self._stream.framing.expect(0, rest[self._length :])

    def __iter__(self) -> Generator[bytes]:
        if self.whole:
            yield self.whole
        while self._left:
            data = self._stream.read(READ, self._timeout)
            if not data:
                raise httpcore.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    f"(received {self._length - self._left} bytes, expected {self._length})"
                )
            self._left -= len(data)
            yield data

    def close(self) -> None:
        self._exchanges.is_done = not self._left and not self._is_last


class _ParsedBody:
    """A body that h11 reads: in chunks, up to the end of the connection, or none at all."""

    def __init__(
        self,
        exchanges: Exchanges,
        stream: Stream,
        parser: h11.Connection,
        timeout: float | None,
    ) -> None:
        self._exchanges = exchanges
        self._stream = stream
        self._parser = parser
        self._timeout = timeout

    def __iter__(self) -> Generator[bytes]:
        while isinstance(event := _next(self._parser, self._stream, self._timeout), h11.Data):
            yield bytes(event.data)

    def close(self) -> None:
        parser = self._parser
        if parser.our_state is parser.their_state is h11.DONE and not parser.trailing_data[0]:
            self._stream.framing.expect(0)
            self._exchanges.is_done = True


def _next(
    parser: h11.Connection, stream: Stream, timeout: float | None, data: bytes | None = None
) -> Any:
    """Returns the next event. `data`: what was read already."""
    while True:
        if data is not None:
            if not data and parser.their_state is h11.SEND_RESPONSE:
                message = "Server disconnected without sending a response."
                raise httpcore.RemoteProtocolError(message)
            parser.receive_data(data)
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error
        if event is not h11.NEED_DATA:
            return event
        data = stream.read(READ, timeout)


def _extensions(request: Any) -> dict[str, Any]:
    extensions: dict[str, Any] = request.extensions
    return extensions


def _timeouts(request: httpcore.Request) -> dict[str, float | None]:
    timeouts: dict[str, float | None] = _extensions(request).get("timeout", {})
    return timeouts


def _parser() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_LINE)


def _event(request: httpcore.Request) -> h11.Request:
    try:
        return h11.Request(
            method=request.method, target=request.url.target, headers=request.headers
        )
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


def _sent(parser: h11.Connection | None, event: h11.Data | h11.EndOfMessage) -> bytes:
    """Returns the bytes of a piece of a request's body, or of its end."""
    if parser is None:
        if isinstance(event, h11.Data) and event.data:
            raise httpcore.LocalProtocolError("Too much data for declared Content-Length")
        return b""
    try:
        return parser.send(event) or b""
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


def _has_length(request: httpcore.Request, status: int, headers: dict[bytes, bytes]) -> bool:
    return (
        b"content-length" in headers
        and b"transfer-encoding" not in headers
        and status not in {101, 204, 304}
        and request.method not in {b"HEAD", b"CONNECT"}
    )


def _response(
    status: int,
    reason: bytes,
    headers: list[tuple[bytes, bytes]],
    body: Any,
    stream: Stream,
    version: bytes = b"HTTP/1.1",
) -> httpcore.Response:
    extensions: dict[str, Any] = {
        "http_version": version,
        "reason_phrase": reason,
        "network_stream": stream,
    }
    if isinstance(body, _Body) and body.whole is not None:
        extensions[WHOLE] = body.whole
    return httpcore.Response(status, headers=headers, content=body, extensions=extensions)
