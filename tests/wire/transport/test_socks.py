"""A SOCKS proxy of the environment: which requests it receives, and what it can read."""

from __future__ import annotations

import gc
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import httpx
import pytest
import trustme

from dcipher import (
    APIConnectionError,
    ConfigurationError,
    Output,
    Resilience,
    ResultError,
    Run,
)
from dcipher.models import SecretURL
from tests.conftest import KEY
from tests.faulty import FaultyServer, json_reply
from tests.fuzz.leaks import Search
from tests.peers import SocksProxy
from tests.wire.transport.test_connecting import Peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect, Kind

pytest.importorskip("socksio", reason="httpx speaks SOCKS with it alone: `pip install socksio`")

SIGNATURE, PASSWORD = "canary-signature-0123", "canary@proxy%/password"
HOST = "api.dcipher.invalid"
"""A host that does not exist: only who asks the proxy for its name gets anywhere."""
STORED = Output(url=SecretURL(f"https://{HOST}/result?Signature={SIGNATURE}"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """An API and its store by TLS, at the name of the host."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with FaultyServer(tls=context) as running:
        play(running, f"https://{HOST}")
        yield running


def play(server: FaultyServer, url: str) -> None:
    started = f'{{"taskId": "t", "signedResponseURL": "{url}/result?Signature={SIGNATURE}"}}'
    server.on("/flows/f/run", json_reply(started))
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", json_reply('[{"n": 1}]'))


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "SOCKS5"])
def test_a_run_by_socks(
    connect: Connect,
    store: FaultyServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheme: str,
) -> None:
    """API and store are reached by the proxy, which looks names up, knows its password, and reads no secret."""
    search = Search(key=KEY, signature=SIGNATURE, password=PASSWORD)
    with SocksProxy(store.port) as proxy, search.of_all_logs():
        credentials = f"user:{quote(PASSWORD, safe='')}"
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{credentials}@127.0.0.1:{proxy.port}")
        client = connect(base_url=f"https://{HOST}")
        client.flows.run("f", save_path=tmp_path / "out.json")
        client.close()
    assert (tmp_path / "out.json").read_text() == '[{"n": 1}]'
    assert set(proxy.asked) == {(HOST, 443, "name", "user", PASSWORD)}
    assert proxy.carried
    search.text("what the proxy carried", proxy.carried.decode("latin-1"))
    assert search.found() == []
    assert [request.path for request in store.requests] == [
        "/flows/f/run",
        "/flows/f/status",
        "/result",
    ]
    assert "authorization" not in store.requests[-1].headers


def test_plain_http_by_socks(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy could read it: it is refused where it is not allowed, and nothing is asked for."""
    play(server, f"http://{HOST}")
    with SocksProxy(server.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        with pytest.raises(ConfigurationError, match="not https"):
            connect(base_url=f"http://{HOST}")
        assert proxy.asked == []
        client = connect(base_url=f"http://{HOST}", allow_insecure=True)
        assert client.runs.read(client.flows.run("f")) == [{"n": 1}]
        client.close()
    assert set(proxy.asked) == {(HOST, 80, "name", "", "")}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "api.localhost"])
def test_this_machine_is_not_asked_of_a_socks_proxy(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Requests to this machine, API and store alike, go directly."""
    play(server, f"http://{host}:{server.port}")
    with SocksProxy(server.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        client = connect(base_url=f"http://{host}:{server.port}")
        assert client.runs.read(client.flows.run("f")) == [{"n": 1}]
        client.close()
    assert proxy.connections == 0


def test_a_socks_proxy_is_left_out_by_no_proxy(
    connect: Connect, store: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY is obeyed: nothing is asked of the proxy, and the name is looked up here."""
    with SocksProxy(store.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", ".dcipher.invalid")
        once = Resilience(max_retries=0)
        with pytest.raises(APIConnectionError):
            connect(base_url=f"https://{HOST}", resilience=once).flows.get("f")
    assert proxy.connections == 0


def _replies(*data: bytes) -> Callable[[socket.socket], None]:
    def act(connection: socket.socket) -> None:
        for piece in data:
            connection.recv(65536)
            connection.sendall(piece)

    return act


@pytest.mark.parametrize(
    ("user", "replies", "words"),
    [
        ("", [b"\x05\x02"], "NO_AUTH_REQUIRED was requested"),
        ("u:canary@", [b"\x05\x02", b"\x01\x01"], "rejected the user name and the password"),
        ("", [b"\x05\x00", b"\x05\x05\x00\x01" + bytes(6)], "connect: connection refused"),
    ],
)
def test_a_socks_proxy_that_refuses(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, user: str, replies: list[bytes], words: str
) -> None:
    """The error says what the proxy refused, without its password."""
    once = Resilience(max_retries=0)
    with Peer(_replies(*replies)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://{user}127.0.0.1:{proxy.port}")
        with pytest.raises(APIConnectionError, match=words) as caught:
            connect(base_url=f"https://{HOST}", resilience=once).flows.get("f")
    assert "canary" not in str(caught.value)


@pytest.fixture
def collected(portal: BlockingPortal, given: str) -> Iterator[None]:
    """What a test leaves is collected within it, and not in the middle of another one."""
    yield
    if given == "client":
        portal.call(anyio.sleep, 0)  # The thread of the event loop may still be in the last call.
        for _ in range(3):
            gc.collect()


# With an httpx client of the user's, httpcore forgets the socket of a SOCKS handshake that fails (observed
# with 1.0.9): it ends with its last reference.
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("given", "scheme"), [("environment", "https"), ("environment", "http"), ("client", "https")]
)
@pytest.mark.parametrize("says", [b"", b"\x05", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\xff"])
def test_what_is_no_socks(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    portal: BlockingPortal,
    says: bytes,
    given: str,
    scheme: str,
) -> None:
    """A proxy that answers otherwise opens no tunnel: nothing was sent, and a start is sent again, and said."""
    twice = Resilience(max_retries=1, backoff_initial=0.002, resend_ambiguous=False)
    with SocksProxy(9, says) as proxy:
        url = f"socks5://127.0.0.1:{proxy.port}"
        own: Any = None
        if given == "client":
            own = httpx.Client(proxy=url) if kind == "sync" else httpx.AsyncClient(proxy=url)
        else:
            monkeypatch.setenv("ALL_PROXY", url)
        client = connect(
            base_url=f"{scheme}://{HOST}", resilience=twice, http_client=own, allow_insecure=True
        )
        with pytest.raises(APIConnectionError, match="ProxyError") as caught:
            client.flows.start("f")
        assert type(caught.value) is APIConnectionError
        assert (caught.value.attempts, proxy.connections) == (2, 2)
        assert ".." not in str(caught.value)
        run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(STORED,))
        with pytest.raises(ResultError, match="ProxyError"):
            client.runs.read(run)
        if own is not None:
            client.close()
            own.close() if kind == "sync" else portal.call(own.aclose)
