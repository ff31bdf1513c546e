"""Thousands of calls leave nothing behind: no socket, thread, task, file or memory."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import inspect
import logging
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

import dcipher
from dcipher import (
    APIError,
    APITimeoutError,
    AsyncDcipher,
    AsyncRecords,
    Dcipher,
    InvalidResponseError,
    NotFoundError,
    Output,
    Records,
    Resilience,
    ResultError,
    Run,
    RunFailedError,
)
from tests.conftest import KEY
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc"
)

BACKENDS = ["asyncio", "trio"]
AT_ONCE = 20
TRACED = range(200, 1001)
"""Calls of which the memory is traced, too, which doubles the time that each takes."""
WARM_UP = 130
"""Calls after which each kind was made with each id: the caches have seen them all."""
CONNECTION = 80
"""Objects that an open connection consists of: how many are open at the end differs."""
HASTY = Resilience(backoff_initial=0.0005, backoff_max=0.001)
ROOT = Path(__file__).parents[2]

SERVER = """
import itertools, sys
from tests.faulty import RESET, STALL, FaultyServer, Reply, json_reply

turns = itertools.count()
started = '{"taskId": "t", "signedResponseURL": "http://127.0.0.1:9/r?Signature=s"}'
rows = b"[" + b",".join(b'{"n": %d}' % n for n in range(200)) + b"]"

def reply(request):
    first = next(turns) % 2 == 0
    name = request.path.strip("/").split("/")[1].partition("-")[0]
    return {
        "get": json_reply('{"id": "f"}'),
        "start": json_reply(started),
        "status": json_reply('{"status": "SUCCEEDED"}'),
        "failed": json_reply('{"status": "FAILED", "message": "no"}'),
        "missing": json_reply('{"message": "no"}', 404),
        "busy": json_reply("{}", 503) if first else json_reply('{"id": "f"}'),
        "reset": RESET if first else json_reply('{"id": "f"}'),
        "cut": Reply(b'{"id": "f"}', length=99, after="close") if first else json_reply('{"id": "f"}'),
        "html": Reply(b"<html>"),
        "stall": STALL,
        "rows": Reply(rows, 200, {"ETag": '"1"'}),
        "half": Reply(rows, 200, {"ETag": '"1"'}, cut=99 if first else None, after="reset" if first else "keep"),
        "gone": json_reply("{}", 404),
    }[name]

with FaultyServer() as server:
    server.on("*", reply)
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in another process, whose descriptors are not counted."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate(timeout=5 * HANG)


class Kind(NamedTuple):
    """One of the calls, and its result."""

    name: str
    error: type[Exception] | None = None


OFTEN = [Kind("get"), Kind("start"), Kind("status")] * 5
SELDOM = [
    Kind("missing", NotFoundError),
    Kind("busy", APIError),
    Kind("reset", APIError),
    Kind("cut", APIError),
    Kind("html", InvalidResponseError),
    Kind("failed", RunFailedError),
    Kind("rows"),
    Kind("half", ResultError),
    Kind("gone", ResultError),
    Kind("save"),
]
PLAN = OFTEN + SELDOM
STALLED = Kind("stall", APITimeoutError)


def kind_of(number: int) -> Kind:
    return STALLED if number % 101 == 0 else PLAN[number % len(PLAN)]


def call(client: Any, url: str, number: int, folder: Path) -> Any:
    """Makes one call. For the async client, returns the object to await or iterate."""
    kind, flow = kind_of(number), f"{kind_of(number).name}-{number % 5}"
    if kind.name == "start":
        return client.flows.start(flow, {"text": "é" * 50})
    if kind.name == "status":
        return client.runs.get(flow, "t")
    if kind.name == "failed":
        return client.runs.wait(Run(flow_id=flow, task_id="t", created_at=None), poll_interval=0.01)
    if kind is STALLED:
        # Derived, and dropped without being closed.
        return client.with_options(timeout=0.02, max_retries=0).flows.get(flow)
    name = "rows" if kind.name == "save" else kind.name
    result = Output(url=f"{url}/results/{name}-{number % 5}?Signature=s")
    run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(result,))
    if kind.name == "rows":
        return client.runs.records(run, dict[str, int])
    if kind.name == "save":
        return client.runs.download(run, folder / f"saved-{number % AT_ONCE}")
    if kind.name in {"half", "gone"}:
        return client.runs.read(run)
    return client.flows.get(flow)


async def call_async(client: Any, url: str, number: int, folder: Path) -> None:
    try:
        made = call(client, url, number, folder)
        if isinstance(made, AsyncRecords):
            assert [row["n"] async for row in made] == list(range(200))
        else:
            await made
    except Exception as error:
        if not isinstance(error, kind_of(number).error or ()):
            raise


