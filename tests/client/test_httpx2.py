"""A client of httpx2 as `http_client=`: its requests, its exceptions, its settings."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    DcipherError,
    HTTPAuthenticatedClient,
    HTTPClient,
    InternalServerError,
    Resilience,
    ResultError,
    TLSError,
)
from tests.faulty import RESET, STALL, FaultyServer, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from dcipher.emulator import Emulator
    from tests.conftest import Connect

httpx2: Any = pytest.importorskip("httpx2", reason="httpx2, of the group `dev`, is not installed")
if httpx2 is httpx:
    pytest.skip("httpx2 stands in for httpx", allow_module_level=True)

ONCE = Resilience(max_retries=0)
PASSWORD = "canary-proxy-password"


@pytest.fixture
def own(kind: str, portal: BlockingPortal) -> Iterator[Callable[..., Any]]:
    """Make a client of httpx2 of the kind that the test is about."""
    made: list[Any] = []

    def make(**arguments: Any) -> Any:
        made.append((httpx2.Client if kind == "sync" else httpx2.AsyncClient)(**arguments))
        return made[-1]

    yield make
    for client in made:
        _ = client.close() if kind == "sync" else portal.call(client.aclose)


def behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_complete_run_by_httpx2(
    connect: Connect, emulator: Emulator, own: Callable[..., Any], tmp_path: Path
) -> None:
    """Calls, params, the wait, values, rows and downloads. It stays open, and belongs to its owner."""
    theirs = own()
    client = connect(emulator, http_client=theirs)
    assert client.flows.get("shout").name == "Shout"
    run = client.flows.run("shout", {"text": "é", "times": 3}, save_path=tmp_path / "out.json")
    assert client.runs.read(run) == {"text": "ÉÉÉ"}
    assert [row["n"] for row in client.runs.records(client.flows.run("rows", {"count": 50}))] == [
        *range(50)
    ]
    big = client.flows.run("bytes", {"size": 3_000_000})
    (path,) = client.runs.download(big, tmp_path / "big.bin")
    assert path.read_bytes() == (bytes(range(256)) * 11_719)[:3_000_000]
    three = client.flows.run("three", save_path=tmp_path / "three.txt")
    assert len(three.files) == 3
    with pytest.raises(DcipherError, match="the corpus is empty"):
        client.flows.run("fails")
    client.close()
    assert not theirs.is_closed


def test_it_is_retried(connect: Connect, api: FaultyServer, own: Callable[..., Any]) -> None:
    """A lost connection, a reset and a 503 are retried by the same rules, with the same idempotency key."""
    api.on("/flows/f/run", RESET, json_reply("{}", 503), json_reply('{"taskId": "t"}'))
    client = connect(api, http_client=own())
    assert client.flows.start("f", {"text": "é"}).task_id == "t"
    sent = api.seen("/flows/f/run")
    assert len(sent) == 3
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert len({request.body for request in sent}) == 1


@pytest.mark.parametrize(
    ("reply", "expected", "cause"),
    [
        (RESET, APIConnectionError, "ReadError|RemoteProtocolError"),
        (Reply(raw=b"no HTTP\r\n\r\n", after="close"), APIConnectionError, "RemoteProtocolError"),
        (Reply(b"{}", cut=1, after="close"), APIConnectionError, "RemoteProtocolError"),
        (STALL, APITimeoutError, "ReadTimeout"),
        (json_reply("{}", 500), InternalServerError, ""),
    ],
)
def test_its_exceptions_are_classified(
    connect: Connect,
    api: FaultyServer,
    own: Callable[..., Any],
    reply: Reply,
    expected: type[DcipherError],
    cause: str,
) -> None:
    """As those of httpx: the same class of ours, with a cause of httpx, and without the key."""
    api.on("/flows/f", reply)
    client = connect(api, http_client=own(), resilience=ONCE, timeout=0.5)
    with pytest.raises(expected) as caught:
        client.flows.get("f")
    assert type(caught.value) is expected
    if cause:
        assert type(caught.value.__cause__).__name__ in cause.split("|")
        assert isinstance(caught.value.__cause__, httpx.TransportError)
    for error in behind(caught.value):
        sent = getattr(error, "_request", None)
        assert sent is None or "authorization" not in sent.headers


def test_a_refused_connection(connect: Connect, own: Callable[..., Any]) -> None:
    """The error names the host."""
    with FaultyServer() as gone:
        url = gone.url
    client = connect(base_url=url, http_client=own(), resilience=ONCE)
    with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1.*refused"):
        client.flows.get("f")


def test_a_certificate_that_is_not_trusted(connect: Connect, own: Callable[..., Any]) -> None:
    """A failed handshake is a `TLSError`, and is not retried."""
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FaultyServer(context) as server:
        client = connect(server, http_client=own(verify=ssl.create_default_context()))
        with pytest.raises(TLSError, match="not secure"):
            client.flows.get("f")
        assert server.connections == 1


def test_an_interrupted_download_is_resumed(
    connect: Connect, api: FaultyServer, own: Callable[..., Any], tmp_path: Path
) -> None:
    """The rest of a result is requested by a range. Without a server, it is a `ResultError`."""
    whole = b"0123456789" * 1000
    tag = {"ETag": '"1"', "Accept-Ranges": "bytes"}
    rest = {**tag, "Content-Range": f"bytes 5000-9999/{len(whole)}"}
    api.on(
        "/result",
        Reply(whole, headers=tag, cut=5000, after="reset"),
        Reply(whole[5000:], 206, rest),
    )
    client = connect(api, http_client=own())
    run = client.runs.refresh(client.flows.start("f"))
    (path,) = client.runs.download(run, tmp_path / "whole.bin")
    assert path.read_bytes() == whole
    assert [request.headers.get("range") for request in api.seen("/result")] == [
        None,
        "bytes=5000-",
    ]
    api.on("/result", RESET)
    with pytest.raises(ResultError):
        connect(api, http_client=own(), resilience=ONCE).runs.read(run)


@pytest.mark.parametrize(
    "query", ["a=%7E~'\"<>|", "a=b+c%20d&e=%2f%2F", "a=[]{}^`\\", "a=%zz&&;,:@$!*()"]
)
def test_a_signed_url_is_sent_as_it_is(
    connect: Connect, api: FaultyServer, own: Callable[..., Any], query: str
) -> None:
    """Its signature covers the characters of its path and its query, quoted or not."""
    from dcipher import Output, Run

    text = f"{api.url}/result?{query}"
    run = Run(
        flow_id="f",
        task_id="t",
        status="SUCCEEDED",
        outputs=(Output.model_validate({"url": text}),),
    )
    client = connect(api, http_client=own())
    assert client.runs.read(run) == {"text": 1}
    assert api.seen("/result")[0].target == f"/result?{query}"


def test_its_hooks_headers_and_cookies(
    kind: str, connect: Connect, api: FaultyServer, own: Callable[..., Any]
) -> None:
    """Its hooks see all, and may read it; its headers are the API's alone; auth and jar are left as they are."""
    seen: list[object] = []

    def note(message: Any) -> None:
        seen.append(type(message))

    async def anote(message: Any) -> None:
        note(message)
        if isinstance(message, httpx2.Response):
            await message.aread()

    def read(message: Any) -> None:
        note(message)
        message.read()

    sync = kind == "sync"
    theirs = own(
        headers={"X-Tenant": "t-1"},
        cookies={"mine": "1"},
        auth=("user", "pass"),
        event_hooks={"request": [note if sync else anote], "response": [read if sync else anote]},
    )
    coded = httpx2.Client if sync else httpx2.AsyncClient
    assert isinstance(theirs, coded)
    api.on("/flows/f", json_reply('{"id": "f"}', **{"Set-Cookie": "theirs=canary; Path=/"}))
    client = connect(api, http_client=theirs)
    assert client.flows.get("f").id == "f"
    assert seen == [httpx2.Request, httpx2.Response]
    run = client.runs.refresh(client.flows.start("f"))
    assert client.runs.read(run) == {"text": 1}
    flow, stored = api.seen("/flows/f")[0].headers, api.seen("/result")[0].headers
    assert flow["x-tenant"] == "t-1"
    assert flow["authorization"].startswith("Api-Key ")
    assert not {"x-tenant", "authorization", "cookie"} & {*stored}
    assert "cookie" not in flow
    assert dict(theirs.cookies) == {"mine": "1"}


