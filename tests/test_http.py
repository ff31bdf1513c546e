"""`HTTPClient` and `HTTPAuthenticatedClient`: for any JSON API with an API key."""

from __future__ import annotations

import copy
import gzip
import pickle
import ssl
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import trustme

from dcipher import (
    ConfigurationError,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    HTTPClient,
    MissingAPIKeyError,
    Output,
    Resilience,
    Run,
    UnexpectedStatus,
)
from dcipher.signing import verify_request
from tests.faulty import RESET, STALL, FaultyServer, Reply, json_reply
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal

    Send = Callable[..., httpx.Response]

QUICK = Resilience(max_retries=2, backoff_initial=0.01, backoff_max=0.02)
OK = json_reply("{}")


@pytest.fixture
def send(kind: str, portal: BlockingPortal) -> Iterator[Send]:
    """Send by the httpx client, of either kind, that an HTTP client builds; all are closed at the end."""
    used: list[HTTPClient] = []

    def request(client: HTTPClient, method: str, url: str, **kwargs: Any) -> httpx.Response:
        used.append(client)
        if kind == "sync":
            return client.get_or_create_httpx_client().request(method, url, **kwargs)

        async def on_loop() -> httpx.Response:
            return await client.get_or_create_async_httpx_client().request(method, url, **kwargs)

        return portal.call(on_loop)

    yield request
    for client in used:
        close(client, kind, portal)


def close(client: HTTPClient, kind: str, portal: BlockingPortal) -> None:
    if kind == "sync":
        client.close()
    else:
        portal.call(client.aclose)


def test_a_request(send: Send, server: FaultyServer) -> None:
    """The httpx client has base URL, headers, cookies and timeout."""
    server.on("*", OK)
    client = HTTPClient(f"{server.url}/v1/", headers={"X-A": "1"}, cookies={"c": "2"}, timeout=3)
    assert send(client, "GET", "/things").json() == {}
    sent = server.requests[0]
    assert sent.target == "/v1/things"
    assert (sent.headers["x-a"], sent.headers["cookie"]) == ("1", "c=2")
    assert "authorization" not in sent.headers


@pytest.mark.parametrize(
    ("arguments", "header", "value"),
    [
        ({}, "api-key", "k"),
        ({"auth_header_name": "X-Key"}, "x-key", "k"),
        (
            {"auth_scheme": "Bearer", "auth_header_name": "Authorization"},
            "authorization",
            "Bearer k",
        ),
    ],
)
def test_the_key(send: Send, server: FaultyServer, arguments: Any, header: str, value: str) -> None:
    """The key is sent in the named header, after its scheme. No header of the user replaces it."""
    server.on("*", OK)
    client = HTTPAuthenticatedClient(server.url, api_key="k", **arguments)
    send(client.with_headers({header: "other", header.upper(): "other"}), "GET", "/")
    send(client, "GET", "/")
    for request in server.requests:
        assert [text for name, text in request.pairs if name.lower() == header] == [value]


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key(key: str | None) -> None:
    """An authenticated client needs a key."""
    with pytest.raises(MissingAPIKeyError):
        HTTPAuthenticatedClient("https://x.invalid", api_key=key)


@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "x.invalid"},
        {"base_url": "https://u:p@x.invalid"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"headers": {"X": "a\nb"}},
        {"api_key": "é"},
        {"api_secret": ""},
        {"api_secret": b""},
        {"auth_header_name": "X\r\nY"},
    ],
    ids=str,
)
def test_invalid_settings(arguments: dict[str, Any]) -> None:
    """An invalid value is a `ConfigurationError` at once."""
    with pytest.raises(ConfigurationError):
        HTTPAuthenticatedClient(**{"base_url": "https://x.invalid", "api_key": "k", **arguments})


