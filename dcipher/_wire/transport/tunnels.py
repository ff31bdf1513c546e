"""Opens tunnels through proxies: CONNECT (RFC 9110 section 9.3.6), and SOCKS 5 (RFC 1928). Pure.

The steps of one are a generator: it yields what to send to the proxy, and receives what comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
import httpcore
import httpx

from dcipher._wire.proxies.socks import SOCKS_ERRORS

from .heads import HTTP, checked, host_in_url, merged, new_parser, next_event, proxy_fields

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["tunnel", "tunnel_error"]


def tunnel(proxy: httpx.Proxy, origin: httpcore.Origin) -> Generator[bytes, bytes, None]:
    """Returns the steps that open a tunnel to an origin. They raise `httpcore.ProxyError`."""
    return (_by_connect if proxy.url.scheme in HTTP else _by_socks)(proxy, origin)


def tunnel_error(error: BaseException) -> BaseException:
    """Returns the error for a lost connection to the proxy, which httpx reports as one to the server."""
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        return httpx.ConnectTimeout("the proxy did not open a tunnel in time")
    if isinstance(error, _LOST):
        return httpx.ProxyError(f"the proxy did not open a tunnel ({error})")
    return error


_LOST = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, OSError)


def _by_connect(proxy: httpx.Proxy, origin: httpcore.Origin) -> Generator[bytes, bytes, None]:
    target = b"%b:%d" % (host_in_url(origin.host), origin.port)
    fields = merged([(b"Host", target), (b"Accept", b"*/*")], proxy_fields(proxy))
    parser = new_parser()
    head = parser.send(checked(b"CONNECT", target, fields)) or b""
    parser.send(h11.EndOfMessage())
    event = next_event(parser, (yield head))
    while event is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
        event = next_event(parser, (yield b"") if event is h11.NEED_DATA else None)
    if not 200 <= event.status_code < 300:
        reason = event.reason.decode("ascii", errors="ignore")
        raise httpcore.ProxyError(f"{event.status_code} {reason}")
    if parser.trailing_data[0]:  # a TLS server waits for its client
        raise httpcore.ProxyError(
            "the proxy did not open a tunnel (it sent data after its response)"
        )


def _by_socks(proxy: httpx.Proxy, origin: httpcore.Origin) -> Generator[bytes, bytes, None]:
    from socksio import socks5

    connection: Any = socks5.SOCKS5Connection()

    def ask(request: Any) -> Generator[bytes, bytes, Any]:
        connection.send(request)
        return connection.receive_data((yield connection.data_to_send()))

    with SOCKS_ERRORS:
        methods, credentials = socks5.SOCKS5AuthMethod, proxy.raw_auth
        method = methods.NO_AUTH_REQUIRED if credentials is None else methods.USERNAME_PASSWORD
        reply = yield from ask(socks5.SOCKS5AuthMethodsRequest([method]))
        if reply.method != method:
            words = f"{method.name} was requested from the proxy, not {reply.method.name}"
            raise httpcore.ProxyError(words)
        if credentials is not None:
            reply = yield from ask(socks5.SOCKS5UsernamePasswordRequest(*credentials))
            if not reply.success:
                raise httpcore.ProxyError("the proxy rejected the user name and the password")
        command, address = socks5.SOCKS5Command.CONNECT, (origin.host, origin.port)
        reply = yield from ask(socks5.SOCKS5CommandRequest.from_address(command, address))
        if reply.reply_code is not socks5.SOCKS5ReplyCode.SUCCEEDED:
            words = reply.reply_code.name.lower().replace("_", " ")
            raise httpcore.ProxyError(f"the proxy could not connect: {words}")
