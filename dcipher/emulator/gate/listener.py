"""A uvicorn server in a daemon thread, on a socket that is bound before the thread starts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import socket
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar, cast, final

import uvicorn
from typing_extensions import override

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.gate import loops
from dcipher.emulator.gate.heads import HEAD_TIME, Connection
from dcipher.emulator.gate.masking import masked_known
from dcipher.logs import filter_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from dcipher.emulator.gate.gate import ASGIApp
    from dcipher.emulator.gate.heads import ServerProtocol

__all__ = ["Listener"]

T = TypeVar("T")

_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 16
"""Connections that are accepted in one turn of the event loop, which is also the number of attempts."""
_LOG_INTERVAL = (
    60.0  # seconds between two lines of the log about connections that cannot be accepted
)
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LAST_RESPONSES = 0.2  # seconds for responses in progress when the server stops
_LAST_TURNS = 5  # of the event loop, in which a socket that was just accepted becomes a connection
_MESSAGES = logging.getLogger("uvicorn.asgi")
_LOGGER = logging.getLogger("dcipher.emulator")
_LOGGER.addHandler(logging.NullHandler())  # without it, logging would write to stderr


@final
class Listener:
    """Serves an ASGI application from `start` to `stop`."""

    def __init__(
        self, app: ASGIApp, *, on_stop: Callable[[], Awaitable[None]], secrets: Iterable[str]
    ) -> None:
        self._server = _Server(app)
        self._on_stop = on_stop
        self._filter = _SecretFilter(secrets)
        self._socket: socket.socket | None = None
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="dcipher-emulator", daemon=True)

    def bind(self, host: str, port: int) -> str:
        """Binds the address, and returns its URL. Raises OSError if it is in use."""
        self._socket = _bound(host, port)
        name, number, *_ = cast("tuple[str, int]", self._socket.getsockname())
        return f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"

    def start(self) -> None:
        """Starts serving. Returns when connections are accepted."""
        _MESSAGES.addFilter(self._filter)
        self._thread.start()
        _ = self._loop.result()

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the event loop, from another thread."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 (the caller gets it)
                future.set_exception(error)

        _ = self._loop.result().call_soon_threadsafe(work)
        return future.result()

    def stop(self) -> None:
        """Stops serving, and waits until it has stopped."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            _ = self._loop.result().call_soon_threadsafe(self._server.end)
        self._thread.join()
        _MESSAGES.removeFilter(self._filter)

    def _run(self) -> None:
        try:
            loops.run(self._serve())
        except BaseException as error:
            if self._loop.done():
                raise
            self._loop.set_exception(error)

    async def _serve(self) -> None:
        sockets = [self._socket] if self._socket else []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_Exhaustion().handle)

        def started() -> None:
            # uvicorn passes one number for both: asyncio's connections per turn, and the queue of the system.
            for listening in sockets:
                listening.listen(_BACKLOG)
            self._loop.set_result(loop)

        self._server.on_started = started
        try:
            await self._server.serve(sockets=sockets)
        finally:
            for listening in sockets:
                listening.close()
            await self._on_stop()


@final
class _SecretFilter(logging.Filter):
    """Masks the secrets of the emulator in uvicorn's log of ASGI messages, at its lowest level."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = masked_known(text, self._secrets)
        if masked != text:
            record.msg, record.args = masked, None
        return True


@final
class _Exhaustion:
    """Logs once a minute that no connection can be accepted; asyncio logs every attempt."""

    def __init__(self) -> None:
        self._logged_at = -math.inf

    def handle(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """Handles an exception of the event loop, which retries after a second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(dict(context))
            return
        if monotonic() - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = monotonic()
            _LOGGER.error(
                "The emulator cannot accept connections: %s. Waiting connections are served when others"
                " end. Close unused ones, or raise the limit (ulimit -n).",
                error.strerror,
            )


@final
class _Config(uvicorn.Config):
    """A configuration that does not change the logging of the process."""

    @override
    def configure_logging(self) -> None:
        """Does nothing: uvicorn's own would change its loggers in the whole process."""

    @override
    def load(self) -> None:
        super().load()
        protocol = cast("Callable[..., ServerProtocol]", self.http_protocol_class)

        def quiet(**arguments: object) -> asyncio.Protocol:
            inner = protocol(**arguments)
            # The access log would contain signed URLs. Malformed requests need no warning.
            inner.access_log = False
            inner.logger = _LOGGER
            return Connection(inner, head_time=HEAD_TIME)

        self.http_protocol_class = cast("type[asyncio.Protocol]", quiet)


@final
class _Server(uvicorn.Server):
    """A server that reports its start, and stops without waiting for connections."""

    def __init__(self, app: ASGIApp) -> None:
        filter_server()
        super().__init__(
            _Config(
                app,
                access_log=False,
                backlog=_ACCEPTED_AT_ONCE,
                date_header=False,  # the gate adds it, unless a fault is about it
                lifespan="off",
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=75,
                ws="none",
            )
        )
        self.on_started: Callable[[], None] = lambda: None
        self._exit: asyncio.Event | None = None

    def end(self) -> None:
        """Ends `serve`; on the event loop."""
        self.should_exit = True
        if self._exit is not None:
            self._exit.set()

    @override
    async def main_loop(self) -> None:
        # uvicorn's own loop sleeps between its ticks; this one can be woken.
        self._exit = asyncio.Event()
        self.on_started()
        while not await self.on_tick(0):
            with contextlib.suppress(asyncio.TimeoutError):
                _ = await asyncio.wait_for(self._exit.wait(), 0.1)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn's own method waits for every connection, without a limit or with an error in the log.
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        connections = self.server_state.connections
        for connection in tuple(connections):
            connection.shutdown()
        deadline = monotonic() + _LAST_RESPONSES
        # uvicorn has a set of its connections, and no event for when it is empty.
        while connections and monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for _ in range(_LAST_TURNS):
            for connection in tuple(connections):
                connection.transport.abort()
            await asyncio.sleep(0)


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"The emulator cannot listen on {host!r}: {error.strerror}.") from error
    # The protocol by its number: asyncio sets TCP_NODELAY only on connections of such a socket.
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_REUSEADDR"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        message = f"The emulator cannot listen on {host} port {port} ({error.strerror}); try port=0"
        raise OSError(error.errno, message) from error
    listening.setblocking(False)
    return listening
