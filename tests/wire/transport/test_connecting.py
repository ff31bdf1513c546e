"""Connecting to the API: names, addresses, certificates, proxies, and their errors."""

from __future__ import annotations

import datetime as dt
import select
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import trustme

from dcipher import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    HTTPAuthenticatedClient,
    InternalServerError,
    Resilience,
    ResultError,
    Run,
    SubmissionUnknownError,
    TLSError,
)
from dcipher._wire.proxies.choice import Origin
from dcipher._wire.proxies.environment import environment_proxies
from dcipher._wire.proxies.routing import RoutedTransport
from dcipher._wire.proxies.routing_async import AsyncRoutedTransport
from dcipher.models import Output, SecretURL
from tests.faulty import NOTHING, STALL, FaultyServer, Reply, json_reply
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal
    from typing_extensions import Self

    from tests.conftest import Connect, Kind

TWICE = Resilience(max_retries=2, backoff_initial=0.002, backoff_max=0.01)
AWAY = "https://api.dcipher.invalid"
"""A host that does not exist, and that no proxy is left out for."""


class Peer:
    """Accepts connections and does one thing with each."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._act = act
        self._open: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            try:
                self._act(connection)
            except OSError:
                continue  # the client has gone: what it saw is for the test to say

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() wakes up a thread that accepts; close() alone does not.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(HANG)
        for connection in self._open:
            connection.close()


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def says(*data: bytes) -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in data:
            connection.sendall(piece)
        connection.close()

    return act


def drips(connection: socket.socket) -> None:
    """Begins a response, and never ends it."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def silent(_: socket.socket) -> None:
    """Neither a word nor an end."""


