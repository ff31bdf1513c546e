"""Makes one connection as the client makes it, and reports how far it got. No request is sent."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._wire.errors.causes import chain
from dcipher._wire.proxies.choice import Named, Origin
from dcipher._wire.proxies.environment import environment_proxies, usable_proxy
from dcipher._wire.transport.certificates import ssl_context
from dcipher._wire.transport.connections import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIMIT", "Attempt", "Certificate", "certificates", "connect", "origin_of", "proxy_for"]

TIMEOUT = 3.0
"""Seconds for each step: TCP, the tunnel of a proxy, TLS."""
LIMIT = 10.0
"""Seconds for all of them. The resolver of the operating system has no timeout of its own."""


class Certificate(NamedTuple):
    """The version of TLS, and the certificate of the server."""

    version: str
    issuer: str
    expires: float
    """Seconds since the epoch."""


class _Connected(Exception):  # noqa: N818 - not an error
    """Ends the attempt before the request is sent."""


class Attempt:
    """An attempt to connect. `events`: the last state of each step, as httpcore's traces name them."""

    def __init__(self, proxy: Named | None) -> None:
        self.proxy = proxy
        self.events: dict[str, str] = {}
        self.address: str | None = None
        """The IP address that accepted the connection."""
        self.certificate: Certificate | None = None
        self.error: Exception | None = None
        self.milliseconds: float = 0.0
        """Until the address accepted the connection."""
        self._began = monotonic()

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Receives an event of httpcore (https://www.encode.io/httpcore/extensions/#trace)."""
        step, _, state = event.rpartition(".")
        self.events[step] = state
        stream: Any = info.get("return_value")
        if event.endswith("connect_tcp.complete"):
            self.milliseconds = (monotonic() - self._began) * 1000
            self.address = str(stream.get_extra_info("server_addr")[0])
        elif event.endswith("start_tls.complete"):
            self.certificate = _certificate(stream.get_extra_info("ssl_object"))
        elif (
            event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT"
        ):
            raise _Connected

    @property
    def reason(self) -> BaseException | None:
        """The error of the operating system, the resolver or TLS, or else of the proxy."""
        return next((one for one in chain(self.error) if isinstance(one, OSError)), self.error)

    @property
    def failed_step(self) -> str | None:
        """The step that failed: `dns`, `tcp`, `proxy` or `tls`."""
        if self.error is None:
            return None
        if self.address is None:
            names = (socket.gaierror, UnicodeError)
            return "dns" if any(isinstance(one, names) for one in chain(self.error)) else "tcp"
        handshakes = [step for step in self.events if step.endswith("start_tls")]
        if self.proxy is not None and handshakes in ([], ["connection.start_tls"]):
            return "proxy"
        return "tls"


def proxy_for(url: str) -> Named | None:
    """Returns the proxy for a request to `url`, with its password; `None`: it is sent directly.

    Raises `ConfigurationError` for a variable with an invalid proxy.
    """
    return usable_proxy(environment_proxies(), origin_of(url))


def certificates() -> Named:
    """Returns the trusted authorities, and the variable that names them."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the file takes precedence, as in httpx
        if value := os.environ.get(name):
            return Named(value, name)
    return Named("certifi's", "default")


def origin_of(url: str) -> Origin:
    """Returns scheme, host and port of a URL."""
    parts = httpx.URL(url)
    return Origin(parts.scheme, parts.host, parts.port or (443 if parts.scheme == "https" else 80))


def connect(url: str, proxy: Named | None) -> Attempt:
    """Connects to the host of a URL. Raises `ConfigurationError` for certificates that cannot be loaded."""
    origin, attempt = origin_of(url), Attempt(proxy)
    context = ssl_context(origin.scheme, True, {})
    extensions = {"trace": attempt, "timeout": dict.fromkeys(("connect", "read", "write"), TIMEOUT)}

    def run() -> None:
        try:
            via = None if proxy is None else httpx.Proxy(proxy.value)
            connection = Connection(origin, context, via)
            try:
                connection.handle_request(httpx.Request("GET", url, extensions=extensions))
            finally:
                connection.close()
        except _Connected:
            pass
        except Exception as error:  # noqa: BLE001 - reported by the caller
            attempt.error = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    if thread.is_alive():
        attempt.error = TimeoutError(f"no answer within {LIMIT:g} s")
    return attempt


def _certificate(tls: Any) -> Certificate | None:
    found: Any = tls.getpeercert()
    if not found:
        return None
    names = {key: value for part in found.get("issuer", ()) for key, value in part}
    return Certificate(
        version=tls.version() or "TLS",
        issuer=str(
            names.get("organizationName") or names.get("commonName") or "an unnamed authority"
        ),
        expires=float(ssl.cert_time_to_seconds(found["notAfter"])),
    )
