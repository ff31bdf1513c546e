"""Failed connections: retried, and reported with host, source of the URL and cause."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from dcipher import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    Dcipher,
    DcipherError,
    Resilience,
)
from dcipher.http import HTTPClient
from tests.faulty import FaultyServer, json_reply
from tests.results.downloads.stores import run_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Connect

KEY = "emu_canary-key-0123456789"
TWICE = Resilience(max_retries=2, backoff_initial=0.002, resend_ambiguous=False)


@contextmanager
def refusing() -> Iterator[str]:
    """A closed port that nobody else can open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """A port whose queue of connections is full: Linux drops further ones."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@contextmanager
def nameless() -> Iterator[str]:
    yield "https://dcipher.invalid"


@pytest.mark.parametrize(
    ("place", "error", "cause"),
    [
        pytest.param(refusing, APIConnectionError, "refused", id="refused"),
        pytest.param(silent, APITimeoutError, "connecting took longer", id="black hole"),
        pytest.param(nameless, APIConnectionError, "ConnectError: .*Errno", id="DNS"),
    ],
)
def test_a_failed_connection(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    error: type[DcipherError],
    cause: str,
) -> None:
    """Nothing was sent: a start is retried, too, and the error has host, variable and cause."""
    with place() as url:
        monkeypatch.setenv("DCIPHER_BASE_URL", url)
        host = httpx.URL(url).host.replace(".", r"\.")
        told = rf"{host} \(DCIPHER_BASE_URL, environment\).*{cause}"
        client = connect(resilience=TWICE, timeout=httpx.Timeout(5.0, connect=0.15))
        attempts = 2 if place is refusing else 3  # on this machine, nobody listens
        for call in (client.flows.get, client.flows.start):
            with pytest.raises(error, match=told) as caught:
                call("f")
            assert (type(caught.value), caught.value.attempts) == (error, attempts)


def test_a_base_url_of_a_file(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The error says that the base URL is from the `.env`."""
    monkeypatch.chdir(tmp_path)
    with refusing() as url:
        lines = f"DCIPHER_BASE_URL={url}\nDCIPHER_API_KEY={KEY}\n"
        (tmp_path / ".env").write_text(lines, encoding="utf-8")
        with pytest.raises(APIConnectionError, match=r"DCIPHER_BASE_URL, \.env"):
            connect(api_key=None, max_retries=0).flows.get("f")


@pytest.mark.parametrize(
    ("argument", "variable", "connecting", "reading"),
    [(None, "", 10.0, 60.0), (45.0, "", 10.0, 45.0), (3.0, "", 3.0, 3.0), (None, "90", 10.0, 90.0)],
)
def test_connecting_has_its_own_timeout(
    kind: str,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    argument: float | None,
    variable: str,
    connecting: float,
    reading: float,
) -> None:
    """With any timeout for the response, connecting takes at most ten seconds."""
    seen: list[dict[str, float]] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json={"id": "f"})

    async def async_reply(request: httpx.Request) -> httpx.Response:
        return reply(request)

    handler: Any = reply if kind == "sync" else async_reply
    monkeypatch.setenv("DCIPHER_TIMEOUT", variable)
    connect(timeout=argument, transport=httpx.MockTransport(handler)).flows.get("f")
    assert [(one["connect"], one["read"]) for one in seen] == [(connecting, reading)]


@pytest.mark.parametrize(("timeout", "connecting"), [(None, 10.0), (45.0, 10.0), (3.0, 3.0)])
def test_an_http_client_has_it_too(timeout: float | None, connecting: float) -> None:
    """A client of `dcipher.http` connects within ten seconds, or not at all."""
    with HTTPClient("https://api.example.com", timeout=timeout) as client:
        limits = client.get_or_create_httpx_client().timeout
    assert (limits.connect, limits.read) == (connecting, timeout or 60.0)


