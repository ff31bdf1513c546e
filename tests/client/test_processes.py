"""Clients in processes, threads and event loops: interrupted, forked, shared, closed early, never closed."""

from __future__ import annotations

import asyncio
import copy
import faulthandler
import gc
import json
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from dcipher import (
    AsyncDcipher,
    Dcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    HTTPClient,
)
from dcipher.logs import logger
from tests.conftest import KEY, QUICK
from tests.faulty import STALL, FaultyServer, Recorded, Reply, json_reply
from tests.results.downloads.stores import run_at
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
# From Python 3.12 on, a fork of a process with threads says so; these tests have threads on purpose.
THREADS_AND_FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
SIDES = ["sync", "asyncio", "trio"]


def echo(request: Recorded) -> Reply:
    """Returns the requested flow."""
    return json_reply(f'{{"id": "{request.path.rpartition("/")[2]}"}}')


@pytest.fixture
def echoing(server: FaultyServer) -> FaultyServer:
    server.on("*", echo)
    return server


# Ctrl-C.

PROGRAM = """
import sys
from dcipher import {cls}, Resilience

CALLS = {{
    "connect": lambda client: client.flows.get("f"),
    "head": lambda client: client.flows.start("stalled"),
    "body": lambda client: client.flows.get("cut"),
    "backoff": lambda client: client.flows.get("busy"),
    "wait": lambda client: client.flows.run("running"),
    "download": lambda client: client.flows.run("done", save_path="result"),
}}
call = CALLS["{moment}"]
options = dict(base_url="{url}", timeout=600.0, resilience=Resilience(backoff_initial=600.0, backoff_max=600.0))

if "{side}" == "sync":
    with Dcipher("k", **options) as client:
        print("go", flush=True)
        call(client)
else:
    async def main():
        async with AsyncDcipher("k", **options) as client:
            print("go", flush=True)
            await call(client)

    if "{side}" == "trio":
        import trio

        trio.run(main)
    else:
        import asyncio

        asyncio.run(main())
"""
STARTED = '{{"taskId": "t", "signedResponseURL": "{}/result?Signature=s"}}'
REATTACH = "client.runs.wait(Run(flow_id="
NOISE = (
    "never awaited",
    "never retrieved",
    "was destroyed",
    "Exception ignored",
    "Exception in thread",
    "ResourceWarning",
    "DcipherError",
)


@pytest.fixture
def troubled(server: FaultyServer) -> FaultyServer:
    """A server where each call of `PROGRAM` hangs at the step in its name."""
    server.on("/flows/stalled/run", STALL)
    server.on("/flows/cut", Reply(b'{"id": "f"}', cut=5, after="stall"))
    server.on("/flows/busy", json_reply("{}", 503))
    for flow, status in (("running", "RUNNING"), ("done", "SUCCEEDED")):
        server.on(f"/flows/{flow}/run", json_reply(STARTED.format(server.url)))
        server.on(f"/flows/{flow}/status", json_reply(f'{{"status": "{status}"}}'))
    server.on(
        "/result", Reply(bytes(3_000_000), 200, {"ETag": '"1"'}, cut=2_000_000, after="stall")
    )
    return server


LAST_SEEN = {
    "head": "/flows/stalled/run",
    "body": "/flows/cut",
    "backoff": "/flows/busy",
    "wait": "/flows/running/status",
    "download": "/result",
}


