"""The construction of clients: arguments, environment, `.env`, an httpx client of the user; and closing."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import (
    APIStatusError,
    AsyncDcipher,
    ConfigurationError,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    MissingAPIKeyError,
    Resilience,
    Run,
    Settings,
    UnexpectedStatus,
)
from dcipher.signing import verify_request
from tests.conftest import KEY, QUICK
from tests.faulty import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

    Construct = Callable[..., Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own working directory, for its `.env`."""
    monkeypatch.chdir(tmp_path)


def sent_key(server: FaultyServer) -> str:
    return server.requests[-1].headers["authorization"]


def test_without_a_key(construct: Construct) -> None:
    """A missing key is a `MissingAPIKeyError` with the variable, at once."""
    with pytest.raises(MissingAPIKeyError, match="DCIPHER_API_KEY") as caught:
        construct()
    assert isinstance(caught.value, (ConfigurationError, ValueError))


@pytest.mark.parametrize("key", ["", "  ", "\n"])
def test_a_blank_key_is_missing(
    construct: Construct, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A blank key counts as missing, as an argument and in the environment."""
    with pytest.raises(MissingAPIKeyError):
        construct(key)
    monkeypatch.setenv("DCIPHER_API_KEY", key)
    with pytest.raises(MissingAPIKeyError):
        construct()


def test_the_key_is_sent(connect: Connect, api: FaultyServer) -> None:
    """The key is sent as `Authorization: Api-Key <key>`, and JSON is requested."""
    connect(api).flows.get("f")
    assert sent_key(api) == f"Api-Key {KEY}"
    headers = api.requests[0].headers
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("dcipher/")


def test_argument_environment_file(
    connect: Connect, api: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument beats the environment, that beats `.env`."""
    (tmp_path / ".env").write_text(f"DCIPHER_API_KEY=file\nDCIPHER_BASE_URL={api.url}\nOTHER=1\n")
    connect(api_key=None).flows.get("f")
    assert sent_key(api) == "Api-Key file"
    monkeypatch.setenv("DCIPHER_BASE_URL", api.url)
    monkeypatch.setenv("DCIPHER_API_KEY", "environment")
    connect(api_key=None).flows.get("f")
    assert sent_key(api) == "Api-Key environment"
    connect(api_key="argument").flows.get("f")
    assert sent_key(api) == "Api-Key argument"


def test_a_base_url_of_a_file_gets_no_foreign_key(
    construct: Construct,
    connect: Connect,
    api: FaultyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A base URL of a `.env` receives only a key of the same file."""
    (tmp_path / ".env").write_text(f"DCIPHER_BASE_URL={api.url}\n")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        construct("argument")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        construct(settings=Settings(api_key="argument"))
    monkeypatch.setenv("DCIPHER_API_KEY", "environment")
    with pytest.raises(ConfigurationError, match=r"\.env"):
        construct()
    connect(api, api_key="argument").flows.get("f")
    assert sent_key(api) == "Api-Key argument"


def test_settings_take_the_place_of_the_environment(
    connect: Connect, api: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `settings=` the environment is not read; an argument still beats it."""
    settings = Settings(api_key="settings", base_url=api.url)
    monkeypatch.setenv("DCIPHER_API_KEY", "environment")
    connect(api_key=None, settings=settings).flows.get("f")
    assert sent_key(api) == "Api-Key settings"
    connect(api_key="argument", settings=settings).flows.get("f")
    assert sent_key(api) == "Api-Key argument"


@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "http://example.com"},
        {"base_url": "HTTP://example.com"},
        {"base_url": "http://127.0.0.1.example.com"},
        {"base_url": "http://10.0.0.1"},
        {"base_url": "ftp://example.com"},
        {"base_url": "example.com"},
        {"base_url": "https://user:canary@example.com"},
        {"base_url": "https://example.com?x=canary"},
        {"base_url": "https://example.com#x"},
        {"base_url": "https://"},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": "soon"},
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"api_key": "a b"},
        {"api_key": "clé-canary"},
        {"api_key": "canary\x00"},
        {"headers": {"Authorization": "canary"}},
        {"headers": {"HOST": "canary"}},
        {"headers": {"Signature": "canary"}},
        {"headers": {"Idempotency-Key": "canary"}},
        {"headers": {"X": "a\r\nY: canary"}},
        {"headers": {"X\n": "canary"}},
        {"headers": {"": "canary"}},
        {"headers": {"X": 1}},
        {"http_client": object()},
        {"transport": object()},
        {"allow_insecure": "false"},
        {"allow_insecure": 1, "base_url": "http://192.0.2.1"},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_invalid_settings(construct: Construct, arguments: dict[str, Any]) -> None:
    """An invalid argument is a `ConfigurationError` at once, and no secret is repeated."""
    with pytest.raises(ConfigurationError) as caught:
        construct(**{"api_key": "k", **arguments})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("value", ["é", "\x01", "\x7f", "a\u2028b"])
