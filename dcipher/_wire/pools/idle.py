"""The idle connections of one process and one event loop, the last used first."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from dcipher._wire.proxies.choice import Origin

__all__ = ["IdleConnections"]

T = TypeVar("T")

MAX_ORIGINS = 10
"""Origins whose connections are kept: each result may have a store with another name."""

SCARCE = 30.0
"""Seconds in which no connection is kept after an error for too many open files."""


class IdleConnections(Generic[T]):
    """A stack of connections for each origin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Origin, deque[tuple[T, float]]] = {}
        """The connections with the time since which they are idle. The most recently used origin is the last."""
        self._none_until = -math.inf

    def pop(self, origin: Origin) -> T | None:
        """Returns the connection that was used last, if any."""
        with self._lock:
            connections = self._idle.get(origin)
            return connections.pop()[0] if connections else None

    def push(self, origin: Origin, connection: T, expiry: float) -> list[T]:
        """Adds a connection. Returns those to be closed, such as the ones that have expired."""
        with self._lock:
            now = monotonic()
            if now < self._none_until:  # since the call began
                return [connection]
            connections: deque[tuple[T, float]] | None = self._idle.pop(origin, None)
            if connections is None:
                connections = deque()
            connections.append((connection, now))
            self._idle[origin] = connections
            if now - connections[0][1] > expiry:
                return [connections.popleft()[0]]
            unused, others = next(iter(self._idle.items()))
            if others is connections:
                return []
            if others and len(self._idle) <= MAX_ORIGINS and now - others[-1][1] <= expiry:
                return []
            del self._idle[unused]
            return [one for one, _ in others]

    def drop(self, *, for_good: bool = False) -> list[T]:
        """Keeps none for `SCARCE` seconds, or from now on. Returns those to be closed."""
        with self._lock:
            self._none_until = math.inf if for_good else monotonic() + SCARCE
            idle, self._idle = self._idle, {}
        return [one for connections in idle.values() for one, _ in connections]