@pytest.fixture
def full() -> Iterator[str]:
    """A server without free connections."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def connecting(url: str) -> int:
    """Returns how many connections to a server wait for its answer, where Linux lists them."""
    table = Path("/proc/net/tcp")
    address = f"0100007F:{httpx.URL(url).port:04X} 02"  # SYN_SENT
    return table.read_text(encoding="ascii").count(address) if table.exists() else -1


@contextmanager
def killed_at_last(*args: Any, **kwargs: Any) -> Iterator[subprocess.Popen[str]]:
    """A process; a test that fails does not wait for its end."""
    with subprocess.Popen(*args, **kwargs) as process:  # noqa: S603 - our own interpreter
        try:
            yield process
        finally:
            process.kill()


def interrupted(program: str, folder: Path, ready: Callable[[], bool]) -> tuple[int, str]:
    """Runs a program, and interrupts it when it is ready. Returns its exit code and output."""
    # Whoever runs the tests in the background has them ignore Ctrl-C, and so would the program.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with killed_at_last(
        [sys.executable, "-c", heeding + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        until(ready)
        time.sleep(0.2)  # from the server's side of the moment to the client's, mostly
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=HANG)
        return process.returncode, output


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize(
    ("moment", "side"),
    [
        # On the event loops they take turns: each case is a process.
        pytest.param(moment, side, marks=[pytest.mark.thorough] if side == other else [])
        for moment, other in zip(["connect", *LAST_SEEN], ["asyncio", "trio"] * 3, strict=True)
        for side in SIDES
    ],
)
def test_ctrl_c(troubled: FaultyServer, full: str, side: str, moment: str, tmp_path: Path) -> None:
    """Ctrl-C ends a program soon, by KeyboardInterrupt, without output or debris. Its run can be found."""
    (tmp_path / "result").write_bytes(b"old")
    program = PROGRAM.format(
        cls="Dcipher" if side == "sync" else "AsyncDcipher",
        moment=moment,
        url=full if moment == "connect" else troubled.url,
        side=side,
    )
    seen = LAST_SEEN.get(moment)
    code, output = interrupted(program, tmp_path, lambda: seen is None or bool(troubled.seen(seen)))
    assert code in {-signal.SIGINT, 128 + signal.SIGINT}, output
    assert "KeyboardInterrupt" in output
    assert [noise for noise in NOISE if noise in output] == [], output
    assert output.count("Traceback (most recent call last)") <= (1 if side == "sync" else 2), output
    if sys.version_info >= (3, 11):
        assert (REATTACH in output) == (moment in {"wait", "download"}), output
        assert ("idempotency_key=" in output) == (moment in {"head", "wait", "download"}), output
    assert (tmp_path / "result").read_bytes() == b"old"
    others = {path.name for path in tmp_path.iterdir()} - {"result"}
    assert all(name.startswith(".result.") for name in others), others
    assert moment == "download" or not others


# Forks.


def hundred(client: Dcipher, prefix: str) -> bool:
    names = [f"{prefix}{number}" for number in range(100)]
    return [client.flows.get(name).id for name in names] == names


def in_child(work: Callable[[], bool]) -> int:
    """Fork, and let the child do some work; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # A child that hangs is a failure, and not for ever: it says where.
        faulthandler.dump_traceback_later(HANG, exit=True)
        code = 0 if work() else 2
    except BaseException:  # noqa: BLE001 - the child ends below
        traceback.print_exc()
    finally:
        os._exit(code)


def end_of(pid: int) -> int:
    """The exit code of a child."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.fixture(autouse=True)
def _no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables pytest's log capture, whose locks a fork may leave locked in a child."""
    monkeypatch.setattr(logger, "disabled", True)