def test_deriving_changes_nothing() -> None:
    """Each `with_*` returns a new client. The first one is unchanged, and its attributes are copies."""
    headers = {"X-A": "1"}
    first = HTTPClient("https://x.invalid", headers=headers, cookies={"a": "1"}, timeout=1)
    headers["X-A"] = "changed"
    second = (
        first.with_headers({"X-B": "2"})
        .with_cookies({"b": "2"})
        .with_timeout(httpx.Timeout(2))
        .with_resilience(QUICK)
    )
    first.headers["X-C"] = first.cookies["c"] = "3"
    assert (first.headers, first.cookies, first.timeout) == ({"X-A": "1"}, {"a": "1"}, 1)
    assert first.resilience is None
    assert second.headers == {"X-A": "1", "X-B": "2"}
    assert second.cookies == {"a": "1", "b": "2"}
    assert second.timeout == httpx.Timeout(2)
    assert second.resilience is QUICK
    assert type(HTTPAuthenticatedClient("https://x.invalid", api_key="k").with_timeout(1)) is (
        HTTPAuthenticatedClient
    )
    with pytest.raises(ConfigurationError):
        first.with_timeout(-1)
    with pytest.raises(ConfigurationError):
        first.with_headers({"X": "\n"})


def test_private_names_of_published_clients() -> None:
    """The private names of generated clients have the same values. A new copy has no httpx client."""
    client = HTTPClient("https://x.invalid", headers={"a": "1"}, cookies={"b": "2"}, timeout=5)
    assert (client._headers, client._cookies, client._timeout) == ({"a": "1"}, {"b": "2"}, 5)
    assert (client._client, client._async_client) == (None, None)
    built = client.get_or_create_httpx_client()
    assert client._client is built is client.get_or_create_httpx_client()
    assert client.with_headers({"c": "3"})._client is None
    client.close()


def test_derived_clients_share_connections(
    send: Send, server: FaultyServer, kind: str, portal: BlockingPortal
) -> None:
    """Derived clients have httpx clients of their own on one TCP connection, and are closed one by one."""
    server.on("*", OK)
    first = HTTPAuthenticatedClient(server.url, api_key="k")
    second = first.with_headers({"X-A": "1"}).with_timeout(5)
    for client in (first, second, first):
        send(client, "GET", "/")
    assert first.get_or_create_httpx_client() is not second.get_or_create_httpx_client()
    close(first, kind, portal)
    send(second, "GET", "/")
    assert server.connections == 1
    with pytest.raises(RuntimeError, match="closed"):
        send(first, "GET", "/")
    assert [("x-a" in request.headers) for request in server.requests] == [False, True, False, True]


def test_entering_twice_is_an_error(server: FaultyServer) -> None:
    """As with an httpx client, a second `with` is a RuntimeError; leaving closes."""
    server.on("*", OK)
    client = HTTPClient(server.url)
    with client as entered:
        assert entered is client
        entered.get_or_create_httpx_client().get("/")
        with pytest.raises(RuntimeError):
            client.__enter__()
    assert client.get_or_create_httpx_client().is_closed

    async def main() -> None:
        again = HTTPClient(server.url)
        async with again:
            await again.get_or_create_async_httpx_client().get("/")
            with pytest.raises(RuntimeError):
                await again.__aenter__()
        assert again.get_or_create_async_httpx_client().is_closed

    anyio.run(main)


def test_a_client_of_the_users(
    kind: str, portal: BlockingPortal, send: Send, server: FaultyServer
) -> None:
    """A client that was set is used as it is."""
    server.on("*", OK)
    client = HTTPClient("https://x.invalid", headers={"X-A": "1"})
    if kind == "sync":
        own: Any = httpx.Client(base_url=server.url)
        assert client.set_httpx_client(own) is client
        assert client.get_or_create_httpx_client() is own
    else:
        own = httpx.AsyncClient(base_url=server.url)
        assert client.set_async_httpx_client(own) is client
        assert client.get_or_create_async_httpx_client() is own
    send(client, "GET", "/")
    assert "x-a" not in server.requests[0].headers


