"""An application on a real socket, an emulator behind it, and a reader of event streams."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from dcipher.emulator import Emulator
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

KEY = "emu_canary-key-0123456789"
SECRETS = (KEY, "Signature=", "X-Amz-", "signature=", "canary-idempotency")


@dataclass(frozen=True)
class Event:
    """An event as a browser sees it."""

    data: Any = None
    event: str = "message"
    id: str = ""
    retry: str = ""
    comment: str = ""


@dataclass
class Stream:
    """An open event stream, read by a thread."""

    events: list[Event] = field(default_factory=list)
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: str = ""
    ended: bool = False

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.data is not None and event.event == kind]

    @property
    def statuses(self) -> list[str]:
        return [event.data["status"] for event in self.of("message")]

    @property
    def ids(self) -> list[int]:
        return [int(event.id) for event in self.of("message")]


def _event(block: str) -> Event:
    fields: dict[str, Any] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        fields[name or "comment"] = json.loads(value) if name == "data" else value
    return Event(**fields)


class Site:
    """An application that is served, and those who visit it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.web = httpx.Client(base_url=url, timeout=HANG)
        self._open = ExitStack()

    def listen(self, path: str, last: int | None = None) -> Stream:
        """Open an event stream, as a browser does."""
        stream, left = Stream(), threading.Event()
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        client = httpx.Client(base_url=self.url, timeout=HANG)

        def read() -> None:
            try:
                with client.stream("GET", path, headers=headers) as response:
                    stream.status, stream.headers = response.status_code, response.headers
                    for text in response.iter_text():
                        stream.body += text
                        *blocks, _ = stream.body.split("\n\n")
                        if response.status_code == 200:
                            stream.events[:] = map(_event, blocks)
            except (httpx.TransportError, OSError):
                if not left.is_set():
                    raise
            finally:
                stream.ended = True

        thread = threading.Thread(target=read, daemon=True)

        def leave() -> None:
            left.set()
            for raw in _sockets(client):
                raw.shutdown(2)
            thread.join(HANG)
            client.close()

        stream.leave = leave  # type: ignore[attr-defined]
        thread.start()
        self._open.callback(leave)
        return stream

    def close(self) -> None:
        self._open.close()
        self.web.close()


def _sockets(client: httpx.Client) -> list[Any]:
    pool = client._transport._pool  # type: ignore[attr-defined]
    found = []
    for connection in pool.connections:
        inner = getattr(connection, "_connection", None)
        stream = getattr(inner, "_network_stream", None)
        if stream is not None and (raw := stream.get_extra_info("socket")).fileno() != -1:
            found.append(raw)
    return found


@contextmanager
def served(app: Any, port: int = 0) -> Generator[Site]:
    # After a shorter time, uvicorn leaves open connections to the garbage collector.
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_level="critical",
        timeout_graceful_shutdown=round(HANG),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    site = Site(f"http://127.0.0.1:{port}")
    try:
        yield site
    finally:
        site.close()
        server.should_exit = True
        thread.join(HANG)


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Site]]:
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(served(app))


@dataclass
class Gate:
    """Delays the end of the runs of the flow `gated`."""

    opened: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def emulator(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator(queue_time=0.0, api_key=KEY) as running:

        @running.flow("words")
        def words(text: str, top: int = 5) -> dict[str, int]:
            return {"words": len(text.split())}

        @running.flow("gated")
        def gated() -> str:
            gate.opened.wait(HANG)
            return "done"

        @running.flow("fails")
        def fails() -> None:
            raise ValueError("see https://store.example/x?Signature=canary-signature now")

        monkeypatch.setenv("DCIPHER_BASE_URL", running.url)
        monkeypatch.setenv("DCIPHER_API_KEY", running.api_key)
        yield running
        gate.opened.set()