def call_sync(client: Any, url: str, number: int, folder: Path) -> None:
    try:
        made = call(client, url, number, folder)
        if isinstance(made, Records):
            assert [row["n"] for row in made] == list(range(200))
    except Exception as error:
        if not isinstance(error, kind_of(number).error or ()):
            raise


class Census(NamedTuple):
    """The resources of a process: descriptors, threads of the client, temporary files."""

    descriptors: int
    threads: int
    files: int


def census() -> Census:
    gc.collect()
    return Census(
        len(list(Path("/proc/self/fd").iterdir())),
        # trio keeps its own for the next who wants one; other tests' are not these.
        len([one for one in threading.enumerate() if one.name.startswith(("dcipher", "AnyIO"))]),
        len([path for path in Path(tempfile.gettempdir()).iterdir() if path.name != "saved"]),
    )


def assert_back_to(before: Census) -> None:
    """Within a moment: a thread may be about to end."""
    now = census()

    def is_back() -> bool:
        nonlocal now
        now = census()
        return all(after <= had for after, had in zip(now, before, strict=True))

    assert until(is_back), (before, now)


async def async_until(reached: Callable[[], bool]) -> None:
    with anyio.fail_after(HANG):
        while not reached():  # noqa: ASYNC110 - what ends tells nobody
            await anyio.sleep(0.01)


def memory() -> tuple[int, int]:
    """Returns the bytes, if they are traced, and the objects."""
    for _ in range(3):
        gc.collect()
    return tracemalloc.get_traced_memory()[0], len(gc.get_objects())


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for all temporary files, and `saved` in it, for saved results."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    saved = tmp_path / "saved"
    saved.mkdir()
    return saved


class Growth:
    """Objects that calls leave behind, from `start` on, and memory, if it is traced, which begins before."""

    def __init__(self, *, connections: int, traced: bool = False) -> None:
        self._traced = traced
        self._spare = 800 + CONNECTION * connections
        self._before = (0, 0)
        self.bytes = self.objects = 0
        if traced:
            tracemalloc.start()

    def start(self) -> None:
        self._before = memory()

    def stop(self) -> None:
        traced, objects = memory()
        self.bytes, self.objects = traced - self._before[0], objects - self._before[1]
        if self._traced:
            tracemalloc.stop()

    def check(self, calls: int) -> None:
        """Bounded caches fill, and connections differ; a small object a call would be 100 bytes each."""
        assert self.bytes < 200_000 + 30 * calls, f"{self.bytes} bytes after {calls} calls"
        assert self.objects < self._spare + 0.1 * calls, (
            f"{self.objects} objects after {calls} calls"
        )


def by_sync(url: str, calls: int, folder: Path) -> Growth:
    growth = Growth(connections=1, traced=calls in TRACED)
    with Dcipher(KEY, base_url=url, resilience=HASTY, timeout=HANG) as client:
        for number in range(1, WARM_UP if calls else len(PLAN) + 1):
            call_sync(client, url, number, folder)
        growth.start()
        for number in range(calls):
            call_sync(client, url, number, folder)
        growth.stop()
    return growth


async def by_async(url: str, calls: int, folder: Path) -> Growth:
    growth = Growth(connections=AT_ONCE, traced=calls in TRACED)
    async with AsyncDcipher(KEY, base_url=url, resilience=HASTY, timeout=HANG) as client:
        tasks = tasks_living()
        await in_batches(client, url, range(1, WARM_UP if calls else len(PLAN) + 1), folder)
        growth.start()
        await in_batches(client, url, range(calls), folder)
        growth.stop()
        await async_until(lambda: tasks_living() <= tasks)
    return growth


def tasks_living() -> int:
    import sniffio

    if sniffio.current_async_library() == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


async def in_batches(client: Any, url: str, numbers: range, folder: Path) -> None:
    for first in range(0, len(numbers), AT_ONCE):
        async with anyio.create_task_group() as group:
            for number in numbers[first : first + AT_ONCE]:
                group.start_soon(call_async, client, url, number, folder)


def measured(side: str, url: str, calls: int, folder: Path) -> Growth:
    if side == "sync":
        return by_sync(url, calls, folder)
    return anyio.run(by_async, url, calls, folder, backend=side)