def test_httpx_args_reach_httpx(kind: str, send: Send, server: FaultyServer) -> None:
    """Event hooks, parameters, auth and defaults of httpx work as they do there."""
    server.on("*", OK)
    seen: list[str] = []

    async def anote(request: httpx.Request) -> None:
        seen.append(request.method)

    def note(request: httpx.Request) -> None:
        seen.append(request.method)

    arguments = {
        "event_hooks": {"request": [note if kind == "sync" else anote]},
        "params": {"a": "1"},
        "auth": ("u", "p"),
        "max_redirects": 1,
    }
    send(HTTPClient(server.url, httpx_args=arguments), "GET", "/x")
    assert seen == ["GET"]
    assert server.requests[0].target == "/x?a=1"
    assert server.requests[0].headers["authorization"].startswith("Basic ")


def test_headers_of_httpx_args_do_not_take_the_key_away(send: Send, server: FaultyServer) -> None:
    """Headers in `httpx_args` are sent beside the key, not instead of it."""
    server.on("*", OK)
    arguments = {"headers": {"X-A": "1"}}
    send(HTTPAuthenticatedClient(server.url, api_key="k", httpx_args=arguments), "GET", "/")
    assert server.requests[0].headers["x-a"] == "1"
    assert server.requests[0].headers["api-key"] == "k"


def test_a_transport_and_mounts(kind: str, send: Send) -> None:
    """`transport` and `mounts` in `httpx_args` replace the network."""

    def answer(name: str) -> httpx.MockTransport:
        return httpx.MockTransport(lambda request: httpx.Response(200, text=name))

    arguments = {"transport": answer("all"), "mounts": {"https://other.invalid": answer("other")}}
    client = HTTPClient("https://x.invalid", httpx_args=arguments)
    assert send(client, "GET", "/").text == "all"
    assert send(client, "GET", "https://other.invalid/").text == "other"
    assert send(client.with_headers({"a": "b"}), "GET", "/").text == "all"