def test_header_values_that_http_cannot_carry(
    connect: Connect, api: FaultyServer, value: str
) -> None:
    """A header's value that cannot be sent is a `ConfigurationError`, not a surprise at the first call."""
    with pytest.raises(ConfigurationError):
        connect(api, headers={"X": value}).flows.get("f")


@pytest.mark.parametrize("name", ["user-agent", "ACCEPT", "content-type", "accept-encoding"])
def test_a_header_of_the_user_is_sent_once(connect: Connect, api: FaultyServer, name: str) -> None:
    """A header that the client has, too, is sent once, with a name in any case."""
    client = connect(api, headers={"X-A": "1"}).with_options(headers={"x-a": "2", name: "mine"})
    client.flows.start("f")
    pairs = [header.lower() for header, _ in api.requests[0].pairs]
    assert pairs.count(name.lower()) == 1
    assert pairs.count("x-a") == 1
    assert api.requests[0].headers["x-a"] == "2"
    client.close()


def test_plain_http_may_be_allowed(connect: Connect) -> None:
    """`allow_insecure=True` permits plain http to another machine."""
    connect(base_url="http://192.0.2.1", allow_insecure=True)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "x.localhost", "[::ffff:127.0.0.1]"]
)
def test_this_machine_may_be_reached_by_plain_http(connect: Connect, host: str) -> None:
    """Loopback needs no https."""
    connect(base_url=f"http://{host}:9")


def test_a_client_of_the_users(
    kind: str, connect: Connect, api: FaultyServer, portal: BlockingPortal
) -> None:
    """An httpx client of the user's carries the requests, its headers too; it is not closed, its auth not used."""
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append(request.url.path)

    async def anote(request: httpx.Request) -> None:
        note(request)

    cls: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    own = cls(
        headers={"X-Tenant": "t-1"},
        auth=("user", "pass"),
        event_hooks={"request": [note if kind == "sync" else anote]},
    )
    client = connect(api, http_client=own)
    client.flows.get("f")
    assert seen == ["/flows/f"]
    assert sent_key(api) == f"Api-Key {KEY}"
    assert api.requests[0].headers["x-tenant"] == "t-1"
    run = client.runs.refresh(client.flows.start("f"))
    assert client.runs.read(run) == {"text": 1}
    stored = api.seen("/result")[0].headers
    assert "x-tenant" not in stored
    assert "authorization" not in stored
    client.close()
    assert not own.is_closed
    with pytest.raises(DcipherError, match="closed"):
        client.flows.get("f")
    _ = own.close() if kind == "sync" else portal.call(own.aclose)


@pytest.mark.parametrize("subclass", [False, True])
def test_a_client_of_the_user_stores_no_cookies(
    kind: str, connect: Connect, api: FaultyServer, portal: BlockingPortal, subclass: bool
) -> None:
    """Neither those of a response, of a redirect, of an error, nor of a store. Its own requests do."""
    cls: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    if subclass:
        cls = type("Own", (cls,), {"tenant": "t"})
    own = cls(cookies={"mine": "1"})
    setting = {"Set-Cookie": "theirs=canary; Path=/", "Content-Type": "application/json"}
    responses = (
        Reply(b'{"id": "f"}', headers=setting),
        Reply(b"{}", 302, {**setting, "Location": f"{api.url}/elsewhere"}),
        Reply(b"{}", 500, setting),
    )
    api.on("/result", Reply(b'{"text": 1}', headers=setting))
    client = connect(api, http_client=own, max_retries=0, resilience=None)
    for response in responses:
        api.on("/flows/f", response)
        with suppress(DcipherError):
            client.flows.get("f")
    run = client.runs.refresh(client.flows.start("f"))
    assert client.runs.read(run) == {"text": 1}
    assert dict(own.cookies) == {"mine": "1"}
    assert all("cookie" not in request.headers for request in api.requests)
    # The client itself is as it was.
    _ = (
        own.get(f"{api.url}/result")
        if kind == "sync"
        else portal.call(own.get, f"{api.url}/result")
    )
    assert dict(own.cookies) == {"mine": "1", "theirs": "canary"}
    _ = own.close() if kind == "sync" else portal.call(own.aclose)


