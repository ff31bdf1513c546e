"""Derived clients: other options, the same connections, closed independently."""

from __future__ import annotations

import gc
import threading
from collections import UserDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import (
    ConfigurationError,
    DcipherError,
    HTTPClient,
    InternalServerError,
    NotFoundError,
    Resilience,
)
from dcipher._wire.pools.pools import ConnectionPool
from tests.conftest import KEY
from tests.faulty import STALL, Reply, json_reply
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Connect
    from tests.faulty import FaultyServer


def test_a_derived_client_uses_the_same_connection(connect: Connect, api: FaultyServer) -> None:
    """Client and derived clients take turns on one TCP connection."""
    client = connect(api)
    derived = client.with_options(timeout=5)
    again = derived.with_options(headers={"X-A": "1"})
    for each in (client, derived, again, client):
        each.flows.get("f")
    assert api.connections == 1
    derived.close()
    again.close()


@pytest.mark.parametrize("first", ["client", "derived"])
def test_closing_one_leaves_the_other_alone(
    connect: Connect, api: FaultyServer, first: str
) -> None:
    """Whichever of the two is closed, the other goes on, on the connection that was open."""
    client = connect(api)
    derived = client.with_options(max_retries=0)
    client.flows.get("f")
    derived.flows.get("f")
    closed, other = (client, derived) if first == "client" else (derived, client)
    closed.close()
    other.flows.get("f")
    assert api.connections == 1
    with pytest.raises(DcipherError, match="closed"):
        closed.flows.get("f")
    other.close()


def test_a_client_closed_before_its_derived_one_is_used(
    connect: Connect, api: FaultyServer
) -> None:
    """A derived client works although the one that it came from was closed before its first call."""
    client = connect(api)
    client.flows.get("f")
    derived = client.with_options(max_retries=0)
    client.close()
    assert derived.flows.get("f").id == "f"
    derived.close()


def test_options_are_changed_one_by_one(connect: Connect, api: FaultyServer) -> None:
    """Headers add up, and what is not given stays; the first client is as it was."""
    api.on("/flows/f", json_reply("{}", 500))
    client = connect(api, headers={"X-A": "1"}, resilience=Resilience(max_retries=0))
    derived = client.with_options(headers={"X-B": "2"}).with_options(
        resilience=Resilience(max_retries=2, backoff_initial=0.01)
    )
    with pytest.raises(InternalServerError):
        derived.flows.get("f")
    assert len(api.requests) == 3
    assert {"x-a", "x-b"} <= set(api.requests[0].headers)
    with pytest.raises(InternalServerError):
        client.flows.get("f")
    assert len(api.requests) == 4
    assert "x-b" not in api.requests[3].headers
    derived.close()


def test_a_timeout_of_its_own(connect: Connect, api: FaultyServer) -> None:
    """`with_options(timeout=)` bounds the requests of the derived client."""
    api.on("/flows/f", STALL)
    derived = connect(api).with_options(timeout=0.2, max_retries=0)
    with no_hang(), pytest.raises(TimeoutError):
        derived.flows.get("f")
    derived.close()


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": "x"}, {"max_retries": -1}, {"headers": {"Authorization": "x"}}],
    ids=str,
)
def test_options_that_cannot_be_used(
    connect: Connect, api: FaultyServer, options: dict[str, Any]
) -> None:
    """Options are checked as arguments are."""
    with pytest.raises(ConfigurationError):
        connect(api).with_options(**options)


def test_connections_are_kept(connect: Connect, api: FaultyServer) -> None:
    """Calls one after the other take one connection, errors included."""
    api.on("/flows/f", json_reply('{"message": "no"}', 404), json_reply('{"id": "f"}'))
    client = connect(api)
    with pytest.raises(DcipherError):
        client.flows.get("f")
    for _ in range(5):
        client.flows.get("f")
    assert api.connections == 1


def test_a_derived_client_need_not_be_closed(
    construct: Callable[..., Any], api: FaultyServer
) -> None:
    """What a derived client left open goes with it, silently, where the one that it came from was closed."""
    client = construct(KEY, base_url=api.url)
    derived = client.with_options(timeout=5.0)
    derived.flows.get("f")
    client.close()
    # httpcore imports trio within the first call, and trio keeps the frames that it was imported
    # from in a cycle: with them, it is the collector that chooses the order in which all is ended.
    gc.collect()
    del client, derived
    gc.collect()  # a warning is an error here
    assert api.connections == 1
    assert api.open_connections() == 0


def test_a_derived_client_goes_on(construct: Callable[..., Any], api: FaultyServer) -> None:
    """A derived client can be used after the one that it came from was closed."""
    client = construct(KEY, base_url=api.url)
    derived = client.with_options(timeout=5.0)
    derived.flows.get("f")
    client.close()
    assert derived.flows.get("f").id == "f"
    derived.close()


def test_closing_a_derived_client_leaves_connections_open(
    construct: Callable[..., Any], api: FaultyServer
) -> None:
    """A derived client that is closed does not cost the others their connections."""
    client = construct(KEY, base_url=api.url)
    for _ in range(3):
        derived = client.with_options(timeout=5.0)
        derived.flows.get("f")
        derived.close()
        client.flows.get("f")
    assert api.connections == 1
    client.close()


def test_a_client_that_only_others_were_derived_from(
    construct: Callable[..., Any], api: FaultyServer
) -> None:
    """A client that was derived, used and closed leaves nothing open where the first is no more."""
    derived = construct(KEY, base_url=api.url).with_options(timeout=5.0)
    derived.flows.get("f")
    gc.collect()
    derived.close()
    assert api.open_connections() == 0


