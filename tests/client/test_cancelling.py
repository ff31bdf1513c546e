"""Calls that are cancelled at any moment, by any means: the cancellation is raised, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import ssl
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
import trio
import trustme

from dcipher import AsyncDcipher, HTTPAuthenticatedClient, Output, Resilience, Run
from dcipher._concurrency.timing import async_within
from tests.conftest import KEY
from tests.faulty import STALL, FaultyServer, Reply, json_reply
from tests.waiting import HANG, at_work, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    Call = Callable[[], Awaitable[Any]]
    Means = Callable[[Call, float], Awaitable[None]]

PLACES = 4
LONGEST = 0.03
"""Seconds within which a call is cancelled."""
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
LARGE = "x" * 3_000_000
PATIENT = Resilience(max_retries=3, backoff_initial=5.0)


async def nap(*_: object) -> None:
    await anyio.sleep(5)


class Moment(NamedTuple):
    """The state of a call when it is cancelled."""

    name: str
    call: Callable[[AsyncDcipher, Run, Path], Awaitable[Any]]
    reply: Reply = STALL
    """Of the path that the call is made to."""
    listens: bool = True
    """Whether the server accepts connections from the beginning; else the kernel alone does."""
    full: bool = False
    """Whether the kernel's queue is full, so that nothing is connected."""
    tls: bool = False


def get(client: AsyncDcipher, _: Run, __: Path) -> Awaitable[Any]:
    return client.flows.get("slow")


MOMENTS = [
    Moment("connecting", get, full=True, listens=False),
    Moment("handshake", get, tls=True, listens=False),
    Moment("tls", get, Reply(b'{"id": "f"}', delay=0.01), tls=True),
    Moment(
        "sending", lambda client, _, __: client.flows.start("slow", {"text": LARGE}), listens=False
    ),
    Moment("head", get),
    Moment("any", get, Reply(b'{"id": "f"}', framing="chunked", delay=0.004)),
    Moment("body", get, Reply(b'{"id": "f"}' + b" " * 50, trickle=0.002)),
    Moment("backoff", get, json_reply("{}", 503)),
    Moment(
        "poll",
        lambda client, run, _: client.runs.wait(
            Run(flow_id=run.flow_id, task_id="t"), poll_interval=0.01
        ),
        json_reply('{"status": "RUNNING"}'),
    ),
    Moment(
        "status callback",
        lambda client, run, _: client.runs.wait(
            Run(flow_id=run.flow_id, task_id="t"), on_status=nap
        ),
        json_reply('{"status": "RUNNING"}'),
    ),
    Moment(
        "download",
        lambda client, run, folder: client.runs.download(run, folder / "result"),
        Reply(bytes(300_000), cut=200_000, after="stall"),
    ),
    Moment(
        "progress callback",
        lambda client, run, folder: client.runs.download(run, folder / "result", on_progress=nap),
        Reply(bytes(4_000_000)),
    ),
]


# By what means a call is cancelled after some seconds.