@FORKS
@THREADS_AND_FORKS
def test_forked_in_the_middle_of_calls(echoing: FaultyServer) -> None:
    """Children that are forked while other threads call, and the parent, get a hundred answers each, their own."""
    with Dcipher(KEY, base_url=echoing.url, resilience=QUICK) as client:
        client.flows.get("before")
        stop = threading.Event()
        wrong: list[str] = []

        def calling(name: str) -> None:
            while not stop.is_set():
                if client.flows.get(name).id != name:
                    wrong.append(name)

        threads = [threading.Thread(target=calling, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        children = []
        for number in range(3):
            time.sleep(0.02)
            children.append(
                in_child(
                    lambda number=number: hundred(client, f"c{number}-") and not client.close()
                )
            )
        good = hundred(client, "p")
        ends = [end_of(pid) for pid in children]
        stop.set()
        for thread in threads:
            thread.join(HANG)
        assert (good, ends, wrong) == (True, [0] * 3, [])
        assert hundred(client, "after")
    of_children = {r.connection for r in echoing.requests if r.path.startswith("/flows/c")}
    of_parent = {r.connection for r in echoing.requests if not r.path.startswith("/flows/c")}
    assert not of_children & of_parent


def test_a_cookie_jar_that_was_locked_at_the_fork(server: FaultyServer) -> None:
    """No call waits for the lock of a cookie jar, which may be locked in a child for ever."""
    with Dcipher(KEY, base_url=server.url, resilience=QUICK) as client:
        cookie = {"Set-Cookie": "a=1"}
        server.on("/flows/f", json_reply('{"id": "f"}', 200, **cookie))
        server.on("/result", json_reply("[1]", 200, **cookie))
        run = run_at(f"{server.url}/result?Signature=s")
        client.flows.get("f")
        client.runs.read(run)
        jars = [jar for jar in gc.get_objects() if isinstance(jar, CookieJar)]
        locked, done = threading.Event(), threading.Event()

        def hold() -> None:
            with ExitStack() as held:
                for jar in jars:
                    held.enter_context(vars(jar)["_cookies_lock"])
                locked.set()
                done.wait(2 * HANG)

        holding = threading.Thread(target=hold)
        holding.start()
        locked.wait(HANG)
        try:
            calling = threading.Thread(
                target=lambda: (client.flows.get("f"), client.runs.read(run), done.set()),
                daemon=True,
            )
            calling.start()
            assert done.wait(HANG)
        finally:
            done.set()
            holding.join()
            calling.join(HANG)


_taken: list[Dcipher] = []


def _take(client: Dcipher) -> None:
    _taken.append(client)


def _look(name: str) -> str:
    return _taken[0].flows.get(name).id


@FORKS
@THREADS_AND_FORKS
def test_pre_forked_workers(echoing: FaultyServer) -> None:
    """Workers of a server that loaded and used the client before it forked do not disturb each other."""
    client = Dcipher(KEY, base_url=echoing.url, resilience=QUICK)
    client.flows.get("before")
    with multiprocessing.get_context("fork").Pool(3, _take, (client,)) as pool:
        names = [f"m{number}" for number in range(100)]
        assert pool.map(_look, names) == names
    children = [in_child(lambda n=n: hundred(client, f"w{n}-")) for n in range(4)]
    assert [end_of(pid) for pid in children] == [0] * 4
    assert client.flows.get("after").id == "after"
    of = {request.path: request.connection for request in echoing.requests}
    assert of["/flows/before"] == of["/flows/after"]
    client.close()


@FORKS
@THREADS_AND_FORKS
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_with_its_own_event_loop(echoing: FaultyServer, backend: str) -> None:
    """A used async client works in the loop of a child, and is closed there. The parent continues."""
    client = AsyncDcipher(KEY, base_url=echoing.url, resilience=QUICK)

    async def hundred_async(prefix: str) -> bool:
        return all(
            [(await client.flows.get(f"{prefix}{n}")).id == f"{prefix}{n}" for n in range(100)]
        )

    def child() -> bool:
        async def main() -> bool:
            async with client:
                return await hundred_async("c")

        # In a thread: this one's event loop is the parent's still.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: anyio.run(main, backend=backend)).result()

    async def parent() -> bool:
        async with client:
            await client.flows.get("before")
            pid = in_child(child)
            good = await hundred_async("p")
            return end_of(pid) == 0 and good and (await client.flows.get("after")).id == "after"

    assert anyio.run(parent, backend=backend)
    of = {request.path: request.connection for request in echoing.requests}
    assert of["/flows/before"] == of["/flows/p0"] == of["/flows/after"] != of["/flows/c0"]


class Held:
    """Another thread that holds a lock during a fork."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._holds, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._lock():
            self._holds.set()
            self._done.wait(2 * HANG)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._holds.wait(HANG)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(HANG)


def locks_of(client: Dcipher) -> dict[str, Any]:
    from dcipher._wire.pools import certificates

    http = client._api.http
    (pool,) = [pool for pool in http._routes.pools().values() if pool is not None]
    return {
        "connections": pool._state._lock,
        "routes": http._routes._lock,
        "certificates": certificates._lock,
        "httpx": http._lock,
    }


@FORKS
@THREADS_AND_FORKS
@pytest.mark.parametrize("which", ["connections", "routes", "certificates", "httpx"])
def test_forked_while_a_lock_is_held(echoing: FaultyServer, which: str) -> None:
    """A child that is forked during the first connection, or the loading of certificates, does not hang."""
    from dcipher._wire.pools.certificates import ssl_context

    with Dcipher(KEY, base_url=echoing.url, resilience=QUICK) as client:

        def work() -> bool:
            ssl_context("https", verify=True, httpx_args={})
            return client.flows.get("c").id == "c"

        with Held(locks_of(client)[which]):
            pid = in_child(work)
            assert end_of(pid) == 0


@FORKS
@THREADS_AND_FORKS
def test_a_child_that_exits(echoing: FaultyServer) -> None:
    """A child that ends prints nothing, and closes nothing of its parent."""
    program = f"""
import asyncio, os, sys
from dcipher import AsyncDcipher, Dcipher

client = Dcipher("k", base_url="{echoing.url}")
client.flows.get("before")
async_client = AsyncDcipher("k", base_url="{echoing.url}")
loop = asyncio.new_event_loop()
loop.run_until_complete(async_client.flows.get("async-before"))
pid = os.fork()
if pid == 0:
    client.flows.get("child")
    sys.exit()
os.waitpid(pid, 0)
client.flows.get("after")
client.close()
loop.run_until_complete(async_client.flows.get("async-after"))
loop.run_until_complete(async_client.aclose())
loop.close()
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * HANG,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    of = {request.path: request.connection for request in echoing.requests}
    assert of["/flows/before"] == of["/flows/after"] != of["/flows/child"]
    assert of["/flows/async-before"] == of["/flows/async-after"]


# Threads.


def test_more_threads_than_connections(echoing: FaultyServer) -> None:
    """Fifty threads on five connections, through derived clients too, each get their own answers."""
    http = HTTPAuthenticatedClient(
        echoing.url, api_key=KEY, httpx_args={"limits": httpx.Limits(max_connections=5)}
    )
    with Dcipher(http_client=http, resilience=QUICK) as client:

        def calling(number: int) -> bool:
            own = client if number % 2 else client.with_options(timeout=20, headers={"X-A": "1"})
            names = [f"n{number}-{call}" for call in range(10)]
            return [own.flows.get(name).id for name in names] == names

        with ThreadPoolExecutor(50) as pool:
            assert all(pool.map(calling, range(50)))
    assert echoing.connections == 5


def test_closed_while_others_call(server: FaultyServer) -> None:
    """If a client is closed during thirty calls, each has its response, or an error that says so."""
    server.on("*", lambda request: Reply(echo(request).body, delay=0.01))
    client = Dcipher(KEY, base_url=server.url, resilience=QUICK)
    errors: list[BaseException] = []

    def calling(number: int) -> int:
        calls = 0
        try:
            while True:
                assert client.flows.get(f"n{number}").id == f"n{number}"
                calls += 1
        except DcipherError as error:
            errors.append(error)
        return calls

    with ThreadPoolExecutor(30) as pool:
        threads = [pool.submit(calling, number) for number in range(30)]
        assert until(lambda: len(server.requests) > 100)
        client.close()
        calls = [thread.result(HANG) for thread in threads]
    assert sum(calls) > 0
    assert len(errors) == 30
    assert {type(error) for error in errors} == {DcipherError}
    assert all("closed" in str(error) for error in errors)
    assert server.open_connections() == 0


def test_an_httpx_client_that_is_set_in_another_thread(echoing: FaultyServer) -> None:
    """An httpx client that one thread sets carries the calls of all that ask after it, and is theirs to close."""
    first = HTTPAuthenticatedClient(echoing.url, api_key=KEY)
    with httpx.Client(base_url=echoing.url) as own, ThreadPoolExecutor(10) as pool:
        pool.submit(first.set_httpx_client, own).result()
        found = list(pool.map(lambda _: first.get_or_create_httpx_client(), range(50)))
        assert all(client is own for client in found)
        client = Dcipher(http_client=first, resilience=QUICK)
        names = [f"n{number}" for number in range(100)]
        assert [flow.id for flow in pool.map(client.flows.get, names)] == names
        client.close()
        assert not own.is_closed


# Event loops.


async def poll(client: AsyncDcipher, name: str) -> str:
    return (await client.flows.get(name)).id


def test_asyncio_then_trio_then_asyncio(echoing: FaultyServer) -> None:
    """One client, made outside of any loop, is used in the loops of two libraries, one after the other."""
    client = AsyncDcipher(KEY, base_url=echoing.url, resilience=QUICK)
    for number, backend in enumerate(("asyncio", "trio", "asyncio", "trio")):
        assert anyio.run(poll, client, f"n{number}", backend=backend) == f"n{number}"
    assert echoing.connections == 4


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("asyncio", "trio")])
def test_two_loops_at_the_same_time(echoing: FaultyServer, backends: tuple[str, str]) -> None:
    """Two threads with a loop each share one client, and get their own responses."""
    client = AsyncDcipher(KEY, base_url=echoing.url, resilience=QUICK)

    async def hundred_async(prefix: str) -> bool:
        names = [f"{prefix}{number}" for number in range(100)]
        return [await poll(client, name) for name in names] == names

    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(anyio.run, hundred_async, f"{number}-", backend=backend)
            for number, backend in enumerate(backends)
        ]
        assert [end.result(HANG) for end in ends] == [True, True]
    assert echoing.connections == 2