def test_its_transport(kind: str, connect: Connect, own: Callable[..., Any]) -> None:
    """A transport of httpx2, such as that of its tests, answers with responses that are complete or compressed."""
    import gzip

    def response(request: Any) -> Any:
        if request.url.path == "/flows/f":
            return httpx2.Response(200, json={"id": "f"})
        coded = gzip.compress(b'{"id": "g"}')
        return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, content=coded)

    client = connect(
        base_url="https://dcipher.invalid",
        http_client=own(transport=httpx2.MockTransport(response)),
    )
    assert client.flows.get("f").id == "f"
    assert client.flows.get("g").id == "g"


def test_its_proxy(connect: Connect, own: Callable[..., Any]) -> None:
    """Its proxy is used, and the password for it is in no error, though the proxy repeats it."""
    with FaultyServer() as proxy:
        proxy.on("*", Reply(raw=f"HTTP/9 {PASSWORD}\r\n\r\n".encode(), after="close"))
        url = proxy.url.replace("http://", f"http://user:{PASSWORD}@")
        client = connect(
            base_url="https://api.example.com", http_client=own(proxy=url), resilience=ONCE
        )
        with pytest.raises(APIConnectionError) as caught:
            client.flows.get("f")
        assert proxy.connections == 1
    assert "canary" not in str(caught.value)
    assert "[redacted]" in str(caught.value)


