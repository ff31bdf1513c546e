"""The heads of requests and responses, and the ends of bodies. What is not ordinary is left to h11. Pure."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import h11
import httpcore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import httpx

    Fields: TypeAlias = "Sequence[tuple[bytes, bytes]]"
    Parsed: TypeAlias = "h11.Response | h11.InformationalResponse"

__all__ = [
    "HTTP",
    "WHOLE",
    "Body",
    "Head",
    "Requests",
    "absolute",
    "checked",
    "extensions_of",
    "host_in_url",
    "known_body",
    "merged",
    "new_parser",
    "next_event",
    "ordinary_head",
    "origin_for",
    "proxy_fields",
    "response_of",
    "sent",
]

HTTP = frozenset({"http", "https"})
"""The schemes of proxies that read HTTP. All others speak SOCKS."""
LONGEST_LINE = 100 * 1024
"""Bytes of a head, or of a line between two chunks, as in httpcore."""

WHOLE = "dcipher.body"
"""The extension of a response that holds its raw body, where that came with its head."""

# RFC 9110 section 5.6.2 (tokens) and 5.5 (values). No part can match what the next one begins with, so
# that the time is linear whatever a server sends: blanks around a value are removed afterwards.
_FIELD = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r\n"
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([\x20-\x7e]*)\r\n((?:%b)*)\r\n" % _FIELD)
_FIELDS = re.compile(_FIELD)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_TARGET = re.compile(rb"[\x21-\x7e]+")
# These change where a message ends, or what becomes of its connection.
_UNUSUAL = frozenset(
    {b"connection", b"content-length", b"expect", b"te", b"transfer-encoding", b"upgrade"}
)
_WITHOUT_BODY = frozenset({204, 304})


class Head(NamedTuple):
    """The head of a response whose body has a length, and whose connection stays open."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    """Bytes of the body."""
    size: int
    """Bytes of the head."""


def ordinary_head(data: bytes) -> Head | None:
    """Returns the head that `data` begins with; `None` where it is incomplete, or not ordinary."""
    match = _HEAD.match(data)
    if match is None:
        return None
    status, reason, fields = match.group(1, 2, 3)
    headers = [(name, value.strip(b" \t")) for name, value in _FIELDS.findall(fields)]
    length: bytes | None = None
    for name, value in headers:
        lower = name.lower()
        if lower not in _UNUSUAL:
            continue
        if lower == b"content-length" and length is None and _LENGTH.fullmatch(value):
            length = value
        elif lower != b"connection" or value.lower() != b"keep-alive":
            return None
    if length is None or int(status) in _WITHOUT_BODY:
        return None
    return Head(int(status), reason, headers, int(length), match.end())


class Requests:
    """Writes the heads of the requests of one connection."""

    def __init__(self, to_proxy: Fields | None) -> None:
        self._to_proxy = to_proxy
        """The headers for a proxy that forwards each request; `None`: there is none."""
        # Those of the last request, which often are the same as those of the next one.
        self._method = b""
        self._headers: Fields = ()
        self._fields: bytes | None = None
        """Its header lines; `None`: h11 sends it."""

    def head(self, request: httpcore.Request) -> tuple[bytes, h11.Connection | None]:
        """Returns the head as bytes, and the parser that it was sent by; `None`: it is ordinary."""
        method, headers = request.method, request.headers
        if method != self._method or headers != self._headers:
            fields = _ordinary_fields(self._all_headers(headers))
            if fields is not None:
                self._checked(request)  # raises if they are invalid; h11 checks what it sends
            self._method, self._headers, self._fields = method, headers, fields
        target = self._target(request)
        # h11 rejects a target that cannot be sent.
        if self._fields is not None and _TARGET.fullmatch(target):
            return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, self._fields), None
        parser = new_parser()
        return parser.send(self._checked(request)) or b"", parser

    def parser(self, request: httpcore.Request) -> h11.Connection:
        """Returns a parser for the response to a request that was sent without one."""
        parser = new_parser()
        parser.send(self._checked(request))
        parser.send(h11.EndOfMessage())
        return parser

    def _checked(self, request: httpcore.Request) -> h11.Request:
        return checked(request.method, self._target(request), self._all_headers(request.headers))

    def _target(self, request: httpcore.Request) -> bytes:
        # RFC 9112 section 3.2.2: a proxy receives the whole URL.
        return request.url.target if self._to_proxy is None else absolute(request.url)

    def _all_headers(self, headers: Fields) -> Fields:
        return headers if self._to_proxy is None else merged(self._to_proxy, headers)


def _ordinary_fields(headers: Fields) -> bytes | None:
    """Returns the header lines of a request without a body; `None` where it has one, or more to say.

    They are not checked: the caller has h11 do that before they are sent.
    """
    for name, value in headers:
        if name.lower() in _UNUSUAL and (name.lower(), value) != (b"connection", b"keep-alive"):
            return None
    return b"".join(b"%b: %b\r\n" % field for field in headers)


def extensions_of(message: Any) -> dict[str, Any]:
    """Returns the extensions of a request or a response of httpcore, which declares no type for them."""
    extensions: dict[str, Any] = message.extensions
    return extensions


def new_parser() -> h11.Connection:
    """Returns a parser for one exchange."""
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_LINE)


def checked(method: bytes, target: bytes, fields: Fields) -> h11.Request:
    """Returns the head of a request for h11. Raises `httpcore.LocalProtocolError` if it is invalid."""
    try:
        return h11.Request(method=method, target=target, headers=[*fields])
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


def sent(parser: h11.Connection | None, event: h11.Data | h11.EndOfMessage) -> bytes:
    """Returns the bytes of a piece of a request's body, or of its end. Without a parser, it has none."""
    if parser is None:
        if isinstance(event, h11.Data) and event.data:
            raise httpcore.LocalProtocolError("Too much data for declared Content-Length")
        return b""
    try:
        return parser.send(event) or b""
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