def test_closed_in_another_loop(echoing: FaultyServer) -> None:
    """A client that is closed in another loop than it was used in is closed everywhere, without a word."""
    client = AsyncDcipher(KEY, base_url=echoing.url, resilience=QUICK)

    async def main() -> None:
        await poll(client, "a")
        with ThreadPoolExecutor(1) as pool:
            closing = pool.submit(asyncio.run, client.aclose())
            await asyncio.wrap_future(closing)
        with pytest.raises(DcipherError, match="closed"):
            await poll(client, "b")

    asyncio.run(main())
    assert echoing.connections == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nested_blocks(echoing: FaultyServer, backend: str) -> None:
    """The inner of two `with` blocks closes the client. A later call is an error, and the outer block ends."""

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=echoing.url) as client:
            async with client:
                assert await poll(client, "a") == "a"
            with pytest.raises(DcipherError, match="closed"):
                await poll(client, "b")

    anyio.run(main, backend=backend)
    with Dcipher(KEY, base_url=echoing.url) as client:
        with client:
            assert client.flows.get("a").id == "a"
        with pytest.raises(DcipherError, match="closed"):
            client.flows.get("b")


# How a program ends.

ENDS = {
    "sync": "client = Dcipher('k', base_url=URL); client.flows.get('f')",
    "thread": """
import threading
client = Dcipher('k', base_url=URL)
threading.Thread(target=client.flows.get, args=('f',)).start()
""",
    "asyncio": """
client = AsyncDcipher('k', base_url=URL)
async def main():
    await client.flows.get('f')
import asyncio
asyncio.run(main())
""",
    "trio": """
client = AsyncDcipher('k', base_url=URL)
async def main():
    await client.flows.get('f')
import trio
trio.run(main)
""",
    "a loop that is not closed": """
import asyncio
client = AsyncDcipher('k', base_url=URL)
loop = asyncio.new_event_loop()
loop.run_until_complete(client.flows.get('f'))
""",
    "a watch that is not finished": """
import asyncio
client = AsyncDcipher('k', base_url=URL)
async def main():
    from dcipher import Run
    async for run in client.runs.watch(Run(flow_id='f', task_id='t')):
        break
asyncio.run(main())
""",
    "a cycle": "client = Dcipher('k', base_url=URL); client.me = client; client.flows.get('f')",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_ends_with_open_clients(server: FaultyServer, end: str) -> None:
    """A program that closes no client ends without a word."""
    server.on("*", json_reply('{"id": "f", "status": "RUNNING"}'))
    program = f"from dcipher import AsyncDcipher, Dcipher\nURL = {server.url!r}\n{ENDS[end]}"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * HANG,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.requests


# Copies.

COPIED: dict[str, Callable[[], Any]] = {
    "client": lambda: Dcipher("k"),
    "async client": lambda: AsyncDcipher("k"),
    "flows": lambda: Dcipher("k").flows,
    "runs": lambda: Dcipher("k").runs,
    "async flows": lambda: AsyncDcipher("k").flows,
    "async runs": lambda: AsyncDcipher("k").runs,
    "HTTPClient": lambda: HTTPClient("https://dcipher.invalid"),
    "HTTPAuthenticatedClient": lambda: HTTPAuthenticatedClient(
        "https://dcipher.invalid", api_key="canary"
    ),
}


@pytest.mark.parametrize("what", COPIED)
@pytest.mark.parametrize("how", [copy.deepcopy, pickle.dumps])
def test_objects_with_connections_are_not_copied(what: str, how: Callable[[Any], Any]) -> None:
    """A deep copy or a pickle of a client, or of its parts, is a TypeError with advice."""
    with pytest.raises(TypeError, match=r"cannot be copied or pickled: it (has|holds) connections"):
        how(COPIED[what]())


@pytest.mark.parametrize("what", [name for name in COPIED if "lient" in name])
def test_a_client_is_not_copied_flat(what: str) -> None:
    """A flat copy of a client is a TypeError, too."""
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.copy(COPIED[what]())


FEW_FILES = """
import asyncio, logging, os, resource, sys
from contextlib import suppress
from dcipher import AsyncDcipher, Dcipher, Resilience, Run
from concurrent.futures import ThreadPoolExecutor
kind, url, failed = sys.argv[1:]

class Tells(logging.Handler):
    def emit(self, record):
        if "attempt 1 failed" in record.getMessage():
            with suppress(FileExistsError):
                os.mkdir(failed)  # which needs no open file

logging.getLogger("dcipher").addHandler(Tells())
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
how = dict(api_key="emu_canary-key-0123456789", base_url=url, resilience=Resilience(max_retries=20))
if kind == "sync":
    with Dcipher(**how) as client, ThreadPoolExecutor(100) as pool:
        runs = [*pool.map(lambda _: client.flows.start("f"), range(100))]
        rows = [*pool.map(client.runs.read, runs)]
else:
    async def main():
        async with AsyncDcipher(**how) as client:
            runs = await asyncio.gather(*(client.flows.start("f") for _ in range(100)))
            return runs, await asyncio.gather(*map(client.runs.read, runs))
    runs, rows = asyncio.run(main())
assert len({run.task_id for run in runs}) == 100, runs
assert rows == [[1]] * 100
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_too_many_open_files(server: FaultyServer, tmp_path: Path, kind: str) -> None:
    """Without a descriptor for a socket, nothing was sent: each start is retried, and none is sent twice.

    What is needed after a start, or after its failure, needs no file to be opened.
    """
    pytest.importorskip("resource")
    failed = tmp_path / "failed"
    started: Counter[str] = Counter()

    def start(request: Recorded) -> Reply:
        started[request.headers["idempotency-key"]] += 1
        until(
            failed.is_dir
        )  # so many connections are open at once that there is no room for another
        url = f"{server.url}/result?X-Amz-Signature=canary-signature"
        task = request.headers["idempotency-key"]
        return json_reply(json.dumps({"taskId": task, "signedResponseURL": url}))

    server.on("/flows/f/run", start)
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", json_reply("[1]"))
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", FEW_FILES, kind, server.url, str(failed)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(started.values()) == {1}
    assert failed.is_dir()  # there were too many


NO_IMPORTS = """
import asyncio, errno, sys
import dcipher
from dcipher import AsyncDcipher, Dcipher, LocalStorageError
kind, url, path = sys.argv[1:]
how = dict(api_key="emu_canary-key-0123456789", base_url=url)

class Full:
    def find_spec(self, name, path=None, target=None):
        raise OSError(errno.EMFILE, "Too many open files", name)

def refuse(run):  # from the end of the run on, no module can be imported
    if run.is_terminal and not any(isinstance(finder, Full) for finder in sys.meta_path):
        sys.meta_path.insert(0, Full())

def again():
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Full)]