def test_a_closed_client_of_the_user(kind: str, connect: Connect, api: FaultyServer) -> None:
    """A call through a client that its owner has closed is a `DcipherError` that says so."""
    cls: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    own = cls()
    client = connect(api, http_client=own)
    if kind == "sync":
        own.close()
    else:
        import anyio

        anyio.run(own.aclose)
    with pytest.raises(DcipherError, match="closed"):
        client.flows.get("f")


def test_the_timeout_of_a_client_of_the_user(
    kind: str, connect: Connect, api: FaultyServer
) -> None:
    """Without `timeout`, that of the httpx client is used."""
    from tests.faulty import STALL

    cls: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    api.on("/flows/f", STALL)
    for http in (
        cls(timeout=0.2),
        HTTPAuthenticatedClient(api.url, api_key="k", timeout=0.2),
    ):
        key = (
            {"api_key": None, "base_url": None} if isinstance(http, HTTPAuthenticatedClient) else {}
        )
        client = connect(
            **{
                "base_url": api.url,
                "http_client": http,
                "timeout": None,
                "resilience": None,
                "max_retries": 0,
                **key,
            }
        )
        with pytest.raises(TimeoutError):
            client.flows.get("f")


def test_an_authenticated_http_client(connect: Connect, api: FaultyServer) -> None:
    """An `HTTPAuthenticatedClient` brings base URL, key and header, and its check of statuses."""
    http = HTTPAuthenticatedClient(
        api.url, api_key="own", auth_header_name="X-Key", raise_on_unexpected_status=True
    )
    client = connect(http_client=http, api_key=None, resilience=QUICK)
    client.flows.get("f")
    assert api.requests[0].headers["x-key"] == "own"
    assert "authorization" not in api.requests[0].headers
    api.on("/flows/f", json_reply("{}", 418))
    with pytest.raises(UnexpectedStatus):
        client.flows.get("f")
    for arguments in ({"api_key": "k"}, {"base_url": api.url}, {"api_secret": "s"}):
        with pytest.raises(ConfigurationError, match="has its own"):
            connect(**{"http_client": http, "api_key": None, **arguments})


def test_retries_do_not_multiply(connect: Connect, api: FaultyServer) -> None:
    """An `HTTPAuthenticatedClient` that retries by itself does not make the client's retries more."""
    policy = Resilience(max_retries=2, backoff_initial=0.01)
    http = HTTPAuthenticatedClient(api.url, api_key="own", resilience=policy)
    api.on("/flows/f", json_reply("{}", 500))
    with pytest.raises(DcipherError):
        connect(http_client=http, api_key=None, resilience=policy).flows.get("f")
    assert len(api.requests) == 3


def test_a_transport_of_the_user(kind: str, connect: Connect) -> None:
    """`transport=` replaces the network."""
    seen: list[str] = []

    def response(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"id": "f"})

    client = connect(base_url="https://dcipher.invalid", transport=httpx.MockTransport(response))
    assert client.flows.get("f").id == "f"
    assert seen == ["https://dcipher.invalid/flows/f"]
    wrong: Any = httpx.Client() if kind == "async" else httpx.AsyncClient()
    with pytest.raises(ConfigurationError):
        connect(http_client=wrong)
    own: Any = httpx.Client() if kind == "sync" else httpx.AsyncClient()
    with pytest.raises(ConfigurationError, match="not both"):
        connect(http_client=own, transport=httpx.MockTransport(response))


def test_every_attempt_is_signed_anew(connect: Connect, api: FaultyServer) -> None:
    """With a secret, each attempt has a valid signature with its own nonce."""
    api.on("/flows/f/run", json_reply("{}", 500), json_reply('{"taskId": "t"}'))
    client = connect(api, api_secret="s3cret")
    client.flows.start("f", {"text": "é"})
    client.runs.get("f", "a b&c=d")
    nonces = [
        verify_request(
            request.method,
            api.url + request.target,
            request.headers,
            request.body,
            secret="s3cret",
            required=("@method", "@path", "@query", "authorization"),
        ).nonce
        for request in api.requests
    ]
    assert len(set(nonces)) == 3