def test_its_timeout(connect: Connect, api: FaultyServer, own: Callable[..., Any]) -> None:
    """Without another timeout, that of the client is used."""
    api.on("/flows/f", STALL)
    client = connect(
        api, http_client=own(timeout=0.2), timeout=None, resilience=None, max_retries=0
    )
    with pytest.raises(TimeoutError):
        client.flows.get("f")


def test_it_is_closed(
    kind: str, connect: Connect, api: FaultyServer, portal: BlockingPortal, own: Callable[..., Any]
) -> None:
    """A call through a client that its owner has closed is a `DcipherError` that says so."""
    theirs = own()
    client = connect(api, http_client=theirs)
    _ = theirs.close() if kind == "sync" else portal.call(theirs.aclose)
    with pytest.raises(DcipherError, match=r"httpx2 client .* is closed"):
        client.flows.get("f")


def test_other_objects_are_rejected(kind: str, connect: Connect) -> None:
    """The async client for the blocking one, a transport, and a class are errors with the accepted types."""
    name = "Client" if kind == "sync" else "AsyncClient"
    wrong = httpx2.AsyncClient() if kind == "sync" else httpx2.Client()
    for other in (wrong, httpx2.HTTPTransport(), httpx2.Client, object()):
        with pytest.raises(ConfigurationError, match=rf"httpx\.{name}, an httpx2\.{name} or an"):
            connect(http_client=other)


def test_an_http_client_uses_it(api: FaultyServer) -> None:
    """`set_httpx_client` accepts it and nothing else, and derived clients send by it."""
    with httpx2.Client(headers={"X": "1"}) as theirs:
        http = HTTPClient(api.url)
        assert http.set_httpx_client(theirs).get_or_create_httpx_client() is theirs
        derived = http.with_headers({"Y": "2"}).get_or_create_httpx_client()
        assert isinstance(derived, httpx.Client)
        assert derived.get("/flows/f").json()["id"] == "f"
        upload, length = iter([b"a", b"b"]), {"Content-Length": "2"}
        assert derived.post("/flows/f/run", content=upload, headers=length).status_code == 200
        assert api.seen("/flows/f/run")[0].body == b"ab"
    with pytest.raises(ConfigurationError, match=r"an httpx2\.Client, not AsyncClient"):
        http.set_httpx_client(httpx2.AsyncClient())
    with pytest.raises(ConfigurationError, match=r"an httpx2\.AsyncClient, not Client"):
        http.set_async_httpx_client(theirs)


async def _status(http: HTTPAuthenticatedClient) -> int:
    return (await http.get_or_create_async_httpx_client().get("/flows/f")).status_code


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_http_client_uses_it(api: FaultyServer, backend: str) -> None:
    """`set_async_httpx_client` does so under asyncio and trio."""
    import anyio

    async def main() -> int:
        async with httpx2.AsyncClient() as theirs:
            http = HTTPAuthenticatedClient(api.url, api_key="k").set_async_httpx_client(theirs)
            return await _status(http.with_headers({}))

    assert anyio.run(main, backend=backend) == 200