USES = ("read", "download", "records", "table", "to_arrow", "to_pandas", "to_polars")

def refused(name, error, run):
    assert isinstance(error, LocalStorageError), (name, error)
    assert (error.errno, error.run.task_id) == (errno.EMFILE, run.task_id), name

if kind == "sync":
    with Dcipher(**how) as client:
        run = client.flows.run("f", on_status=refuse)
        for name in USES:
            try:
                getattr(client.runs, name)(run, *[path] * (name == "download"))
            except Exception as error:
                refused(name, error, run)
            else:
                raise AssertionError(name)
        again()
        assert client.runs.read(run) == [1]
        assert client.flows.run("f", save_path=path, on_status=refuse).files
        assert client.runs.read(run) == [1]
else:
    async def main():
        async with AsyncDcipher(**how) as client:
            run = await client.flows.run("f", on_status=refuse)
            for name in USES:
                try:
                    coroutine = getattr(client.runs, name)(run, *[path] * (name == "download"))
                    await coroutine
                except Exception as error:
                    refused(name, error, run)
                else:
                    raise AssertionError(name)
            again()
            assert await client.runs.read(run) == [1]
            assert (await client.flows.run("f", save_path=path, on_status=refuse)).files
            assert await client.runs.read(run) == [1]
    asyncio.run(main())