def test_use_after_close(connect: Connect, api: FaultyServer) -> None:
    """Every call of a closed client is an error. Closing twice does nothing."""
    client = connect(api)
    run = client.runs.refresh(client.flows.start("f"))
    with client:
        pass
    client.close()
    calls: list[Callable[[], object]] = [
        lambda: client.flows.get("f"),
        lambda: client.flows.start("f"),
        lambda: client.runs.get("f", "t"),
        lambda: client.runs.wait(Run(flow_id="f", task_id="t"), timeout=1),
    ]
    for call in calls:
        with pytest.raises(DcipherError, match="closed"):
            call()
    with pytest.raises(DcipherError, match="closed"):
        client.runs.read(run)


def test_a_client_that_was_never_used_closes(construct: Construct) -> None:
    """Closing needs no network."""
    with construct("k"):
        pass
    construct("k").close()


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_client_is_not_copied(cls: type, how: Callable[[object], object]) -> None:
    """Copies and pickles of a client are a TypeError with advice."""
    with pytest.raises(TypeError, match=f"{cls.__name__} cannot be copied or pickled"):
        how(cls("k"))


def test_empty_and_invalid_proxy_variables(
    connect: Connect, api: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid proxy variable that is used is a `ConfigurationError` with its name. An empty one is ignored."""
    monkeypatch.setenv("HTTPS_PROXY", "")
    connect(api).flows.get("f")
    for broken in ("http://", "nonsense://x", "http://user:canary@[::1"):
        monkeypatch.setenv("HTTPS_PROXY", broken)
        connect(api).flows.get("f")  # by which no request goes
        with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
            connect(base_url="https://api.invalid")
        assert "canary" not in str(caught.value)


def test_a_proxy_whose_library_is_missing(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SOCKS proxy without its library is a `ConfigurationError`, not an ImportError."""
    import sys

    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY .*pip install 'httpx\[socks\]'"):
        connect(base_url="https://api.invalid")


def test_certificates_that_are_not_there(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate variable that leads nowhere is a `ConfigurationError` that names it."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        connect(base_url="https://127.0.0.1:9", max_retries=0).flows.get("f")


def test_an_untrusted_certificate(connect: Connect) -> None:
    """An untrusted certificate is a `TLSError`, after one attempt."""
    import ssl

    import trustme

    from dcipher import TLSError
    from tests.faulty import FaultyServer as Server

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        server.on("*", Reply(b"{}"))
        client = connect(server)
        for call in (client.flows.get, client.flows.start):
            with pytest.raises(TLSError, match=r"127\.0\.0\.1 .*certificate"):
                call("f")
        assert server.connections == 2
        assert server.requests == []


def test_hooks_of_an_http_client_of_ours(connect: Connect, server: FaultyServer, kind: str) -> None:
    """Hooks and auth in `httpx_args` receive each call. A redirect is not followed, with any option."""
    server.on("*", Reply(status=307, headers={"Location": "/flows/g"}))
    seen: list[str] = []

    async def anote(request: httpx.Request) -> None:
        seen.append(f"{request.method} {request.content!r}")

    def note(request: httpx.Request) -> None:
        seen.append(f"{request.method} {request.content!r}")

    arguments = {"event_hooks": {"request": [note if kind == "sync" else anote]}}
    http = HTTPAuthenticatedClient(
        server.url, api_key="k", follow_redirects=True, httpx_args=arguments
    )
    client = connect(http_client=http, api_key=None, max_retries=0)
    for call in (client.flows.get, client.flows.start):
        with pytest.raises(APIStatusError):
            call("f")
    assert seen == ["GET b''", "POST b'{\"pipelineParams\":{}}'"]
    assert {request.path for request in server.requests} == {"/flows/f", "/flows/f/run"}


def test_hooks_that_are_added_later(connect: Connect, server: FaultyServer, kind: str) -> None:
    """This includes hooks that are added to the httpx client between two calls."""
    server.on("*", json_reply('{"id": "f"}'))
    seen: list[str] = []

    async def anote(request: httpx.Request) -> None:
        seen.append(request.method)

    def note(request: httpx.Request) -> None:
        seen.append(request.method)

    client = connect(server)
    http = client._api.http
    client.flows.get("f")
    built = (
        http.get_or_create_httpx_client()
        if kind == "sync"
        else http.get_or_create_async_httpx_client()
    )
    built.event_hooks = {"request": [note if kind == "sync" else anote]}
    client.flows.get("f")
    assert seen == ["GET"]