def test_limits(send: Send, server: FaultyServer) -> None:
    """`limits` are used: without keep-alive, each request has its own connection."""
    server.on("*", OK)
    none = httpx.Limits(max_connections=5, max_keepalive_connections=0)
    client = HTTPClient(server.url, httpx_args={"limits": none})
    for _ in range(3):
        send(client, "GET", "/")
    assert server.connections == 3


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment(
    send: Send, server: FaultyServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The environment's proxy is used, NO_PROXY and `trust_env=False` keep it out."""
    server.on("*", OK)
    monkeypatch.setenv(name, server.url)
    assert send(HTTPClient("http://x.invalid"), "GET", "/a").status_code == 200
    assert server.requests[0].target == "http://x.invalid/a"
    assert server.requests[0].headers["host"] == "x.invalid"
    monkeypatch.setenv("NO_PROXY", "x.invalid,127.0.0.1")
    with pytest.raises(httpx.ConnectError):
        send(HTTPClient("http://x.invalid", timeout=2), "GET", "/a")
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(httpx.ConnectError):
        send(
            HTTPClient("http://x.invalid", timeout=2, httpx_args={"trust_env": False}), "GET", "/a"
        )
    assert len(server.requests) == 1


def test_a_proxy_that_refuses(send: Send, server: FaultyServer) -> None:
    """A proxy that does not open the tunnel is a `ProxyError`; the key is not sent to it."""
    server.on("*", Reply(b"", 403))
    client = HTTPAuthenticatedClient(
        "https://x.invalid", api_key="k", httpx_args={"proxy": server.url}
    )
    with pytest.raises(httpx.ProxyError):
        send(client, "GET", "/a")
    (request,) = server.requests
    assert (request.method, request.target) == ("CONNECT", "x.invalid:443")
    assert "api-key" not in request.headers


def test_statuses_that_are_documented(send: Send, server: FaultyServer) -> None:
    """With `raise_on_unexpected_status`, a listed status is a plain response, another one is raised."""
    client = HTTPClient(f"{server.url}/base", raise_on_unexpected_status=True)
    server.on("*", json_reply('{"message": "no"}', 404), json_reply('{"message": "tea"}', 418))
    assert send(client, "GET", "/flows/f").status_code == 404
    with pytest.raises(UnexpectedStatus, match="tea") as caught:
        send(client, "GET", "/flows/f?x=canary")
    error = caught.value
    assert error.status_code == 418
    assert error.content == b'{"message": "tea"}'
    assert error.error is not None
    assert error.error.message == "tea"
    assert "canary" not in str(error)
    assert pickle.loads(pickle.dumps(error)).status_code == 418  # noqa: S301 - our own
    assert send(HTTPClient(server.url), "GET", "/flows/f").status_code == 418


def test_retries_are_in_the_httpx_client(send: Send, server: FaultyServer) -> None:
    """With a `resilience`, two failures and a success are a success, after three requests."""
    server.on("*", json_reply("{}", 503), RESET, json_reply('{"a": 1}'))
    client = HTTPClient(server.url).with_resilience(QUICK)
    assert send(client, "GET", "/").json() == {"a": 1}
    assert len(server.requests) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_methods_are_retried(send: Send, server: FaultyServer, method: str) -> None:
    """Idempotent methods are retried, and the last response is returned."""
    server.on("*", Reply(b"", 500))
    assert send(HTTPClient(server.url, resilience=QUICK), method, "/").status_code == 500
    assert len(server.requests) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_sent_once(send: Send, server: FaultyServer, method: str) -> None:
    """A POST without a key is not retried if it may have reached the service, and retried otherwise."""
    client = HTTPClient(server.url, resilience=QUICK)
    server.on("*", Reply(b"", 500))
    assert send(client, method, "/", json={}).status_code == 500
    server.on("*", RESET)
    with pytest.raises(httpx.TransportError):
        send(client, method, "/", json={})
    assert len(server.requests) == 2
    server.on("*", Reply(b"", 429, {"Retry-After": "0"}), Reply(b"", 503, {"Retry-After": "0"}), OK)
    assert send(client, method, "/", json={}).status_code == 200
    assert len(server.requests) == 5


def test_a_post_with_a_key_is_repeated(send: Send, server: FaultyServer) -> None:
    """A POST with an `Idempotency-Key` is repeated, with the same key and body, unless that is forbidden."""
    server.on("*", Reply(b"", 500), RESET, OK)
    client = HTTPClient(server.url, resilience=QUICK)
    send(client, "POST", "/", json={"a": 1}, headers={"Idempotency-Key": "k"})
    bodies = {(r.headers["idempotency-key"], r.body.replace(b" ", b"")) for r in server.requests}
    assert bodies == {("k", b'{"a":1}')}
    assert len(server.requests) == 3
    server.on("*", Reply(b"", 500))
    never = client.with_resilience(Resilience(max_retries=2, resend_ambiguous=False))
    send(never, "POST", "/", headers={"Idempotency-Key": "k"})
    assert len(server.requests) == 4


def test_a_streamed_body_is_sent_once(kind: str, send: Send, server: FaultyServer) -> None:
    """A body that can be read only once is sent once."""
    server.on("*", Reply(b"", 500))

    def plain() -> Iterator[bytes]:
        yield b"abc"

    async def other() -> Any:
        yield b"abc"

    content = plain() if kind == "sync" else other()
    client = HTTPClient(server.url, resilience=QUICK)
    response = send(client, "PUT", "/", content=content, headers={"Content-Length": "3"})
    assert response.status_code == 500
    assert len(server.requests) == 1


def test_the_last_exception_is_that_of_httpx(send: Send, server: FaultyServer) -> None:
    """If the last attempt fails without a response, the exception of httpx is raised."""
    server.on("*", RESET)
    with pytest.raises(httpx.TransportError):
        send(HTTPClient(server.url, resilience=QUICK), "GET", "/")
    assert len(server.requests) == 3


def test_retries_respect_retry_after(send: Send, server: FaultyServer) -> None:
    """Not earlier than the service says, and not at all if that is too late."""
    server.on("*", Reply(b"", 429, {"Retry-After": "0.3"}), OK)
    send(HTTPClient(server.url, resilience=QUICK), "GET", "/")
    first, second = server.requests
    assert second.at - first.at >= 0.3
    server.on("*", Reply(b"", 429, {"Retry-After": "999"}))
    with no_hang():
        assert send(HTTPClient(server.url, resilience=QUICK), "GET", "/").status_code == 429


def test_signatures(send: Send, server: FaultyServer) -> None:
    """With a secret, each attempt is signed, with its own nonce, over key, target and body."""
    server.on("*", Reply(b"", 503), OK)
    client = HTTPAuthenticatedClient(server.url, api_key="k", api_secret=b"s", resilience=QUICK)
    send(client, "PUT", "/a%2fb?x=1&y=%20", json={"é": 1})
    verified = [
        verify_request(
            request.method,
            server.url + request.target,
            request.headers,
            request.body,
            secret=b"s",
            required=("@method", "@authority", "@path", "@query", "api-key", "content-digest"),
        )
        for request in server.requests
    ]
    assert len({signature.nonce for signature in verified}) == 2
    assert len({signature.key_id for signature in verified}) == 1


def test_a_signer_of_the_user(send: Send, server: FaultyServer) -> None:
    """A signer of the user replaces the standard one."""
    server.on("*", OK)

    class Own:
        def sign(self, method: str, url: str, headers: Any, body: bytes) -> dict[str, str]:
            return {"X-Signed": f"{method} {len(body)} {headers['api-key']}"}

    send(
        HTTPAuthenticatedClient(server.url, api_key="k", signer=Own()), "POST", "/", content=b"abc"
    )
    assert server.requests[0].headers["x-signed"] == "POST 3 k"
    assert "signature" not in server.requests[0].headers


def test_redirects(send: Send, server: FaultyServer) -> None:
    """Redirects are followed only on request."""
    server.on("/a", Reply(b"", 302, {"Location": "/b"}))
    server.on("/b", OK)
    assert send(HTTPClient(server.url), "GET", "/a").status_code == 302
    assert send(HTTPClient(server.url, follow_redirects=True), "GET", "/a").status_code == 200


CREDENTIALS = {"X-Team-Token": "canary-token", "X-Plain": "plain"}


@pytest.fixture
def elsewhere() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        running.on("*", OK)
        yield running


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"auth_header_name": "X-Id"},
        {"auth_header_name": "Authorization", "auth_scheme": "Api-Key"},
        {"api_secret": "canary-secret"},
        {"httpx_args": {"headers": {"X-Session": "canary-session"}}},
        {"httpx_args": {"auth": ("canary-user", "canary-password")}},
        {"resilience": QUICK, "raise_on_unexpected_status": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("way", ["302", "307", "absolute"])
def test_credentials_are_sent_only_to_the_origin(
    send: Send, server: FaultyServer, elsewhere: FaultyServer, more: dict[str, Any], way: str
) -> None:
    """Key, signature, cookies and secret headers are sent to the base URL's origin, not to a redirect."""
    away = f"{elsewhere.url}/away"
    server.on("*", Reply(b"", 302 if way == "absolute" else int(way), {"Location": away}))
    client = HTTPAuthenticatedClient(
        server.url,
        api_key="canary-key",
        headers=CREDENTIALS,
        cookies={"c": "canary-cookie"},
        follow_redirects=True,
        **more,
    )
    url = away if way == "absolute" else "/here"
    own = {"Idempotency-Key": "own", "X-Own-Password": "canary-own"}
    assert send(client, "PUT", url, content=b"body", headers=own).status_code == 200
    (sent,) = elsewhere.requests
    assert "canary" not in repr(sent.pairs)
    assert not {"signature", "signature-input"} & sent.headers.keys()
    assert (sent.headers["x-plain"], sent.headers["idempotency-key"]) == ("plain", "own")
    assert sent.headers["host"] == f"127.0.0.1:{elsewhere.port}"
    assert sent.body == (b"" if way == "302" else b"body")
    if way != "absolute":
        assert "canary-key" in repr(server.requests[0].pairs)
        assert "canary-cookie" in repr(server.requests[0].pairs)
        assert "canary-own" in repr(server.requests[0].pairs)


def test_credentials_within_the_origin(send: Send, server: FaultyServer) -> None:
    """A redirect within the origin has all of them, and is signed anew."""
    server.on("/a", Reply(b"", 302, {"Location": f"{server.url}/b"}))
    server.on("/b", OK)
    client = HTTPAuthenticatedClient(
        f"{server.url}/", api_key="k", api_secret="s", headers=CREDENTIALS, follow_redirects=True
    )
    assert send(client, "GET", "/a").status_code == 200
    first, second = server.requests
    assert second.headers["api-key"] == "k"
    assert second.headers["x-team-token"] == "canary-token"
    verify_request("GET", f"{server.url}/b", second.headers, b"", secret=b"s")
    assert first.headers["signature"] != second.headers["signature"]


@pytest.mark.parametrize(
    ("base", "to", "goes_along"),
    [
        ("http://x.invalid", "https://x.invalid/b", True),
        ("http://x.invalid:80", "https://x.invalid:443/b", True),
        ("http://x.invalid", "https://x.invalid:8443/b", False),
        ("http://x.invalid:8080", "https://x.invalid/b", False),
        ("https://x.invalid", "http://x.invalid/b", False),
        ("https://x.invalid", "https://X.INVALID:443/b", True),
        ("https://x.invalid", "https://x.invalid.evil/b", False),
        ("https://x.invalid", "https://evil.x.invalid/b", False),
        ("https://x.invalid", "https://x.invalid@evil/b", False),
    ],
)
def test_which_origin_is_home(send: Send, base: str, to: str, goes_along: bool) -> None:
    """The same scheme, host and port; or the https of the same host on the default ports."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return (
            httpx.Response(200) if len(seen) > 1 else httpx.Response(302, headers={"Location": to})
        )

    client = HTTPAuthenticatedClient(
        base,
        api_key="k",
        follow_redirects=True,
        httpx_args={"transport": httpx.MockTransport(answer)},
    )
    send(client, "GET", "/a")
    assert [("api-key" in request.headers) for request in seen] == [True, goes_along]


def test_removed_headers_are_logged(
    send: Send, server: FaultyServer, elsewhere: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the name of a header that was not sent, but not its value."""
    caplog.set_level("INFO", "dcipher")
    client = HTTPAuthenticatedClient(server.url, api_key="canary-key", headers=CREDENTIALS)
    send(client, "GET", elsewhere.url)
    (text,) = [record.getMessage() for record in caplog.records if record.name == "dcipher"]
    assert "api-key, x-team-token" in text
    assert "canary" not in text


def test_a_retried_response_is_not_decoded(
    kind: str, portal: BlockingPortal, server: FaultyServer
) -> None:
    """A discarded body is not decoded, damaged or a bomb. The last one is available undecoded."""
    broken = Reply(b"no gzip", 503, {"Content-Encoding": "gzip"})
    server.on("*", broken, broken, OK)
    client = HTTPClient(server.url, resilience=QUICK)
    bomb = gzip.compress(bytes(30_000_000), 1)

    def raw(url: str) -> tuple[int, bytes]:
        with client.get_or_create_httpx_client().stream("GET", url) as response:
            return response.status_code, b"".join(response.iter_raw())

    async def async_raw(url: str) -> tuple[int, bytes]:
        async with client.get_or_create_async_httpx_client().stream("GET", url) as response:
            return response.status_code, b"".join([chunk async for chunk in response.aiter_raw()])

    get = raw if kind == "sync" else lambda url: portal.call(async_raw, url)
    assert get("/") == (200, b"{}")
    assert len(server.requests) == 3
    server.on("*", Reply(bomb, 503, {"Content-Encoding": "gzip"}))
    tracemalloc.start()
    assert get("/") == (503, bomb)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    close(client, kind, portal)


def test_a_retried_response_keeps_its_connection(send: Send, server: FaultyServer) -> None:
    """A short body is read, so that the next attempt uses the connection. A long one closes it."""
    client = HTTPClient(server.url, resilience=QUICK)
    server.on("*", json_reply("{}", 503), json_reply("{}", 503), OK)
    assert send(client, "GET", "/").status_code == 200
    assert server.connections == 1
    server.on("*", Reply(bytes(5_000_000), 503), OK)
    assert send(client, "GET", "/").status_code == 200
    assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "patience"),
    [
        (STALL, Resilience(max_retries=3, deadline=0.8)),
        (Reply(bytes(20_000), 503, trickle=0.02), Resilience(max_retries=0, deadline=0.8)),
        (Reply(bytes(20_000), 503, trickle=0.02), Resilience(max_retries=3, deadline=0.8)),
        (Reply(b"", 503, framing="none", head_cut=30, after="stall"), Resilience(deadline=0.8)),
    ],
    ids=["stall", "once", "trickle", "head"],
)
def test_a_deadline_bounds_every_attempt(
    send: Send, server: FaultyServer, reply: Reply, patience: Resilience
) -> None:
    """An attempt ends with the deadline, with any timeout."""
    server.on("*", reply)
    with no_hang(), pytest.raises(httpx.TimeoutException):
        send(HTTPClient(server.url, timeout=2 * HANG, resilience=patience), "GET", "/")