@pytest.mark.parametrize(
    "calls", [150, *(pytest.param(many, marks=pytest.mark.thorough) for many in (400, 4000))]
)
@pytest.mark.parametrize("side", ["sync", "asyncio", "trio"])
def test_calls_leave_nothing(
    url: str, side: str, calls: int, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that succeed, fail, are retried, time out or download leave no descriptor, thread, task, file, memory."""
    # Records of the log are made, but do not reach pytest, which keeps each until the test has ended.
    monkeypatch.setattr(logging.getLogger("dcipher"), "propagate", False)
    measured(side, url, 0, temporary)  # imports, and what lives as long as the process
    before = census()
    growth = measured(side, url, calls, temporary)
    assert_back_to(before)
    growth.check(calls)
    assert {path.name for path in temporary.iterdir()} <= {f"saved-{n}" for n in range(AT_ONCE)}


def test_open_connections_are_at_most_the_concurrent_calls(url: str, temporary: Path) -> None:
    """An open client has at most as many sockets as there were concurrent calls."""
    seen: list[int] = []

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=url, resilience=HASTY, timeout=HANG) as client:
            before = census().descriptors
            for _ in range(2):
                await in_batches(client, url, range(1, 200), temporary)
                seen.append(census().descriptors - before)

    asyncio.run(main())
    # Twice: results come by connections of their own.
    assert max(seen) <= 2 * AT_ONCE, seen


def test_caches_are_bounded() -> None:
    """No cache of the package grows without end."""
    caches = []
    for module in pkgutil.walk_packages(dcipher.__path__, "dcipher."):
        # What needs Airflow is tried where it is installed: `nox -s orchestrators`.
        if module.name.startswith(("dcipher.emulator", "dcipher.__main__", "dcipher.airflow.")):
            continue
        try:
            members = vars(importlib.import_module(module.name))
        except ImportError as error:
            if "This needs " not in str(error):  # an extra that is not installed here
                raise
            continue
        for name, value in members.items():
            if isinstance(value, functools._lru_cache_wrapper):
                takes = inspect.signature(value).parameters
                caches.append((module.name, name, value.cache_parameters()["maxsize"], bool(takes)))
    assert caches
    assert [cache for cache in caches if cache[2] is None and cache[3]] == []


# Clients that are made and dropped, and event loops that come and go.


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_event_loop_ends_with_nothing_open(url: str, backend: str) -> None:
    """Each event loop closes its connections. A client that outlives it works in the next one."""
    client = AsyncDcipher(KEY, base_url=url, resilience=HASTY)

    async def three_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.flows.get, "get-1")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anyio.run(three_at_once, backend=backend)
        before = census()
        for _ in range(5):
            anyio.run(three_at_once, backend=backend)
        assert_back_to(before)


def test_event_loops_are_collected(url: str) -> None:
    """A client does not keep a former event loop from being collected."""
    import weakref

    client = AsyncDcipher(KEY, base_url=url, resilience=HASTY)
    loops: list[weakref.ref[Any]] = []

    async def poll() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await client.flows.get("get-1")

    for _ in range(3):
        asyncio.run(poll())
    for _ in range(3):  # a generator that was ended is garbage only after that
        gc.collect()
    assert [loop() for loop in loops] == [None] * 3


def test_a_loop_that_is_closed_early(url: str) -> None:
    """A loop that was closed without ending its generators is removed at the next call in another one."""
    client = AsyncDcipher(KEY, base_url=url, resilience=HASTY)
    before = census()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # Python's own, for the loop that was cut off
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(client.flows.get("get-1"))
            loop.close()
            del loop

        async def poll_and_close() -> None:
            async with client:
                await client.flows.get("get-1")

        asyncio.run(poll_and_close())
        assert_back_to(before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dropped_async_client(url: str, backend: str) -> None:
    """An async client that is dropped with open connections warns once, with advice, and closes them all."""
    counts: list[int] = []

    async def drop() -> None:
        client = AsyncDcipher(KEY, base_url=url, resilience=HASTY)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.flows.get, "get-1")

    async def main() -> None:
        gc.collect()
        before = census().descriptors
        await drop()
        gc.collect()
        await async_until(lambda: census().descriptors <= before)
        counts.append(census().descriptors - before)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anyio.run(main, backend=backend)
        gc.collect()
    assert counts == [0]
    assert [str(one.message) for one in caught] == [
        "A dcipher client was never closed: use `async with`, or await aclose()."
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_async_client_is_dropped_in_silence(url: str, backend: str) -> None:
    """A client that was closed, and one that was never used, are collected without a word, derived ones too."""

    async def main() -> None:
        AsyncDcipher(KEY, base_url=url)
        for _ in range(3):
            async with AsyncDcipher(KEY, base_url=url, resilience=HASTY) as client:
                await client.with_options(max_retries=1).flows.get("get-1")
                await client.flows.get("get-1")
            gc.collect()
        await anyio.sleep(0.01)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anyio.run(main, backend=backend)
        gc.collect()


def test_many_clients_in_one_loop(url: str) -> None:
    """A service that creates and closes a client for each request does not grow."""

    async def main() -> None:
        async def one() -> None:
            async with AsyncDcipher(KEY, base_url=url, resilience=HASTY) as client:
                await client.flows.get("get-1")

        growth = Growth(connections=1)
        for _ in range(10):
            await one()
        before = census()
        growth.start()
        for _ in range(50):
            await one()
        growth.stop()
        assert_back_to(before)
        growth.check(50)

    asyncio.run(main())