"""

SAVED_WITHOUT_IMPORTS = NO_IMPORTS.replace(
    '"f", on_status=refuse)', '"f", save_path=path, on_status=refuse)'
).replace("in USES", "in ()")


@pytest.mark.parametrize("script", [NO_IMPORTS, SAVED_WITHOUT_IMPORTS], ids=["asked", "saved"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_module_can_be_imported_after_the_run(
    server: FaultyServer, tmp_path: Path, kind: str, script: str
) -> None:
    """`flows.run` saves its result. A later call is a LocalStorageError, and works afterwards."""
    server.on(
        "/flows/f/run", json_reply(f'{{"taskId": "t", "signedResponseURL": "{server.url}/result"}}')
    )
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", json_reply("[1]"))
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script, kind, server.url, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


FAILURES_WITHOUT_IMPORTS = """
import asyncio, errno, sys, httpx
from dcipher import AsyncDcipher, Dcipher, InternalServerError, Resilience, UnprocessableEntityError
kind, url = sys.argv[1:]

class Full:
    def find_spec(self, name, path=None, target=None):
        raise OSError(errno.EMFILE, "Too many open files", name)

def full(response):  # from the first response on, no module can be imported
    if not any(isinstance(finder, Full) for finder in sys.meta_path):
        sys.meta_path.insert(0, Full())