def test_a_slow_error_response(send: Send, server: FaultyServer) -> None:
    """Without a deadline, the timeout ends the wait for the body of a 503."""
    server.on("*", Reply(b"", raw=b"HTTP/1.1 503 X\r\n\r\n" + bytes(20_000), trickle=0.03))
    quick = Resilience(max_retries=1, backoff_initial=0.002)
    with no_hang(), pytest.raises(httpx.TimeoutException):
        send(HTTPClient(server.url, timeout=0.9, resilience=quick), "GET", "/")
    assert len(server.requests) == 2


def test_an_attempt_whose_head_drips(send: Send, server: FaultyServer) -> None:
    """With a resilience, the parts of the timeout together bound an attempt until its answer begins."""
    server.on("*", Reply(bytes(5), 200, {"X": "x" * 20_000}, trickle=0.02))
    with no_hang(), pytest.raises(httpx.ReadTimeout):
        send(HTTPClient(server.url, timeout=0.2, resilience=QUICK), "GET", "/")
    assert len(server.requests) == 3


def test_a_slow_head_without_a_resilience(send: Send, server: FaultyServer) -> None:
    """The sum of the timeouts limits the head of a response, also without retries."""
    server.on("*", Reply(bytes(5), 200, {"X": "x" * 20_000}, trickle=0.02))
    with no_hang(), pytest.raises(httpx.ReadTimeout):
        send(HTTPClient(server.url, timeout=0.2), "GET", "/")
    assert len(server.requests) == 1