@contextmanager
def black_hole() -> Generator[int]:
    """A port whose queue of connections is full: the kernel drops what else comes, as a firewall does."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_of(authority: trustme.CA, host: str = "127.0.0.1", **options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **options).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The machine trusts the authority, by SSL_CERT_FILE."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return


# Faults of the way: what a peer does, what it must come to.


class Fault(NamedTuple):
    """What a peer does when a client speaks TLS to it, and what a user then sees."""

    name: str
    act: Callable[[socket.socket], None]
    error: type[Exception]
    attempts: int
    words: str
    """What must stand in the message, beside the host and where it was configured."""


TLS_FAULTS = [
    Fault("reset in the handshake", reset, APIConnectionError, 3, "(reset by peer|was closed)"),
    Fault("closed in the handshake", says(), APIConnectionError, 3, "Check the network"),
    Fault(
        "plain http on the port",
        says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        TLSError,
        1,
        "not secure: .*(?i:wrong.version.number|record layer)",
    ),
    Fault("silence", silent, APITimeoutError, 3, "connect timeout"),
]


@pytest.mark.parametrize("fault", TLS_FAULTS, ids=lambda fault: fault.name)
def test_a_handshake_that_fails(
    connect: Connect, fault: Fault, kind: Kind, request: pytest.FixtureRequest
) -> None:
    """Each fault of a handshake has its class and its attempts; nothing was sent, so that a start is not in doubt."""
    never = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
    limits = httpx.Timeout(5.0, connect=0.3)
    with Peer(fault.act) as peer:
        client = connect(
            base_url=f"https://127.0.0.1:{peer.port}", resilience=never, timeout=limits
        )
        for call in (client.flows.get, client.flows.start):
            before = peer.connections
            with pytest.raises(fault.error, match=rf"127\.0\.0\.1 .*{fault.words}") as caught:
                call("f")
            assert type(caught.value) is fault.error
            assert caught.value.attempts == fault.attempts
            assert peer.connections - before == fault.attempts
            assert "may have been started" not in str(caught.value)
            assert "base_url=…" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "other.example"}, "not valid for '127.0.0.1'"),
        ({"not_after": dt.datetime(2020, 1, 1)}, "certificate has expired"),
    ],
    ids=["wrong host", "expired"],
)
@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_does_not_fit(
    connect: Connect, authority: trustme.CA, options: dict[str, Any], words: str
) -> None:
    """A certificate for another host, or of another time, is a `TLSError` after one attempt; no request is read."""
    with FaultyServer(tls=context_of(authority, **options)) as server:
        client = connect(server, resilience=TWICE)
        for call in (client.flows.get, client.flows.start):
            with pytest.raises(TLSError, match=words) as caught:
                call("f")
            assert caught.value.attempts == 1
        assert server.connections == 2
        assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_valid_certificate(connect: Connect, authority: trustme.CA) -> None:
    """With the same authority, a certificate that is in order is accepted: what is refused is refused for its cause."""
    with FaultyServer(tls=context_of(authority)) as server:
        server.on("*", json_reply('{"id": "f"}'))
        assert connect(server, resilience=TWICE).flows.get("f").id == "f"


def test_plain_http_to_a_tls_port(connect: Connect, authority: trustme.CA) -> None:
    """A base URL with http for a port that speaks TLS is a connection error with the host, after all attempts."""
    with FaultyServer(tls=context_of(authority)) as server:
        client = connect(base_url=f"http://127.0.0.1:{server.port}", resilience=TWICE)
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1 \(base_url=…\)") as caught:
            client.flows.get("f")
        assert caught.value.attempts == server.connections == 3


def test_a_black_hole(connect: Connect) -> None:
    """Where nobody answers, connecting has its own short timeout, and is tried again with every setting."""
    never = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
    with black_hole() as port:
        client = connect(
            base_url=f"http://127.0.0.1:{port}",
            timeout=httpx.Timeout(2 * HANG, connect=0.2),
            resilience=never,
        )
        with (
            no_hang(),
            pytest.raises(APITimeoutError, match=r"127\.0\.0\.1 .*connect timeout") as caught,
        ):
            client.flows.start("f")
        assert caught.value.attempts == 3


def test_a_short_timeout_and_a_black_hole(
    connect: Connect, kind: Kind, request: pytest.FixtureRequest
) -> None:
    """A start that found no connection within `timeout` was not sent, and does not claim that it may have been."""
    never = Resilience(max_retries=1, backoff_initial=0.002, resend_ambiguous=False)
    with black_hole() as port:
        client = connect(base_url=f"http://127.0.0.1:{port}", timeout=0.2, resilience=never)
        with pytest.raises(APITimeoutError, match="connect timeout"):
            client.flows.start("f")


def test_no_place_within_a_short_timeout(
    connect: Connect, kind: Kind, server: FaultyServer, request: pytest.FixtureRequest
) -> None:
    """A start that found no free connection within `timeout` says how many there are; it was not sent."""
    server.on("/flows/slow", STALL)
    http = HTTPAuthenticatedClient(
        server.url, api_key="k", httpx_args={"limits": httpx.Limits(max_connections=1)}
    )
    client = connect(http_client=http, api_key=None, timeout=HANG, max_retries=0)
    never = Resilience(max_retries=0, resend_ambiguous=False)
    derived = client.with_options(timeout=0.2, resilience=never)
    with ThreadPoolExecutor(1) as pool:
        occupying = pool.submit(client.flows.get, "slow")
        assert server.arrived("/flows/slow")
        try:
            with pytest.raises(APITimeoutError, match="all 1 connections"):
                derived.flows.start("f")
        finally:
            server.drop()
            assert isinstance(occupying.exception(HANG), APIConnectionError)
            derived.close()


# Proxies.


def through(monkeypatch: pytest.MonkeyPatch, port: int, variable: str = "HTTPS_PROXY") -> None:
    monkeypatch.setenv(variable, f"http://user:canary@127.0.0.1:{port}")


def test_a_proxy_that_refuses(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there is a connection error that points to the proxy, without its password."""
    through(monkeypatch, unused_port())
    with pytest.raises(APIConnectionError, match=r"refused .*proxy") as caught:
        connect(base_url=AWAY, resilience=TWICE).flows.get("f")
    assert caught.value.attempts == 3
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "ProxyError: 407",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "ProxyError: 502"),
        (b"\x15\x03\x01 no http\r\n\r\n", "illegal status line"),
        (b"", "(?i)disconnected"),
    ],
    ids=["407", "502", "garbage", "nothing"],
)
def test_a_proxy_that_does_not_connect(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str
) -> None:
    """What a proxy says instead of connecting stands in the message, and its password does not."""
    with Peer(says(answer)) as peer:
        through(monkeypatch, peer.port)
        with pytest.raises(APIConnectionError, match=words) as caught:
            connect(base_url=AWAY, resilience=TWICE).flows.get("f")
        assert caught.value.attempts == peer.connections == 3
        for shown in (str(caught.value), repr(caught.value)):
            assert "canary" not in shown
            assert "api.dcipher.invalid" in shown