async def by_scope(call: Call, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await call()


async def by_wait_for(call: Call, seconds: float) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(call(), seconds)


async def by_timeout(call: Call, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await call()


async def by_cancel(call: Call, seconds: float) -> None:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(seconds)
    task.cancel()
    while sys.version_info < (3, 11) and not task.done():
        # Before Python 3.11, a cancellation is lost that falls together with one of anyio's own.
        await asyncio.sleep(0.05)
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Sibling(Exception):  # noqa: N818 - what a sibling raises
    """Fails, and cancels the other tasks of its group."""


async def failing(seconds: float) -> None:
    await anyio.sleep(seconds)
    raise Sibling


@contextmanager
def siblings() -> Generator[None]:
    """Checks that a group raises only the exception of the failed sibling."""
    try:
        yield
    except BaseException as error:
        if kinds(error) != {"Sibling"}:
            raise


async def by_sibling(call: Call, seconds: float) -> None:
    with siblings():
        async with anyio.create_task_group() as group:
            group.start_soon(failing, seconds)
            await call()


async def by_task_group(call: Call, seconds: float) -> None:
    with siblings():
        async with asyncio.TaskGroup() as group:
            group.create_task(failing(seconds))
            group.create_task(call())  # type: ignore[arg-type]


async def by_trio(call: Call, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await call()


def kinds(error: BaseException) -> set[str]:
    """Returns the class of an exception, or those of the exceptions in a group."""
    within: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if within is None:
        return {type(error).__name__}
    return {name for inner in within for name in kinds(inner)}


MEANS: dict[str, list[Means]] = {
    "asyncio": [by_scope, by_cancel, by_sibling],
    "trio": [by_trio, by_sibling],
}
if sys.version_info >= (3, 11):
    MEANS["asyncio"] += [by_wait_for, by_timeout, by_task_group]


@contextmanager
def full_queue(server: FaultyServer) -> Generator[None]:
    """Nothing is connected to the server: its queue has room for one connection, which is there."""
    with ExitStack() as stack:
        server._listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", server.port))
        yield
        server._listening.listen(512)


def served(moment: Moment, authority: trustme.CA) -> FaultyServer:
    context = None
    if moment.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    server = FaultyServer(context)
    for path in ("/flows/slow", "/flows/slow/run", "/flows/slow/status", "/result"):
        server.on(path, moment.reply)
    server.on("/flows/f", json_reply('{"id": "f"}'))
    return server


def client_of(server: FaultyServer, authority: trustme.CA) -> AsyncDcipher:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    http = HTTPAuthenticatedClient(
        server.url,
        api_key=KEY,
        verify_ssl=trusting,
        timeout=HANG,
        httpx_args={"limits": httpx.Limits(max_connections=PLACES)},
    )
    return AsyncDcipher(http_client=http, resilience=PATIENT)


def descriptors() -> int:
    gc.collect()
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def cancelled(
    call: Call, means: list[Means], number: int, seed: int, ended: Counter[str]
) -> None:
    """Makes so many concurrent calls in each way, and cancels each at its own moment."""
    rng = random.Random(seed)  # noqa: S311 - the moments are to be the same each time

    async def noted() -> None:
        try:
            await call()
        except BaseException as error:
            ended[type(error).__name__] += 1
            raise
        ended["an answer"] += 1

    for mean in means:
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(mean, noted, rng.uniform(0, LONGEST))


async def usable(client: AsyncDcipher) -> None:
    """Checks three times that as many concurrent calls as permits succeed."""
    with anyio.fail_after(HANG):
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(PLACES):
                    group.start_soon(client.flows.get, "f")


@BACKENDS
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name)
# httpx's, of a body that was being sent: trio says it of every async generator.
@pytest.mark.filterwarnings("ignore:Async generator 'httpx._content:ResourceWarning")
@pytest.mark.parametrize("number", [6, pytest.param(21, marks=pytest.mark.thorough)])
def test_cancelled_at_any_moment(
    authority: trustme.CA, backend: str, moment: Moment, number: int, tmp_path: Path
) -> None:
    """However and whenever a call is cancelled, the cancellation is raised, and the pool is unchanged."""
    seed = 20_240
    ended: Counter[str] = Counter()
    (tmp_path / "result").write_bytes(b"old")
    before = descriptors()
    server = served(moment, authority)
    with ExitStack() as serving:
        if moment.listens:
            serving.enter_context(server)
        run = Run(
            flow_id="slow",
            task_id="t",
            status="SUCCEEDED",
            outputs=(Output(url=f"{server.url}/result"),),
        )

        async def main() -> None:
            async with client_of(server, authority) as client:
                with full_queue(server) if moment.full else ExitStack():
                    await cancelled(
                        lambda: moment.call(client, run, tmp_path),
                        MEANS[backend],
                        number,
                        seed,
                        ended,
                    )
                if not moment.listens:
                    serving.enter_context(server)
                await usable(client)
                if backend == "asyncio":
                    assert len(asyncio.all_tasks()) == 1

        anyio.run(main, backend=backend)
    assert set(ended) <= {"CancelledError", "Cancelled", "an answer"}, (ended, f"seed {seed}")
    assert ended["CancelledError"] + ended["Cancelled"] > 0, ended
    assert at_work() == []
    assert until(lambda: descriptors() <= before), (descriptors(), before)
    assert (tmp_path / "result").read_bytes() in {b"old", bytes(4_000_000)}


def test_a_cancelled_download_that_waits_for_the_store(authority: trustme.CA) -> None:
    """The thread of a download that waits for the head of the answer ends soon after the call was cancelled."""
    moment = Moment("head", get)

    async def main(server: FaultyServer) -> None:
        result = Output(url=f"{server.url}/result")
        run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(result,))
        async with client_of(server, authority) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.runs.read, run)
                await anyio.to_thread.run_sync(server.arrived, "/result")
                group.cancel_scope.cancel()
            assert at_work() == []

    with served(moment, authority) as server:
        asyncio.run(main(server))


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11, exceptions have no notes"
)
@pytest.mark.parametrize("means", [by_cancel, by_wait_for, by_scope])
@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_a_cancelled_run_is_not_lost(
    api: FaultyServer, means: Means, status: str, tmp_path: Path
) -> None:
    """A `flows.run` that is cancelled during the wait or the download has a note with the call that resumes it."""
    api.on("/flows/f/status", json_reply(f'{{"status": "{status}"}}'))
    api.on("/result", STALL)
    notes: list[str] = []

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=api.url, resilience=PATIENT) as client:

            async def call() -> None:
                try:
                    await client.flows.run("f", save_path=tmp_path / "out")
                except asyncio.CancelledError as error:
                    notes.extend(error.__notes__)
                    raise

            seconds = 0.3
            while not api.seen("/result" if status == "SUCCEEDED" else "/flows/f/status"):
                await means(call, seconds)  # on a slow machine, not even the start was answered
                seconds *= 2

    asyncio.run(main())
    assert any("client.runs.wait(Run(flow_id='f', task_id='t'))" in note for note in notes)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11, exceptions have no notes"
)
def test_a_cancelled_start_has_a_note_with_its_key(api: FaultyServer) -> None:
    """A start that is cancelled before its response has a note with the key to repeat it."""
    api.on("/flows/f/run", STALL)

    async def main() -> list[str]:
        async with AsyncDcipher(KEY, base_url=api.url) as client:
            task = asyncio.ensure_future(client.flows.start("f", idempotency_key="mine-1"))
            await anyio.to_thread.run_sync(api.arrived, "/flows/f/run")
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.__notes__

    assert any("idempotency_key='mine-1'" in note for note in asyncio.run(main()))


