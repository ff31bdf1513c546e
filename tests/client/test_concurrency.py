"""Many callers: tasks, threads, event loops, forks, cancellations, and both backends."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from dcipher import (
    APITimeoutError,
    AsyncDcipher,
    Dcipher,
    HTTPAuthenticatedClient,
    Resilience,
    Run,
    RunStatus,
)
from tests.conftest import KEY, QUICK
from tests.faulty import STALL, Held, Reply, json_reply
from tests.waiting import HANG, at_work, no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def client_for(server: Any, **options: Any) -> AsyncDcipher:
    return AsyncDcipher(KEY, **{"base_url": server.url, "resilience": QUICK, **options})


@BACKENDS
def test_a_complete_run(api: FaultyServer, backend: str, tmp_path: Path) -> None:
    """Start, wait with an async callback, save with an async callback, read, rows: on asyncio and on trio."""
    seen: list[Any] = []

    async def note(*what: Any) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(what)

    async def main() -> None:
        async with client_for(api) as client:
            run = await client.flows.run("f", save_path=tmp_path / "out", on_status=note)
            await client.runs.download(run, tmp_path / "again", on_progress=note)
            assert await client.runs.read(run) == {"text": 1}
            assert [row async for row in client.runs.records(run)] == [{"text": 1}]
            assert [run.status async for run in client.runs.watch(run)] == [RunStatus.SUCCEEDED]

    anyio.run(main, backend=backend)
    assert [type(what[0]) for what in seen] == [Run, int]
    assert {path.name for path in tmp_path.iterdir()} == {"out", "again"}


@BACKENDS
def test_three_hundred_at_once(api: FaultyServer, backend: str) -> None:
    """300 concurrent calls share at most 100 connections, and all succeed."""
    found: list[str] = []

    async def main() -> None:
        async with client_for(api) as client, anyio.create_task_group() as group:

            async def poll() -> None:
                found.append((await client.flows.get("f")).id)

            for _ in range(300):
                group.start_soon(poll)

    anyio.run(main, backend=backend)
    assert found == ["f"] * 300
    assert api.connections <= 100


def test_no_free_connection(kind: str, connect: Connect, api: FaultyServer) -> None:
    """A call without a free connection within `timeout` reports their number. Nothing was sent."""
    slowly = Held(json_reply('{"id": "f"}'))
    api.on("/flows/slow", slowly)
    http = HTTPAuthenticatedClient(
        api.url, api_key="k", httpx_args={"limits": httpx.Limits(max_connections=1)}
    )
    client = connect(http_client=http, api_key=None)
    limits = httpx.Timeout(HANG, pool=0.1)
    derived = client.with_options(timeout=limits, max_retries=0)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.flows.get, "slow")
        assert api.arrived("/flows/slow")
        with pytest.raises(APITimeoutError, match="all 1 connections"):
            derived.flows.get("f")
        slowly.let_go.set()
        slow.result(HANG)
    assert derived.flows.get("f").id == "f"
    assert api.connections == 1
    derived.close()


@BACKENDS
def test_cancelled_calls_give_their_connection_back(api: FaultyServer, backend: str) -> None:
    """After 200 calls that were cancelled at any moment, a pool of two connections works as before."""
    api.on("/flows/slow", Reply(b'{"id": "f"}', delay=0.003))

    async def main() -> str:
        http = HTTPAuthenticatedClient(
            api.url, api_key="k", httpx_args={"limits": httpx.Limits(max_connections=2)}
        )
        async with AsyncDcipher(http_client=http) as client:
            for number in range(200):
                with anyio.move_on_after(number * 0.00004):
                    await client.flows.get("slow")
            with anyio.fail_after(HANG):
                await client.flows.get("f")
                return (await client.with_options(timeout=HANG).flows.get("f")).id

    assert anyio.run(main, backend=backend) == "f"


def test_tasks_of_asyncio_may_be_cancelled(api: FaultyServer) -> None:
    """`Task.cancel` is a CancelledError, and the client works on."""
    api.on("/flows/slow", STALL)

    async def main() -> str:
        async with client_for(api) as client:
            tasks = [asyncio.create_task(client.flows.get("slow")) for _ in range(20)]
            await anyio.to_thread.run_sync(api.arrived, "/flows/slow", 20)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {asyncio.CancelledError}
            return (await client.flows.get("f")).id

    assert asyncio.run(main()) == "f"


@BACKENDS
def test_a_cancelled_download_leaves_nothing(
    api: FaultyServer, backend: str, tmp_path: Path
) -> None:
    """A cancelled download ends at once, and leaves the old file and no debris."""
    target = tmp_path / "out"
    target.write_bytes(b"old")
    api.on("/result", Reply(b"x" * 200_000, cut=100_000, after="stall"))
    run = Run.model_validate(
        {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": [{"url": f"{api.url}/result?x"}]}
    )  # fmt: skip

    async def main() -> None:
        async with client_for(api, timeout=10 * HANG) as client, anyio.create_task_group() as group:
            group.start_soon(client.runs.download, run, target)
            await anyio.to_thread.run_sync(api.arrived, "/result")
            group.cancel_scope.cancel()

    with no_hang():
        anyio.run(main, backend=backend)
    assert at_work() == []
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_cancelled_wait_leaves_the_run_alone(api: FaultyServer) -> None:
    """`move_on_after` around a wait works as around anything."""
    api.on("/flows/f/status", json_reply('{"status": "RUNNING"}'))

    async def main() -> bool:
        async with client_for(api) as client:
            with anyio.move_on_after(0.2) as scope:
                await client.runs.wait(Run(flow_id="f", task_id="t"), poll_interval=0.02)
            return scope.cancelled_caught

    assert anyio.run(main)


def test_two_event_loops(api: FaultyServer) -> None:
    """A second `asyncio.run` with the same client works; pools belong to a loop."""
    client = client_for(api)

    async def poll() -> str:
        return (await client.flows.get("f")).id

    async def poll_and_close() -> str:
        async with client:
            return await poll()

    with warnings.catch_warnings():
        # The first loop ends with a connection open: one warning of Python's own is in order.
        warnings.simplefilter("ignore", ResourceWarning)
        assert asyncio.run(poll()) == "f"
        assert asyncio.run(poll_and_close()) == "f"
        gc.collect()
    assert api.connections == 2


def test_threads_share_a_client(api: FaultyServer) -> None:
    """Fifty threads with one client get fifty answers, on no more connections."""
    with Dcipher(KEY, base_url=api.url) as client, ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: client.flows.get("f").id, range(200)))
    assert found == ["f"] * 200
    assert api.connections <= 50


def test_responses_are_not_mixed_up(api: FaultyServer) -> None:
    """Each thread gets the response to its own request."""
    api.on("*", lambda request: json_reply(f'{{"id": "{request.path.rpartition("/")[2]}"}}'))
    with Dcipher(KEY, base_url=api.url) as client, ThreadPoolExecutor(20) as pool:
        names = [f"n{number}" for number in range(200)]
        assert [flow.id for flow in pool.map(client.flows.get, names)] == names


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork(api: FaultyServer) -> None:
    """Parent and child use one client, each with its own connections and responses."""
    api.on("*", lambda request: json_reply(f'{{"id": "{request.path.rpartition("/")[2]}"}}'))
    client = Dcipher(KEY, base_url=api.url)
    client.flows.get("before")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            good = all(client.flows.get(f"c{n}").id == f"c{n}" for n in range(20))
            client.close()
            code = 0 if good else 2
        finally:
            os._exit(code)
    assert all(client.flows.get(f"p{n}").id == f"p{n}" for n in range(20))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert client.flows.get("after").id == "after"
    client.close()
    assert api.connections == 2
    of = {request.path: request.connection for request in api.requests}
    assert of["/flows/before"] == of["/flows/p0"] == of["/flows/after"]
    assert of["/flows/c0"] == of["/flows/c19"] != of["/flows/before"]


def test_a_client_that_was_never_closed_warns_once_at_most(api: FaultyServer) -> None:
    """An unclosed client with several open connections warns once."""
    client = Dcipher(KEY, base_url=api.url)
    held = Held(json_reply('{"id": "f"}'))
    api.on("/flows/f", held)
    threads = [threading.Thread(target=client.flows.get, args=("f",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert api.arrived("/flows/f", 4)
    held.let_go.set()
    for thread in threads:
        thread.join(HANG)
    assert api.connections == 4
    gc.collect()  # what other tests left behind is not this one's
    unraisable: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client, threads
            gc.collect()
    finally:
        sys.unraisablehook = before
    resource = [warning for warning in caught if issubclass(warning.category, ResourceWarning)]
    assert len(resource) <= 1, [str(warning.message) for warning in resource]


def test_a_wait_of_many_runs(api: FaultyServer) -> None:
    """One client waits for a hundred runs concurrently."""
    api.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))

    async def main() -> int:
        async with client_for(api, resilience=Resilience(max_retries=0)) as client:
            runs = await asyncio.gather(
                *(client.runs.wait(Run(flow_id="f", task_id=str(n))) for n in range(100))
            )
            return len({run.task_id for run in runs})

    assert asyncio.run(main()) == 100
