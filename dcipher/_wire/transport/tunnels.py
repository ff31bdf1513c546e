# Generated from dcipher/_wire/transport/tunnels_async.py by scripts/unasync.py: edit that, not this.
"""Opens tunnels through proxies: CONNECT (RFC 9110 section 9.3.6), and SOCKS 5 (RFC 1928)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
import httpcore

from dcipher._wire.proxies.socks import SOCKS_ERRORS

from .heads import HTTP, checked, host_in_url, merged, new_parser, proxy_fields
from .streams import READ

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from .streams import Stream

__all__ = ["open_tunnel"]


def open_tunnel(
    stream: Stream,
    proxy: httpx.Proxy,
    origin: httpcore.Origin,
    timeouts: Mapping[str, float | None],
) -> None:
    """Opens a tunnel to an origin on a stream to its proxy. Raises `httpcore.ProxyError`."""
    if proxy.url.scheme in HTTP:
        _by_connect(stream, proxy, origin, timeouts)
    else:
        with SOCKS_ERRORS:
            _by_socks(stream, proxy, origin, timeouts)


def _by_connect(
    stream: Stream,
    proxy: httpx.Proxy,
    origin: httpcore.Origin,
    timeouts: Mapping[str, float | None],
) -> None:
    target = b"%b:%d" % (host_in_url(origin.host), origin.port)
    fields = merged([(b"Host", target), (b"Accept", b"*/*")], proxy_fields(proxy))
    parser = new_parser()
    head = parser.send(checked(b"CONNECT", target, fields))
    parser.send(h11.EndOfMessage())
    stream.write(head or b"", timeouts.get("write"))
    event = stream.next_event(parser, timeouts.get("read"))
    while isinstance(event, h11.InformationalResponse):
        event = stream.next_event(parser, timeouts.get("read"))
    if not 200 <= event.status_code < 300:
        reason = event.reason.decode("ascii", errors="ignore")
        raise httpcore.ProxyError(f"{event.status_code} {reason}")
    if parser.trailing_data[0]:  # a TLS server waits for its client
        raise httpcore.ProxyError("the proxy opened no tunnel (it sent more than a response)")


def _by_socks(
    stream: Stream,
    proxy: httpx.Proxy,
    origin: httpcore.Origin,
    timeouts: Mapping[str, float | None],
) -> None:
    from socksio import socks5

    connection: Any = socks5.SOCKS5Connection()

    def ask(request: Any) -> Any:
        connection.send(request)
        stream.write(connection.data_to_send(), timeouts.get("write"))
        return connection.receive_data(stream.read(READ, timeouts.get("read")))

    methods, credentials = socks5.SOCKS5AuthMethod, proxy.raw_auth
    method = methods.NO_AUTH_REQUIRED if credentials is None else methods.USERNAME_PASSWORD
    reply = ask(socks5.SOCKS5AuthMethodsRequest([method]))
    if reply.method != method:
        words = f"{method.name} was requested from the proxy, not {reply.method.name}"
        raise httpcore.ProxyError(words)
    if credentials is not None:
        reply = ask(socks5.SOCKS5UsernamePasswordRequest(*credentials))
        if not reply.success:
            raise httpcore.ProxyError("the proxy rejected the user name and the password")
    command, address = socks5.SOCKS5Command.CONNECT, (origin.host, origin.port)
    reply = ask(socks5.SOCKS5CommandRequest.from_address(command, address))
    if reply.reply_code is not socks5.SOCKS5ReplyCode.SUCCEEDED:
        words = reply.reply_code.name.lower().replace("_", " ")
        raise httpcore.ProxyError(f"the proxy could not connect: {words}")
