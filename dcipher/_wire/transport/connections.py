# Generated from dcipher/_wire/transport/connections_async.py by scripts/unasync.py: edit that, not this.
"""One connection: an httpx transport whose pool is a single connection of httpcore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from .deadlines import DEADLINE, deadline_of
from .exchanges import Exchanges
from .heads import origin_for
from .tunnels import tunnel_error

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

    def begin(self, request: httpx.Request) -> None:
        """A request follows."""
        self._exchanges.begin(deadline_of(request.extensions))

    def received(self, response: httpx.Response) -> None:
        """The head of its response was received."""
        response.extensions[DEADLINE] = deadline = self._exchanges.deadline
        if deadline.is_for_head:
            deadline.restart(None)

    def explained(self, error: BaseException) -> BaseException:
        """Returns the error for what happened: to the connection to the server, or to its proxy."""
        is_of_proxy = self._exchanges.has_tunnel and not self._exchanges.deadline.was_sent
        return tunnel_error(error) if is_of_proxy else error

    @property
    def is_idle(self) -> bool:
        """Whether its request is complete, and it stays open."""
        return self._exchanges.is_done

    @property
    def is_usable(self) -> bool:
        """Whether it is still open, and has received no unexpected bytes."""
        return self._exchanges.is_usable

    def close(self) -> None:
        self._pool = None  # it knows its event loop
        self._exchanges.close()
