"""One request and its response: ordinary heads, and all others as httpx reads them."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import h11
import httpcore
import httpx
import pytest

from dcipher import HTTPClient
from dcipher._wire.transport.heads import absolute, ordinary_head
from tests.faulty import FaultyServer, Reply
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anyio.from_thread import BlockingPortal

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"Content-Length: 5\r\n\r\nhello"
CHUNKS = b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\n"
RESPONSES = {
    "a length": OK + BODY,
    "no reason": b"HTTP/1.1 200 \r\n" + BODY,
    "no reason and no blank": b"HTTP/1.1 200\r\n" + BODY,
    "a reason in Latin-1": b"HTTP/1.1 200 d\xe9j\xe0\r\n" + BODY,
    "an unknown status": b"HTTP/1.1 299 Fine\r\n" + BODY,
    "a status beyond": b"HTTP/1.1 600 What\r\n" + BODY,
    "a status of two digits": b"HTTP/1.1 20 What\r\n" + BODY,
    "another version": b"HTTP/1.0 200 OK\r\n" + BODY,
    "a version of the future": b"HTTP/2.0 200 OK\r\n" + BODY,
    "kept open in 1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + BODY,
    "kept open": OK + b"Connection: keep-alive\r\n" + BODY,
    "closing": OK + b"Connection: close\r\n" + BODY,
    "an upgrade that was not asked for": OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + BODY,
    "empty values": OK + b"X:\r\nY: \t\r\n" + BODY,
    "odd names": OK + b"x!#$%&'*+.^_`|~: 1\r\n" + BODY,
    "values with blanks": OK + b"X: \t a \t b\t \r\n" + BODY,
    "values in Latin-1": OK + b"X: d\xe9j\xe0\r\n" + BODY,
    "a folded line": OK + b"X: a\r\n b\r\n" + BODY,
    "a control character": OK + b"X: a\x01b\r\n" + BODY,
    "a NUL": OK + b"X: a\0b\r\n" + BODY,
    "a blank before the colon": OK + b"X : a\r\n" + BODY,
    "no colon": OK + b"X\r\n" + BODY,
    "no name": OK + b": a\r\n" + BODY,
    "bare line feeds": (OK + b"X: 1\r\n" + BODY).replace(b"\r\n", b"\n"),
    "one bare line feed": OK + b"X: 1\nY: 2\r\n" + BODY,
    "a bare carriage return": OK + b"X: 1\rY: 2\r\n" + BODY,
    "the length twice": OK + b"Content-Length: 5\r\n" + BODY,
    "two lengths": OK + b"Content-Length: 4\r\n" + BODY,
    "two lengths in one": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "a length with zeros": OK + b"Content-Length: 0005\r\n\r\nhello",
    "no length": OK + b"\r\nhello",
    "nothing": OK + b"Content-Length: 0\r\n\r\n",
    "less than promised": OK + b"Content-Length: 50\r\n\r\nhello",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"\r\n",
    "chunks with a trailer": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"X: 1\r\n\r\n",
    "chunks that end early": OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[:12],
    "chunks of no number": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "chunks and a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKS
    + b"\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n" + BODY,
    "no content": b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
    "no content with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "hints first": b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" + OK + BODY,
    "nothing at all": b"",
    "half a head": OK + b"X: 1\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a page": b"<html>" * 10,
    "an endless line": OK + b"X: " + b"a" * 200_000,
}  # fmt: skip


def _outcome(send: Callable[[], httpx.Response]) -> Any:
    try:
        response = send()
    except httpx.HTTPError as error:
        return type(error), str(error)
    return response.status_code, response.reason_phrase, response.headers.raw, response.content


@pytest.fixture(params=["whole", "in pieces"])
def trickle(request: pytest.FixtureRequest) -> float:
    """Whether the response comes byte by byte, so that no head is there at once."""
    return 0.0 if request.param == "whole" else 0.0005


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_response_is_what_httpx_makes_of_it(
    server: FaultyServer, kind: str, portal: BlockingPortal, name: str, method: str, trickle: float
) -> None:
    """Status, headers, body, or the error and its text: all are those of a plain httpx client."""
    raw = RESPONSES[name]
    if trickle and len(raw) > 1000:
        trickle = 0.0
    server.on("/f", Reply(raw=raw, after="close", trickle=trickle))
    content = b'{"x": 1}' if method == "POST" else None
    url = f"{server.url}/f"
    with httpx.Client(trust_env=False) as plain:
        expected = _outcome(lambda: plain.request(method, url, content=content))
    client = HTTPClient(server.url)
    if kind == "sync":
        with client as opened:
            own = opened.get_or_create_httpx_client()
            assert _outcome(lambda: own.request(method, url, content=content)) == expected
    else:
        built = client.get_or_create_async_httpx_client()

        async def request() -> httpx.Response:
            return await built.request(method, url, content=content)

        assert _outcome(lambda: portal.call(request)) == expected
        portal.call(client.aclose)
    theirs, ours = server.requests
    assert (theirs.method, theirs.target, theirs.body) == (ours.method, ours.target, ours.body)
    assert {**theirs.headers, "user-agent": ""} == {**ours.headers, "user-agent": ""}


@pytest.mark.parametrize("seed", range(20))
def test_an_ordinary_head_is_what_h11_reads(seed: int) -> None:
    """Whatever is taken for an ordinary head, h11 reads the same in it, and keeps the connection."""
    rng = random.Random(seed)  # noqa: S311 - a test that can be repeated
    alphabet = [b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"5", b"\0", b"\xe9", b",", b"X: y\r\n"]
    ordinary = 0
    for _ in range(500):
        data = bytearray(rng.choice([one for one in RESPONSES.values() if len(one) < 1000]))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randrange(2)] = rng.choice(alphabet)
        head = ordinary_head(bytes(data))
        if head is None:
            continue
        ordinary += 1
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(bytes(data[: head.size]) + bytes(head.length))
        response: Any = parser.next_event()
        assert (response.status_code, response.reason) == (head.status, head.reason)
        assert response.headers.raw_items() == head.headers
        received = b""
        while isinstance(event := parser.next_event(), h11.Data):
            received += event.data
        assert isinstance(event, h11.EndOfMessage)
        assert received == bytes(head.length)
        assert parser.their_state is h11.DONE
        assert not parser.trailing_data[0]
    assert ordinary > 20


@pytest.mark.parametrize(
    "fields",
    [
        b"X:" + b" " * 60_000,
        b"X:" + b" " * 30_000 + b"\r\n" + b"Y: a\r\n" * 5_000,
        b"X:" + b" a" * 30_000,
        b"a: \r\n" * 10_000,
        b"a" * 60_000,
    ],
)
def test_a_head_takes_linear_time(fields: bytes) -> None:
    """A hostile head of 64 KiB takes no longer than an ordinary one of its size."""
    data = b"HTTP/1.1 200 OK\r\n" + fields + b"\x00\r\n\r\n"
    began = time.process_time()
    assert ordinary_head(data) is None
    assert time.process_time() - began < 5  # it took minutes


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"X": "a\r\nb"}), ("GET", {"X y": "1"}), ("G T", {}), ("GET", {"Host": "x\0"}),
    ],
)  # fmt: skip
def test_what_is_no_request_is_not_sent(
    server: FaultyServer, method: str, headers: dict[str, str]
) -> None:
    """A head that a server could take for another is refused before anything is sent."""
    server.on("*", Reply(b""))
    with HTTPClient(server.url) as client:
        own = client.get_or_create_httpx_client()
        for _ in range(2):
            with pytest.raises(httpx.LocalProtocolError):
                own.request(method, "/f", headers=headers)
    assert server.requests == []


def test_a_body_without_a_length_is_not_dropped(server: FaultyServer) -> None:
    """A body whose length no header names is refused, as by httpx, and no part of it is lost in silence."""
    server.on("*", Reply(b""))
    with HTTPClient(server.url) as client:
        request = httpx.Request("POST", f"{server.url}/f", stream=httpx.ByteStream(b"x"))
        request.headers["Host"] = "x"
        with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
            client.get_or_create_httpx_client().send(request)


@pytest.mark.parametrize(
    "url",
    ["http://x.invalid/a?b=%20", "http://x.invalid:8080/", "http://[::1]:80/", "http://[::1]/"],
)
def test_a_proxy_receives_the_whole_url(url: str) -> None:
    """The target of a forwarded request is its URL; an IPv6 address in it has its brackets."""
    parts = httpx.URL(url)
    known = httpcore.URL(
        scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path
    )
    assert absolute(known).decode() == str(parts)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_streamed_body_does_not_hold_up_its_head(
    kind: str, portal: BlockingPortal, count: int
) -> None:
    """Its head is sent before the first chunk exists; a server could close the connection meanwhile."""
    has_head = threading.Event()

    def serve(listener: socket.socket) -> bytes:
        with listener.accept()[0] as connection:
            connection.settimeout(HANG)
            request = b""
            while not request.endswith(b"\r\n0\r\n\r\n"):
                request += connection.recv(65536)
                if b"\r\n\r\n" in request:
                    has_head.set()
            connection.sendall(OK + BODY)
            return request.partition(b"\r\n\r\n")[2]

    def chunks() -> Iterator[bytes]:
        assert has_head.wait(HANG)
        yield from [b"chunk"] * count

    async def later() -> AsyncIterator[bytes]:
        await anyio.to_thread.run_sync(has_head.wait, HANG)
        for chunk in chunks():
            yield chunk

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        served = pool.submit(serve, listener)
        client = HTTPClient(f"http://127.0.0.1:{listener.getsockname()[1]}")

        async def post() -> bytes:
            async with client.get_or_create_async_httpx_client() as opened:
                return (await opened.post("/", content=later())).content

        if kind == "async":
            assert portal.call(post) == b"hello"
        else:
            with client.get_or_create_httpx_client() as opened:
                assert opened.post("/", content=chunks()).content == b"hello"
        assert served.result(HANG) == b"5\r\nchunk\r\n" * count + b"0\r\n\r\n"


def test_a_trace_sees_each_step(server: FaultyServer, kind: str, portal: BlockingPortal) -> None:
    """The `trace` extension of httpcore hears each step of a request, also between others without one."""
    server.on("/f", Reply(b"{}"))
    heard: list[str] = []

    def trace(name: str, _: Any) -> None:
        heard.append(name)

    async def async_trace(name: str, _: Any) -> None:
        heard.append(name)

    client = HTTPClient(server.url)
    if kind == "sync":
        with client as opened:
            own = opened.get_or_create_httpx_client()
            for extensions in ({"trace": trace}, {}, {"trace": trace}):
                own.get("/f", extensions=extensions)
    else:
        built = client.get_or_create_async_httpx_client()

        async def requests() -> None:
            for extensions in ({"trace": async_trace}, {}, {"trace": async_trace}):
                await built.get("/f", extensions=extensions)
            await client.aclose()

        portal.call(requests)
    assert heard.count("connection.connect_tcp.complete") == 1
    assert heard.count("http11.receive_response_body.complete") == 2
    assert heard.count("http11.response_closed.complete") == 2
    assert server.connections == 1


def test_httpcore_logs_the_traffic(server: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    """Where a program logs what httpcore does, each step of a request has its record."""
    server.on("/f", Reply(b"{}"))
    with caplog.at_level(logging.DEBUG, httpcore.__name__), HTTPClient(server.url) as client:
        client.get_or_create_httpx_client().get("/f")
    assert any(record.message.startswith("receive_response_headers") for record in caplog.records)