def next_event(parser: h11.Connection, data: bytes | None = None) -> Any:
    """Returns the next event of a parser, after more data; `h11.NEED_DATA`: it is not complete yet."""
    if data is not None:
        if not data and parser.their_state is h11.SEND_RESPONSE:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        parser.receive_data(data)
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        raise httpcore.RemoteProtocolError(str(error)) from error


class Body:
    """Where a body of a known length ends."""

    def __init__(self, length: int, data: bytes, *, is_last: bool) -> None:
        """`data` came with the head. `is_last`: no other response follows it on this connection."""
        self._length = length
        self._is_last = is_last
        self.whole: bytes | None = data[:length] if len(data) >= length else None
        """All of it, if that came with its head."""
        self.left = length if self.whole is None else 0
        """The bytes that are still to be read."""
        self.rest = data if self.whole is None else data[length:]
        """The received bytes that are still to be read, or follow it."""

    @property
    def is_done(self) -> bool:
        """Whether all of it was read, and another response may follow."""
        return not self.left and not self._is_last

    def part(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns the part of received data that belongs to it, and what follows it."""
        if not data:
            raise httpcore.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {self._length - self.left} bytes, expected {self._length})"
            )
        part, rest = (
            (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
        )
        self.left -= len(part)
        return part, rest


def known_body(method: bytes, head: Parsed, data: bytes, *, is_last: bool) -> Body | None:
    """Returns the body after a head that h11 has read; `None`: h11 finds its end."""
    headers, status = dict(head.headers), head.status_code
    if (
        b"content-length" not in headers
        or b"transfer-encoding" in headers
        or status in {101, *_WITHOUT_BODY}
        or method in {b"HEAD", b"CONNECT"}
    ):
        return None
    closes = head.http_version != b"1.1" or b"close" in headers.get(b"connection", b"").lower()
    return Body(int(headers[b"content-length"]), data, is_last=is_last or closes)


def response_of(head: Head | Parsed, body: Any, stream: Any) -> httpcore.Response:
    """Returns a response for httpcore."""
    if isinstance(head, Head):
        status, reason, headers, version = head.status, head.reason, head.headers, b"1.1"
    else:
        status, reason, version = head.status_code, head.reason, head.http_version
        headers = head.headers.raw_items()
    extensions = {
        "http_version": b"HTTP/" + version,
        "reason_phrase": reason,
        "network_stream": stream,
    }
    if body.whole is not None:
        extensions[WHOLE] = body.whole
    return httpcore.Response(status, headers=headers, content=body, extensions=extensions)


def origin_for(url: httpx.URL) -> httpcore.Origin:
    """Returns the origin of a URL for httpcore, which knows the default ports."""
    known = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/")
    return known.origin


def absolute(url: httpcore.URL) -> bytes:
    """Returns the whole URL, as the target of a request to a proxy (RFC 9112 section 3.2.2)."""
    port = b"" if url.port is None else b":%d" % url.port
    return b"%b://%b%b%b" % (url.scheme, host_in_url(url.host), port, url.target)


def host_in_url(host: bytes) -> bytes:
    """Returns a host as it is written in a URL: httpcore writes no brackets around an address."""
    return b"[%b]" % host if b":" in host else host


def proxy_fields(proxy: httpx.Proxy) -> list[tuple[bytes, bytes]]:
    """Returns the headers for a proxy: its own, and its credentials (RFC 7617 section 2)."""
    fields = proxy.headers.raw
    if proxy.raw_auth is not None:
        credentials = base64.b64encode(b":".join(proxy.raw_auth))
        fields = [(b"Proxy-Authorization", b"Basic " + credentials), *fields]
    return fields


def merged(fields: Fields, over: Fields) -> list[tuple[bytes, bytes]]:
    """Returns all of these headers; one of `over` replaces those of its name."""
    names = {name.lower() for name, _ in over}
    return [*((name, value) for name, value in fields if name.lower() not in names), *over]