def tunnel_to(target: int) -> Callable[[socket.socket], None]:
    """A proxy that opens the tunnel, and passes on what comes."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", target)) as server:
            back = threading.Thread(target=pass_on, args=(server, connection), daemon=True)
            back.start()
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pass_on(connection, server)
            back.join(5)

    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()

    return act


def tls_proxy(authority: trustme.CA, target: int) -> Callable[[socket.socket], None]:
    """A proxy that speaks TLS itself, and opens the tunnel."""
    context = context_of(authority)

    def act(connection: socket.socket) -> None:
        threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        secure = context.wrap_socket(connection, server_side=True)
        secure.recv(65536)
        secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with secure, socket.create_connection(("127.0.0.1", target)) as server:
            while True:
                ready = [secure] if secure.pending() else select.select([secure, server], [], [])[0]
                for source in ready:
                    if not (data := source.recv(65536)):
                        return
                    (server if source is secure else secure).sendall(data)

    return act


@pytest.mark.usefixtures("trusted")
def test_tls_within_the_tls_of_a_proxy(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    """A proxy that speaks TLS itself carries the TLS of each request, on one connection for all of them."""
    context = context_of(authority, "api.dcipher.invalid")
    with FaultyServer(tls=context) as server, Peer(tls_proxy(authority, server.port)) as proxy:
        server.on("*", json_reply('{"id": "f"}'))
        monkeypatch.setenv("HTTPS_PROXY", f"https://user:canary@127.0.0.1:{proxy.port}")
        client = connect(base_url=AWAY, resilience=TWICE)
        for _ in range(3):
            assert client.flows.get("f").id == "f"
        client.close()
    assert proxy.connections == server.connections == 1


@pytest.mark.parametrize(
    ("act", "cls", "cause"),
    [
        (says(), APIConnectionError, "the proxy did not open a tunnel"),
        (reset, APIConnectionError, "reset|was closed"),
        (says(b"garbage\r\n\r\n"), APIConnectionError, "the proxy did not open a tunnel"),
        (says(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1"), APIConnectionError, "data after its response"),
        (silent, APITimeoutError, "the proxy did not open a tunnel in time|connecting took longer"),
        (drips, APITimeoutError, "the proxy did not open a tunnel in time|connecting took longer"),
    ],
)
def test_a_proxy_that_rejects_the_tunnel(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[socket.socket], None],
    cls: type[Exception],
    cause: str,
) -> None:
    """Nothing was sent: a start is sent again, even where it may be sent once only, and is not in doubt."""
    once = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
    with Peer(act) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(cls, match=cause) as caught:
            connect(base_url=AWAY, resilience=once, timeout=0.4).flows.start("f")
    assert type(caught.value) is cls
    assert proxy.connections == 3
    assert "may have been started" not in str(caught.value)


def test_a_start_that_is_lost_in_a_tunnel(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    """What is lost behind an open tunnel may have been done; the next start goes through, too."""
    once = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
    context = context_of(authority, "api.dcipher.invalid")
    with FaultyServer(tls=context) as server, Peer(tunnel_to(server.port)) as proxy:
        server.on("*", NOTHING, json_reply('{"taskId": "t"}'), STALL)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        client = connect(
            http_client=HTTPAuthenticatedClient(AWAY, api_key="k", verify_ssl=trusting(authority)),
            api_key=None,
            resilience=once,
            timeout=1.0,
        )
        with pytest.raises(SubmissionUnknownError):
            client.flows.start("f")
        assert client.flows.start("f").task_id == "t"
        with pytest.raises(SubmissionUnknownError):
            client.flows.start("f")
    assert len(server.requests) == 3


def wants_a_certificate(authority: trustme.CA) -> Callable[[socket.socket], None]:
    """A TLS 1.3 server: it refuses after the client's handshake, and reads to the end."""
    context = context_of(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    def act(connection: socket.socket) -> None:
        secure = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with pytest.raises(ssl.SSLError):
            secure.do_handshake()
        # What is closed unread is a reset, and that would overtake the alert.
        with socket.socket(fileno=secure.detach()) as plain:
            plain.settimeout(5)
            while plain.recv(65536):
                pass

    return act


def test_a_server_that_wants_a_certificate(connect: Connect, authority: trustme.CA) -> None:
    """It is said so, at once: nothing was read, and the network is not to blame."""
    once = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)
    for call in ("get", "start"):
        with Peer(wants_a_certificate(authority)) as peer:
            client = connect(
                http_client=HTTPAuthenticatedClient(
                    f"https://127.0.0.1:{peer.port}", api_key="k", verify_ssl=trusting(authority)
                ),
                api_key=None,
                resilience=once,
            )
            with pytest.raises(TLSError, match="requires another client certificate") as caught:
                getattr(client.flows, call)("f")
            client.close()
        assert peer.connections == 1
        assert caught.value.attempts == 1
        assert "network" not in str(caught.value)