@pytest.fixture
def untrusted() -> Iterator[FaultyServer]:
    """A server with an untrusted certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FaultyServer(tls=context) as server:
        yield server


def test_the_certificate_of_a_store(connect: Connect, untrusted: FaultyServer) -> None:
    """A store with an invalid certificate is requested once: the next handshake would fail, too."""
    with pytest.raises(DcipherError, match=r"(?i)certificate"):
        connect(untrusted).runs.read(run_at(f"{untrusted.url}/result?Signature=canary-signature"))
    assert untrusted.connections == 1


def test_the_certificate_of_an_api_of_httpx(untrusted: FaultyServer) -> None:
    """An httpx client that retries does not do so for an invalid certificate."""
    certificate = pytest.raises(httpx.ConnectError, match=r"(?i)certificate")
    with HTTPClient(untrusted.url, resilience=TWICE) as client, certificate:
        client.get_or_create_httpx_client().get("/x")
    assert untrusted.connections == 1


@pytest.mark.parametrize(
    ("variable", "value", "scheme"),
    [
        ("HTTP_PROXY", "ftp://proxy", "http"),
        ("HTTPS_PROXY", "http://", "https"),
        ("https_proxy", "http://proxy:99999", "https"),
        ("ALL_PROXY", "http://[::1", "http"),
        ("ALL_PROXY", "socks4://proxy", "https"),
        ("HTTPS_PROXY", "http://proxy:port", "https"),
        ("NO_PROXY", "u:p@h:9", "http"),
        ("no_proxy", "a.example,http://u:p@h:9", "http"),
    ],
)
def test_a_proxy_variable_that_is_broken(
    construct: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    scheme: str,
) -> None:
    """One that the base URL depends on and that cannot be used is a `ConfigurationError` at construction."""
    if variable.upper() == "NO_PROXY":
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"(?i){variable}"):
        construct(KEY, base_url=f"{scheme}://api.invalid", allow_insecure=True)


@pytest.mark.parametrize(
    ("variables", "base_url"),
    [
        ({"HTTP_PROXY": "ftp://proxy"}, "https://api.invalid"),
        ({"HTTPS_PROXY": "ftp://proxy"}, "http://api.invalid"),
        ({"ALL_PROXY": "socks4://h", "https_proxy": "http://h"}, "https://api.invalid"),
        ({"ALL_PROXY": "garbage://h", "NO_PROXY": "api.invalid"}, "https://api.invalid"),
        ({"ALL_PROXY": "garbage://h", "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3"),
        ({"ALL_PROXY": "garbage://h", "NO_PROXY": "*"}, "https://api.invalid"),
        ({"ALL_PROXY": "garbage://h"}, "http://127.0.0.2:9"),
        ({"HTTP_PROXY": "", "http_proxy": " "}, "http://api.invalid"),
        ({"HTTP_PROXY": "garbage://h", "http_proxy": "http://h"}, "http://api.invalid"),
        ({"NO_PROXY": "u:p@h:9"}, "https://api.invalid"),
        ({"ALL_PROXY": "http://h", "NO_PROXY": "/var/run/docker.sock"}, "https://api.invalid"),
    ],
)
def test_an_unused_proxy_variable(
    construct: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    base_url: str,
) -> None:
    """An invalid proxy that no request to the base URL uses is not reported."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    construct(KEY, base_url=base_url, allow_insecure=True).close()


@pytest.mark.parametrize("given", ["http_client", "transport"])
def test_an_invalid_proxy_and_transports_of_the_user(
    construct: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, given: str, kind: str
) -> None:
    """If requests use a transport of the user, proxies of the environment are ignored."""
    own = httpx.MockTransport(lambda _: httpx.Response(500))
    cls: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    monkeypatch.setenv("ALL_PROXY", "garbage://h")
    construct(KEY, **{given: own if given == "transport" else cls(transport=own)}).close()


def test_a_result_with_an_invalid_proxy(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, server: FaultyServer
) -> None:
    """A store with another proxy than the API is rejected when it is needed. Nothing is sent."""
    server.on("*", json_reply('{"id": "f"}'))
    monkeypatch.setenv("HTTPS_PROXY", "garbage://user:canary-password@h")
    client = connect(server)
    assert client.flows.get("f").id == "f"
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        client.runs.read(run_at("https://store.invalid/result?Signature=canary-signature"))
    assert "canary" not in str(caught.value)


def test_a_proxy_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for an invalid proxy does not repeat its password."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:canary-password@proxy")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        Dcipher(KEY)
    assert "canary" not in str(caught.value)