async def full_async(response):
    full(response)

how = dict(api_key="emu_canary-key-0123456789", base_url=url, resilience=Resilience(backoff_initial=0.01))
if kind == "sync":
    how["http_client"] = httpx.Client(event_hooks={"response": [full]})
    def call(name, *arguments):
        return getattr(Dcipher(**how).flows, name)(*arguments)
else:
    how["http_client"] = httpx.AsyncClient(event_hooks={"response": [full_async]})
    loop = asyncio.new_event_loop()
    def call(name, *arguments):
        return loop.run_until_complete(getattr(AsyncDcipher(**how).flows, name)(*arguments))
for name, arguments, error in (
    ("get", ["f"], InternalServerError), ("start", ["f", {}], UnprocessableEntityError),
):
    try:
        call(name, *arguments)
    except error as failed:
        print(name, failed.attempts, *failed.error.field_errors)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Full)]
if kind == "async":
    loop.close()
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_module_can_be_imported_after_a_failure(server: FaultyServer, kind: str) -> None:
    """A start is retried, and its error is read. Another call, if it cannot be retried, raises its own error."""
    invalid = '{"detail": [{"loc": ["body", "top"], "msg": "too large", "type": "le"}]}'
    server.on("/flows/f", json_reply(invalid, status=503))
    replies = iter([json_reply("{}", status=503), json_reply(invalid, status=422)])
    server.on("/flows/f/run", lambda _: next(replies))
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [
            sys.executable,
            "-Wignore::ResourceWarning",
            "-c",
            FAILURES_WITHOUT_IMPORTS,
            kind,
            server.url,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[:2] == [
        "get 1 body.top: too large",
        "start 2 body.top: too large",
    ]
