# Generated from dcipher/_wire/transport/connections_async.py by scripts/unasync.py: edit that, not this.
"""One connection: an httpx transport whose pool is a single connection of httpcore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from .deadlines import DEADLINE, Deadline, head_deadline
from .exchanges import Exchanges
from .heads import origin_for

if TYPE_CHECKING:
    import ssl

    from dcipher._wire.proxies.choice import Origin

__all__ = ["Connection"]


class Connection(httpx.HTTPTransport):
    """One connection to one origin, for one request at a time.

    Two private attributes are used: `_pool`, by which a transport of httpx sends, and `_connection`, by
    which a connection of httpcore does. Whatever patches httpx's or httpcore's classes (respx,
    pytest-httpx, vcrpy, OpenTelemetry) sees each request. tests/wire/transport/test_private.py guards
    them.
    """

    def __init__(
        self, origin: Origin, ssl_context: ssl.SSLContext | None, proxy: httpx.Proxy | None
    ) -> None:
        self.siblings: set[Any] = set()
        # Not httpx's own, which creates an unnecessary pool and context.
        url = httpx.URL(scheme=origin.scheme, host=origin.host, port=origin.port)
        self._exchanges = Exchanges(origin_for(url), ssl_context, proxy)
        self._pool: Any = httpcore.HTTPConnection(origin_for(url))
        self._pool._connection = self._exchanges  # noqa: SLF001 - by which it sends

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline: Deadline | None = request.extensions.get(DEADLINE)
        own = head_deadline(request.extensions.get("timeout") or {}) if deadline is None else None
        used = deadline or own or Deadline(None)
        self._exchanges.begin(used)
        try:
            response = super().handle_request(request)
        except BaseException as error:
            if self._exchanges.has_tunnel and not used.was_sent:
                _raise_not_sent(error)
            raise
        response.extensions[DEADLINE] = used
        if own is not None:
            own.restart(None)  # the body may take as long as it comes
        return response

    @property
    def is_idle(self) -> bool:
        """Whether its request is complete, and it stays open."""
        return self._exchanges.is_done

    @property
    def is_usable(self) -> bool:
        """Whether it is still open, and has received no unexpected bytes."""
        return self._exchanges.is_done and not self._exchanges.is_stale

    def close(self) -> None:
        self._pool = None  # it knows its event loop
        self._exchanges.close()


def _raise_not_sent(error: BaseException) -> None:
    """Raises an error for a lost connection to the proxy, which httpx reports as one to the server."""
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        raise httpx.ConnectTimeout("the proxy opened no tunnel in time") from error
    lost = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, OSError)
    if isinstance(error, lost):
        raise httpx.ProxyError(f"the proxy opened no tunnel ({error})") from error