def test_a_body_may_take_longer_than_its_head(send: Send, server: FaultyServer) -> None:
    """The limit of the head does not apply to the body, which may be large."""
    server.on("*", Reply(bytes(300), 200, trickle=0.01))
    timeout = httpx.Timeout(1.5, pool=0.1, connect=0.1, write=0.1)
    for resilience in (None, QUICK):
        client = HTTPClient(server.url, timeout=timeout, resilience=resilience)
        assert send(client, "GET", "/").content == bytes(300)


def test_permits_are_returned(kind: str, portal: BlockingPortal, server: FaultyServer) -> None:
    """After any rejected response, its connection permit is available again."""
    one = httpx.Limits(max_connections=1)
    client = HTTPClient(server.url, timeout=2, resilience=QUICK, httpx_args={"limits": one})

    def plain() -> None:
        with client.get_or_create_httpx_client().stream("GET", "/"):
            """Left without being read."""

    async def other() -> None:
        async with client.get_or_create_async_httpx_client().stream("GET", "/"):
            """Left without being read."""

    for reply in (Reply(bytes(200_000), 503), RESET, Reply(b"x", 503, length=9, after="close")):
        server.on("*", reply, reply, Reply(b"", 500))
        for _ in range(2):
            if kind == "sync":
                plain()
            else:
                portal.call(other)
    close(client, kind, portal)


