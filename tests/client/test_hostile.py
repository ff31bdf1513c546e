"""Hostile servers: endless, slow and monstrous responses, unexpected bytes."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme

from dcipher import (
    APITimeoutError,
    AsyncDcipher,
    Dcipher,
    DcipherError,
    HTTPClient,
    InternalServerError,
    InvalidResponseError,
    Resilience,
    ResultError,
    WaitTimeoutError,
)
from tests.conftest import KEY
from tests.faulty import FaultyServer, Reply, json_reply
from tests.results.downloads.stores import run_at
from tests.waiting import HANG, fastest, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Connect

ONCE = Resilience(max_retries=0)
BACKENDS = ["asyncio", "trio"]


class Listening:
    """Accepts connections, and serves each with a function in its own thread."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(
                threading.Thread(target=self._one, args=(connection,), daemon=True)
            )
            self._threads[-1].start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                self._serve(connection)
            except OSError:  # the client has gone
                return

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    running: list[Listening] = []

    def start(serve: Callable[[socket.socket], None]) -> Listening:
        running.append(Listening(serve))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate, which the clients trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def answer(text: str) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return (head + text).encode()


class InRecords:
    """TLS with control of the ends of its records."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._connection.recv(65536)
                if not data:
                    raise ConnectionResetError from None
                self._in.write(data)
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if self._out.pending:
            self._connection.sendall(self._out.read())

    def read(self) -> bytes:
        return bytes(self._until_done(lambda: self._tls.read(65536)))

    def send(self, *records: bytes) -> None:
        for record in records:
            self._tls.write(record)
        self._flush()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unrequested_response_over_tls(
    listen: Callable[..., Listening], certificate: ssl.SSLContext, backend: str
) -> None:
    """It is not used for the next request, even if it was in its own record."""

    def serve(connection: socket.socket) -> None:
        tls = InRecords(connection, certificate)
        while request := tls.read():
            name = request.split(b" ")[1].rsplit(b"/", 1)[-1].decode()
            tls.send(answer(f'{{"id": "{name}"}}'), answer('{"id": "nobody asked"}'))

    port = listen(serve).port

    async def main() -> list[str]:
        async with AsyncDcipher(KEY, base_url=f"https://localhost:{port}") as client:
            return [(await client.flows.get(name)).id for name in "abc"]

    assert anyio.run(main, backend=backend) == ["a", "b", "c"]


def hints_without_end(connection: socket.socket) -> None:
    connection.recv(65536)
    while True:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 200)


@pytest.mark.parametrize("what", ["get", "read", "wait"])
def test_endless_informational_responses(
    connect: Connect, listen: Callable[..., Listening], what: str
) -> None:
    """Endless 103 responses are limited by the timeout, as silence is."""
    url = f"http://127.0.0.1:{listen(hints_without_end).port}"
    client = connect(None, base_url=url, resilience=ONCE, timeout=0.5)
    started = run_at(url).model_copy(update={"status": "STARTED"})
    calls: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
        "get": (APITimeoutError, lambda: client.flows.get("f")),
        "read": (ResultError, lambda: client.runs.read(run_at(f"{url}/r?Signature=s"))),
        "wait": (WaitTimeoutError, lambda: client.runs.wait(started, timeout=1.0)),
    }
    error, call = calls[what]
    with no_hang(), pytest.raises(error):
        call()


def test_a_slow_handshake(
    connect: Connect, listen: Callable[..., Listening], certificate: ssl.SSLContext
) -> None:
    """The timeout of a wait, and a deadline, end it in any state of the connection."""

    def serve(connection: socket.socket) -> None:
        time.sleep(0.8)
        with certificate.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(65536):  # and says nothing
                continue

    url = f"https://localhost:{listen(serve).port}"
    resilience = Resilience(deadline=1.2, max_retries=1)
    client = connect(None, base_url=url, resilience=resilience, timeout=8.0)

    def call() -> None:
        with pytest.raises(APITimeoutError):
            client.flows.get("f")

    fastest(call, 1.9)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_many_stores(connect: Connect) -> None:
    """For results from many hosts, only few connections stay open."""
    servers = [FaultyServer() for _ in range(30)]
    client = connect(None, base_url="http://127.0.0.1:9")
    try:
        for server in servers:
            server.__enter__()
            server.on("*", json_reply("[1]"))
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as few objects as possible
        for server in servers:
            assert client.runs.read(run_at(f"{server.url}/r?Signature=s")) == [1]
        # Ten connections, each with its other end in this process.
        assert len(os.listdir("/proc/self/fd")) - before <= 2 * 10 + 4  # noqa: PTH208
        assert client.runs.read(run_at(f"{servers[-1].url}/r?Signature=s")) == [1]
        assert len({request.connection for request in servers[-1].requests}) == 1
    finally:
        for server in servers:
            server.__exit__(None, None, None)


def test_an_idle_connection_to_another_store_expires(server: FaultyServer) -> None:
    """An idle connection is closed when another is released."""
    server.on("*", json_reply("[1]"))
    with (
        FaultyServer() as other,
        HTTPClient("http://127.0.0.1:9", httpx_args={"limits": limits(0.05)}) as http,
    ):
        other.on("*", json_reply("[1]"))
        client = http.get_or_create_httpx_client()
        for url in (server.url, other.url, server.url):
            client.get(url)
            time.sleep(0.1)
        pool = next(pool for pool in http._routes.pools().values() if pool is not None)
        assert len(pool._state.peek().idle._idle) == 1


def limits(expiry: float) -> Any:
    import httpx

    return httpx.Limits(keepalive_expiry=expiry)


def test_a_response_of_another_protocol(connect: Connect, server: FaultyServer) -> None:
    """If the first byte is not HTTP, it is an error at once."""
    server.on("/flows/f", json_reply("[]"))
    with pytest.raises(InvalidResponseError):
        connect(server).flows.get("f")


# Closed in the middle.


def test_closed_while_a_run_is_waited_for(connect: Connect, server: FaultyServer) -> None:
    """Closing the client during a wait does not lose the run."""
    client = connect(server)
    server.on(
        "/flows/f/run", json_reply('{"taskId": "t", "signedResponseURL": "http://127.0.0.1:9/r"}')
    )

    def close_soon(_: Any) -> Any:
        client.close()
        return json_reply('{"status": "STARTED"}')

    server.on("/flows/f/status", close_soon)
    with pytest.raises(Exception, match="closed") as caught:
        client.flows.run("f")
    assert caught.value.run.task_id == "t"  # type: ignore[attr-defined]
    assert caught.value.run.outputs  # type: ignore[attr-defined]
    assert "runs.wait" in str(caught.value)


def test_closed_before_a_start_is_retried(connect: Connect, server: FaultyServer) -> None:
    """The error of a start in doubt says how to repeat it, if the client was closed before its retry."""
    client = connect(server, resilience=Resilience(backoff_initial=0.5, backoff_max=0.5))

    def close_soon(_: Any) -> Any:
        threading.Timer(0.1, client.close).start()
        return json_reply("{}", 503)

    server.on("/flows/f/run", close_soon)
    with pytest.raises(Exception, match="503") as caught:
        client.flows.start("f", idempotency_key="k-1")
    assert "k-1" in str(caught.value)
    assert len(server.requests) == 1


# Interrupted at any moment.


def test_a_lock_is_left_unlocked() -> None:
    """A signal between the steps of the lock of a process finds a lock of C, which has no steps."""
    from dcipher._concurrency.scopes import ForkLock

    lock = ForkLock()
    assert type(lock()) is type(threading.Lock())
    with lock():
        assert lock().locked()
    assert not lock().locked()


def test_a_lost_permit_is_returned(server: FaultyServer) -> None:
    """A permit whose holder was interrupted before the release is available when it is collected."""
    from dcipher._concurrency.limiting import Limiter

    limiter = Limiter(1)
    permit = limiter.acquire(1.0)
    with pytest.raises(TimeoutError):
        limiter.acquire(0.01)
    del permit
    again = limiter.acquire(1.0)
    again.release()
    again.release()
    held = limiter.acquire(1.0)
    with pytest.raises(TimeoutError):
        limiter.acquire(0.01)
    held.release()


INTERRUPTED = """
import random, signal, sys, threading, time
from dcipher import Dcipher