def test_a_derived_client_downloads_after_the_first_was_closed(
    construct: Callable[..., Any], api: FaultyServer
) -> None:
    """What a derived client opened for results is closed with it, though the first one is still known."""
    client = construct(KEY, base_url=api.url)
    derived = client.with_options(timeout=5.0)
    client.close()
    assert derived.runs.read(derived.flows.run("f")) == {"text": 1}
    derived.close()
    assert api.open_connections() == 0
    client.close()


class Body(httpx.SyncByteStream):
    """A body that is still to be read."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"x"


class Held(httpx.BaseTransport):
    """A transport of one connection that lets go of a call at one place when it is told to."""

    is_usable = True

    def __init__(self, place: str) -> None:
        self._place = place
        self.siblings: set[Any] = set()
        self.reached, self.let_go, self.is_closed = threading.Event(), threading.Event(), False

    def hold(self, place: str) -> None:
        if place == self._place:
            self.reached.set()
            self.let_go.wait(HANG)

    def begin(self, request: httpx.Request) -> None: ...

    def received(self, response: httpx.Response) -> None: ...

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.hold("sending")
        return httpx.Response(200, stream=Body())

    @property
    def is_idle(self) -> bool:
        self.hold("giving back")
        return True

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("place", ["connecting", "sending", "giving back"])
@pytest.mark.parametrize("sharing", [1, 3])
def test_closed_while_a_connection_is_in_use(place: str, sharing: int) -> None:
    """Wherever a call is when the last client is closed: its connection is closed with it."""
    transport = Held(place)

    def make(_: str) -> httpx.BaseTransport:
        transport.hold("connecting")
        return transport

    pool = ConnectionPool(make, max_connections=9, keepalive_expiry=HANG)
    clients = [httpx.Client(transport=pool.transport(None)) for _ in range(sharing)]
    calling = threading.Thread(target=clients[0].get, args=("http://127.0.0.1/",))
    calling.start()
    assert transport.reached.wait(HANG)
    for client in clients:
        client.close()
    transport.let_go.set()
    calling.join(HANG)
    assert transport.is_closed


def test_used_first_by_two_threads_at_once(api: FaultyServer) -> None:
    """Clients that share connections share them though two threads use them for the first time at once."""
    other: list[threading.Thread] = []
    client = HTTPClient(api.url, httpx_args={"mounts": mounts(lambda: meanwhile())})
    derived = client.with_timeout(5.0)

    def meanwhile() -> None:
        """What the other thread does while the first one is making the connections."""
        if not other:
            other.append(threading.Thread(target=derived.get_or_create_httpx_client))
            other[0].start()
            other[0].join(0.3)  # it waits for this one

    client.get_or_create_httpx_client().get("/flows/f")
    other[0].join(HANG)
    derived.get_or_create_httpx_client().get("/flows/f")
    client.close()
    derived.close()
    assert api.connections == 1


def mounts(when_read: Callable[[], None]) -> Any:
    """No mounts, and a look at when they are read."""

    class Mounts(UserDict[str, Any]):
        def __bool__(self) -> bool:
            return True

        def items(self) -> Any:
            when_read()
            return super().items()

    return Mounts()


def test_what_nobody_asked_for_is_no_answer(connect: Connect, api: FaultyServer) -> None:
    """What stands behind an answer is not taken for the next one: the connection is not used again."""
    good, stray = json_reply('{"id": "f"}').data(), json_reply('{"id": "stray"}').data()
    api.on("/flows/f", Reply(raw=good + stray), json_reply('{"id": "f", "name": "second"}'))
    client = connect(api)
    assert client.flows.get("f").name is None
    assert client.flows.get("f").name == "second"
    assert api.connections == 2


OK = b"HTTP/1.1 200 OK\r\n"
GOOD = b'{"id": "f"}'
STRAY = json_reply('{"id": "stray"}').data()
FRAMINGS = {
    "a length": OK + b"Content-Length: 11\r\n\r\n" + GOOD,
    "a length, oddly written": OK + b"CONTENT-length:\t11 \r\nX: 1\r\n\r\n" + GOOD,
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "a trailer": OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + GOOD + b"\r\n0\r\nX: 1\r\n\r\n",
    "bare line ends": OK.replace(b"\r", b"") + b"Content-Length: 11\n\n" + GOOD,
    "informational first": b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n"
    + OK
    + b"Content-Length: 11\r\n\r\n"
    + GOOD,
    "no content": b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_behind_a_response_is_taken_for_the_next(
    connect: Connect, api: FaultyServer, framing: str
) -> None:
    """However a response is framed, what stands behind it is dropped, and its connection is closed."""
    api.on(
        "/flows/f",
        Reply(raw=FRAMINGS[framing] + STRAY),
        json_reply('{"id": "f", "name": "second"}'),
    )
    client = connect(api)
    with suppress(NotFoundError):
        assert client.flows.get("f").name is None
    assert client.flows.get("f").name == "second"
    assert api.connections == 2


@pytest.mark.parametrize("framing", ["a length", "chunks", "no content", "informational first"])
def test_a_response_and_nothing_else_keeps_its_connection(
    connect: Connect, api: FaultyServer, framing: str
) -> None:
    """Where nothing stands behind a response, the connection is used again."""
    api.on(
        "/flows/f",
        Reply(raw=FRAMINGS[framing]),
        Reply(raw=FRAMINGS[framing]),
        json_reply('{"id": "f", "name": "third"}'),
    )
    client = connect(api)
    for _ in range(2):
        with suppress(NotFoundError):
            client.flows.get("f")
    assert client.flows.get("f").name == "third"
    assert api.connections == 1