def test_an_unexpected_status_that_is_encoded(send: Send, server: FaultyServer) -> None:
    """Its body is decoded as other responses are: completely, and bounded. The status is kept in any case."""
    body = gzip.compress(b'{"message": "tea"}')
    server.on(
        "*",
        Reply(body, 418, {"Content-Encoding": "gzip"}),
        Reply(body[:-3], 418, {"Content-Encoding": "gzip"}),
        Reply(gzip.compress(bytes(20_000_000), 1), 418, {"Content-Encoding": "gzip"}),
        Reply(bytes(12_000_000), 418),
        Reply(body, 418, {"Content-Encoding": "rot13"}),
        Reply(b"lost", 418, length=99, after="reset"),
    )
    client = HTTPClient(server.url, raise_on_unexpected_status=True)
    errors = []
    for _ in range(6):
        with pytest.raises(UnexpectedStatus) as caught:
            send(client, "GET", "/flows/f")
        errors.append(caught.value)
    first, *others = errors
    assert first.error is not None
    assert (first.error.message, first.content) == ("tea", b'{"message": "tea"}')
    assert [error.error for error in others] == [None] * 5
    assert all(len(error.content) < 10_000_000 for error in others)


def test_a_slow_unexpected_status(send: Send, server: FaultyServer) -> None:
    """It is raised when the read timeout has passed, with the bytes so far."""
    server.on("*", Reply(raw=b"HTTP/1.1 418 X\r\n\r\n" + b"a" * 20_000, trickle=0.02))
    client = HTTPClient(server.url, timeout=0.7, raise_on_unexpected_status=True)
    with no_hang(), pytest.raises(UnexpectedStatus, match="returned 418: a"):
        send(client, "GET", "/flows/f")