# A time limit for what cannot be told how long it may take: a transport of the user's.


async def past(seconds: float) -> None:
    """Blocks the loop until the time limit has passed, and lets it notice."""
    time.sleep(seconds + 0.01)  # noqa: ASYNC251 - that is what this is for
    for _ in range(3):
        await anyio.lowlevel.cancel_shielded_checkpoint()


@BACKENDS
@pytest.mark.parametrize("ending", ["waits on", "fails", "is done"])
def test_a_limit_that_ends_in_the_turn_in_which_all_is_done(backend: str, ending: str) -> None:
    """A limit that ends is a TimeoutError, unless all was done by then; never nothing."""

    async def send() -> str:
        await past(0.01)
        if ending == "fails":
            raise OSError("lost")
        if ending == "waits on":
            await anyio.sleep_forever()
        return "done"

    async def main() -> str:
        try:
            return await async_within(0.01, send)
        except OSError as error:
            return type(error).__name__

    expected = {"waits on": "TimeoutError", "fails": "OSError", "is done": "done"}
    assert anyio.run(main, backend=backend) == expected[ending]


@BACKENDS
def test_a_cancellation_before_the_timeout_is_not_a_timeout(backend: str) -> None:
    """A call that is cancelled from outside before its timeout is cancelled."""

    async def main() -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await async_within(HANG, anyio.sleep_forever)
        return scope.cancelled_caught

    assert anyio.run(main, backend=backend)