class Alarm(BaseException):
    pass

def ring(*_):
    raise Alarm

chance = random.Random(5)
client = Dcipher("emu_x", base_url=sys.argv[1], max_retries=0)
calls = int(sys.argv[2])
client.flows.get("warm")
signal.signal(signal.SIGALRM, ring)
interrupted = wrong = number = 0
while number < calls or interrupted < calls // 10:
    number += 1
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.0015))
            wrong += client.flows.get(f"f{number}").id != f"f{number}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Alarm:
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert not wrong, wrong
assert client.flows.get("after").id == "after"
client.close()
print("done")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
@pytest.mark.parametrize("calls", [150, pytest.param(1500, marks=pytest.mark.thorough)])
def test_calls_that_signals_interrupt(server: FaultyServer, calls: int) -> None:
    """After hundreds of calls that a signal interrupted, a client works, and mixes up no response."""
    server.on("*", lambda request: json_reply(f'{{"id": "{request.path.rsplit("/", 1)[-1]}"}}'))
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "ignore", "-c", INTERRUPTED, server.url, str(calls)],
        capture_output=True,
        text=True,
        timeout=HANG + calls,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
        },
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr[-3000:]


MIB = 1024 * 1024
SIGNED = [f"https://h/r{n}?X-Amz-Signature={'a' * 60}{n:04}" for n in range(100)]
HEAVY: dict[str, Reply] = {
    "a hundred URLs": json_reply(
        json.dumps(
            {
                "taskId": "t",
                "status": "a" * 20_000,
                "note": ["a" * 20_000],
                "signedResponseURLs": SIGNED,
            }
        )
    ),
    "the key's letters": Reply(b"a" * 8 * MIB, 500),
    "a page": Reply(b"<p>a&amp;b\r\n</p>" * (8 * MIB // 16), 502, {"Content-Type": "text/html"}),
    "escapes": Reply(b"%61" * (8 * MIB // 3), 500),
    "entities": Reply(b"&#x61;" * (8 * MIB // 6), 500),
    "numbers": Reply(b"[" + b"0," * (4 * MIB - 8) + b"0]", 500),
    "names": Reply(b"{" + b'"a":"a",' * (MIB - 8) + b'"b":0}', 500),
    "a long field": json_reply(json.dumps({"taskId": "t", "status": "X", "id": "a%61" * MIB})),
    "headers": Reply(b"", 500, {f"X-{n}": "a" * 8000 for n in range(9)}),
}


@pytest.mark.parametrize("reply", HEAVY.values(), ids=list(HEAVY))
@pytest.mark.parametrize("key", ["a" * 200, "emu_k3y+/abcdef=0123"])
def test_no_response_takes_long_to_be_redacted(
    connect: Connect, server: FaultyServer, key: str, reply: Reply
) -> None:
    """Redacting any response takes at most seconds, and shows no key."""
    server.on("*", reply)
    client = connect(server, api_key=key, max_retries=0)
    began = time.process_time()
    for call in (client.flows.get, client.flows.start, lambda id_: client.runs.get(id_, "t")):
        with contextlib.suppress(DcipherError):
            call("f")
    assert time.process_time() - began < 60  # it was minutes


@pytest.mark.parametrize("body", [b"a" * 8 * MIB, b'{"message": "down"}' + b" " * 8 * MIB])
def test_the_body_of_an_error_is_bounded(
    connect: Connect, server: FaultyServer, body: bytes
) -> None:
    """An error has the beginning of a body that is too long."""
    server.on("*", Reply(body, 500))
    with pytest.raises(InternalServerError) as caught:
        connect(server, max_retries=0).flows.get("f")
    assert caught.value.response is not None
    assert len(caught.value.response.content) == len(str(caught.value.body)) == 65_536


def test_an_ordinary_answer_is_searched_once(server: FaultyServer) -> None:
    """The number of steps does not grow with the fields of an answer that repeats nothing."""
    calls = []
    for fields in (1, 1000):
        server.on("*", json_reply(json.dumps({"id": "f", **{f"x{n}": "y" for n in range(fields)}})))
        counted = 0

        def count(frame: Any, event: str, _: object) -> None:
            nonlocal counted
            counted += event == "call" and "/dcipher/" in frame.f_code.co_filename

        with Dcipher("emu_k3y+/abcdef=0123", base_url=server.url) as client:
            client.flows.get("f")  # what is imported and cached
            sys.setprofile(count)
            try:
                client.flows.get("f")
            finally:
                sys.setprofile(None)
        calls.append(counted)
    assert calls[1] <= calls[0] + 20