def test_a_timeout(send: Send, server: FaultyServer) -> None:
    """`timeout` bounds a request."""
    server.on("*", STALL)
    with pytest.raises(httpx.ReadTimeout):
        send(HTTPClient(server.url).with_timeout(0.2), "GET", "/")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[FaultyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FaultyServer(tls=context) as running:
        running.on("*", OK)
        yield running


def test_certificates(
    send: Send, secure: FaultyServer, authority: trustme.CA, tmp_path: Any
) -> None:
    """`verify_ssl` takes a context, a file, or False. Otherwise, the certificate must be trusted."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    for verify in (context, str(file), False):
        assert send(HTTPClient(secure.url, verify_ssl=verify), "GET", "/").status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        send(HTTPClient(secure.url), "GET", "/")
    with pytest.raises(ConfigurationError, match="verify_ssl"):
        send(HTTPClient(secure.url, verify_ssl=str(tmp_path / "no.pem")), "GET", "/")


def test_it_is_not_copied() -> None:
    """Copies and pickles are a TypeError; `repr` shows no more than the base URL."""
    client = HTTPAuthenticatedClient(
        "https://x.invalid",
        api_key="canary-key",
        api_secret="canary-secret",
    )
    for how in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            how(client)
    assert repr(client) == "HTTPAuthenticatedClient('https://x.invalid')"
    assert (client.auth_header_name, client.auth_scheme) == ("API-Key", None)
    assert "canary" not in str(client.headers)
    assert not client.raise_on_unexpected_status


def test_an_ended_client_makes_no_connection(server: FaultyServer) -> None:
    """A client whose blocking side was closed before its first use rejects requests. A used one is closed."""
    unused, used = HTTPClient(server.url), HTTPClient(server.url)
    used.get_or_create_httpx_client().get("/")
    for client in (unused, used):
        client._end()
        client._end()
    with pytest.raises(DcipherError, match="closed"):
        unused.get_or_create_httpx_client()
    assert used.get_or_create_httpx_client().is_closed
    assert server.open_connections() == 0


def test_a_download_by_a_client_that_is_closed(server: FaultyServer) -> None:
    """The error of a download by a closed client says so, and is not one of httpx."""
    result = Output(url=f"{server.url}/result")
    run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(result,))
    with Dcipher("k", base_url=server.url) as client:
        client._api.plain_http.close()
        with pytest.raises(DcipherError, match="closed during a download"):
            client.runs.read(run)
    assert server.requests == []