def test_a_store_that_wants_a_certificate(
    connect: Connect, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same for a store."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with Peer(wants_a_certificate(authority)) as peer:
        output = Output(url=SecretURL(f"https://127.0.0.1:{peer.port}/r?sig=1"))
        run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(output,))
        with pytest.raises(ResultError, match="the store requires another client certificate"):
            connect(base_url=AWAY, resilience=TWICE).runs.read(run)
        assert peer.connections == 1


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_plain_http_through_a_proxy(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """What a proxy answers for the API is an answer, with its status; each variable is obeyed."""
    server.on("*", Reply(b"<html>bad gateway</html>", 502))
    through(monkeypatch, server.port, variable)
    client = connect(base_url="http://api.dcipher.invalid", allow_insecure=True, resilience=TWICE)
    with pytest.raises(InternalServerError, match="502"):
        client.flows.get("f")
    assert [request.target for request in server.requests] == [
        "http://api.dcipher.invalid/flows/f"
    ] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    ("variable", "base_url"),
    [("HTTP_PROXY", "http://api.invalid"), ("HTTPS_PROXY", AWAY), ("ALL_PROXY", AWAY)],
)
@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "nonsense://x",
        "http://user:canary@[::1",
        "http://user:canary@h:99999",
        "http://user:canary@h:-1",
        "http://user:canary@xn--localhost",
        "http://h:x",
    ],
)
def test_a_broken_proxy_variable(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str, base_url: str, value: str
) -> None:
    """A proxy variable that cannot be used is a `ConfigurationError` that names it, and nothing of its password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        connect(base_url=base_url, allow_insecure=True, resilience=TWICE)
    assert "canary" not in str(caught.value)


HERE = ["127.0.0.1", "127.0.0.2", "localhost", "api.localhost", "LOCALHOST", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", HERE)
def test_this_machine_by_any_name_has_no_proxy(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The key does not go to a proxy in the clear, whatever this machine is called, and for results neither."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with Peer(says(b"HTTP/1.1 200 OK\r\n\r\n")) as proxy, FaultyServer() as server:
        for variable in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        server.on("*", json_reply('{"id": "f"}'))
        url = f"http://{host}:{server.port}"
        client = connect(base_url=url, resilience=TWICE, timeout=5.0)
        # The server listens on 127.0.0.1 alone; what matters is whom the request went to.
        with suppress(APIConnectionError):
            assert client.flows.get("f").id == "f"
            run = Run(flow_id="f", task_id="t", status="SUCCEEDED")
            output = Output(url=SecretURL(f"{url}/r?sig=1"))
            assert client.runs.read(run.model_copy(update={"outputs": (output,)})) == {"id": "f"}
        assert proxy.connections == 0
        client.close()


@pytest.mark.parametrize("no_proxy", ["192.0.2.0/24", "x, .invalid", "192.0.2.1:9", "*"])
def test_no_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    """What NO_PROXY lists goes directly, blocks of addresses, too; everything else by the proxy."""
    host = "api.invalid" if "invalid" in no_proxy else "192.0.2.1"
    with Peer(says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        for exempt in (False, True):
            if exempt:
                monkeypatch.setenv("NO_PROXY", no_proxy)
            before = proxy.connections
            client = connect(
                base_url=f"http://{host}:9",
                allow_insecure=True,
                max_retries=0,
                timeout=httpx.Timeout(5.0, connect=0.2),
            )
            with pytest.raises((APIConnectionError, InternalServerError)):
                client.flows.get("f")
            assert (proxy.connections == before) is exempt
            client.close()


@pytest.mark.parametrize("scheme", ["socks", "SOCKS", "socks5", "socks5h"])
def test_socks_is_socks5(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """`socks://`, as desktops write it, is SOCKS 5; by httpx, names are resolved by the proxy in any case."""
    monkeypatch.setenv("all_proxy", f"{scheme}://user:pass@proxy:1080")
    named = environment_proxies().of(Origin("https", "api.invalid", None))
    assert named == ("socks5://user:pass@proxy:1080", "all_proxy")


@pytest.mark.parametrize("cls", [RoutedTransport, AsyncRoutedTransport])
def test_a_transport_for_each_proxy(cls: Any, portal: BlockingPortal) -> None:
    """Where one transport carries many requests, there is one for each proxy, made once, and all are closed."""
    made: list[str | None] = []
    closed: list[str | None] = []

    class Noting(httpx.MockTransport):
        def __init__(self, proxy: str | None) -> None:
            made.append(proxy)
            self._proxy = proxy
            super().__init__(lambda _: httpx.Response(200, text=proxy or "direct"))

        def close(self) -> None:
            closed.append(self._proxy)

        async def aclose(self) -> None:
            closed.append(self._proxy)

    routed = cls(lambda origin: "proxy" if origin.host == "b" else None, Noting)

    async def said() -> list[str]:
        async with httpx.AsyncClient(transport=routed) as client:
            return [(await client.get(f"https://{host}/")).text for host in "aba"]

    if cls is AsyncRoutedTransport:
        answers = portal.call(said)
    else:
        with httpx.Client(transport=routed) as client:
            answers = [client.get(f"https://{host}/").text for host in "aba"]
    assert answers == ["direct", "proxy", "direct"]
    assert made == closed == [None, "proxy"]


def test_names_below_localhost_are_not_looked_up(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6761 section 6.3: no resolver says where such a name leads, so none can lie."""
    server.on("*", json_reply('{"id": "f"}'))
    asked: list[object] = []
    known = socket.getaddrinfo

    def note(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return known(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", note)
    client = connect(base_url=f"http://api.localhost:{server.port}")
    assert client.flows.get("f").id == "f"
    assert server.requests[0].headers["host"] == f"api.localhost:{server.port}"
    assert {host if isinstance(host, str) else host.decode() for host in asked} <= {"localhost"}
    client.close()


# Certificates of the machine.


BROKEN = [
    ("SSL_CERT_FILE", "missing"),
    ("SSL_CERT_FILE", "folder"),
    ("SSL_CERT_FILE", "garbage"),
    ("SSL_CERT_FILE", "empty"),
    ("SSL_CERT_DIR", "missing"),
    ("SSL_CERT_DIR", "garbage"),
    ("SSL_CERT_DIR", "missing:garbage"),
]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a file is missing, garbage, empty, or a folder; the machine's own variables are not set."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    (tmp_path / "garbage").write_text("no certificate")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("variable", "what"), BROKEN, ids=str)
def test_a_broken_certificate_variable(
    connect: Connect, places: Path, monkeypatch: pytest.MonkeyPatch, variable: str, what: str
) -> None:
    """A certificate variable that leads to no certificates is a `ConfigurationError` that names it, and no request."""
    value = ":".join(str(places / name) for name in what.split(":"))
    monkeypatch.setenv(variable, value)
    with Peer(says()) as peer:
        client = connect(base_url=f"https://127.0.0.1:{peer.port}", resilience=TWICE)
        with pytest.raises(ConfigurationError, match=f"{variable}={value}"):
            client.flows.get("f")
        assert peer.connections == 0


def test_a_list_of_certificate_folders(
    connect: Connect, places: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_DIR may be a list, as OpenSSL reads it, of which not all need be there."""
    monkeypatch.setenv("SSL_CERT_DIR", f"{places / 'missing'}:{places / 'folder'}")
    with FaultyServer(tls=context_of(authority)) as server:
        # The folder is empty: the list was taken, and nobody vouches for the certificate.
        with pytest.raises(TLSError):
            connect(server, resilience=TWICE).flows.get("f")
        assert server.connections == 1


@pytest.mark.usefixtures("trusted")
def test_the_file_comes_before_the_folder(
    connect: Connect, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SSL_CERT_FILE is set, SSL_CERT_DIR is not looked at, as in httpx."""
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    with FaultyServer(tls=context_of(authority)) as server:
        server.on("*", json_reply('{"id": "f"}'))
        assert connect(server, resilience=TWICE).flows.get("f").id == "f"


@pytest.mark.parametrize("what", ["missing", "garbage"])
def test_a_broken_client_certificate(connect: Connect, places: Path, what: str) -> None:
    """A client certificate that cannot be loaded is a `ConfigurationError`, not a network that failed three times."""
    with Peer(says()) as peer:
        http = HTTPAuthenticatedClient(
            f"https://127.0.0.1:{peer.port}", api_key="k", httpx_args={"cert": str(places / what)}
        )
        with pytest.raises(ConfigurationError, match=f"cert={places / what}"):
            connect(http_client=http, api_key=None, resilience=TWICE).flows.get("f")
        assert peer.connections == 0
