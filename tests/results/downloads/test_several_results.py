"""Several results of one run concurrently: each is saved completely or not at all, and nothing else remains."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import httpx
import pytest

from dcipher import (
    AsyncDcipher,
    DcipherError,
    HTTPAuthenticatedClient,
    LocalStorageError,
    Output,
    ResultError,
    ResultExpiredError,
    Run,
    RunStatus,
)
from dcipher._concurrency.tasks.workers import async_each, each
from dcipher._results.downloads.ranges import plan as ranges
from dcipher._results.progress import Progress
from tests.client.test_processes import NOISE, SIDES, interrupted
from tests.conftest import KEY
from tests.faulty import Reply
from tests.results.downloads.stores import MIB, ONCE, QUERY, store
from tests.results.downloads.test_several import Shop, slowly
from tests.waiting import HANG, at_work, no_hang, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

BODIES = [random.Random(n).randbytes(2 * MIB + n) for n in range(6)]  # noqa: S311 - no secret
AT_ONCE = 4
GIVEN = "through a client of the user's"


def run_of(server: FaultyServer, count: int) -> Run:
    """A run that has succeeded, with results `/0`, `/1` and so on."""
    outputs = tuple(Output(url=f"{server.url}/{n}?{QUERY}") for n in range(count))
    return Run(
        flow_id="f",
        task_id="t",
        status=RunStatus.SUCCEEDED,
        outputs=outputs,
        finished_at=datetime(2020, 1, 1, tzinfo=timezone.utc),
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def saved(*indexes: int) -> set[str]:
    return {f"out_{index}.bin" for index in indexes}


def kept(*indexes: int) -> set[str]:
    parts = {f".out_{index}.bin.dcipher.part" for index in indexes}
    return {*parts, *(f"{part}.json" for part in parts)}


class Counting:
    """A store that counts concurrent requests, and waits once for the expected ones."""

    def __init__(self, expected: int) -> None:
        self._changed = threading.Condition()
        self._expected = expected
        self._now = 0
        self.most = 0

    def __call__(self, request: Recorded) -> Reply:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self.most >= self._expected, HANG):
                self._expected = 0  # they do not come: nobody else waits for them
        time.sleep(0.02)  # for one too many
        with self._changed:
            self._now -= 1
        return store(BODIES[int(request.path[1:])])(request)


class Meeting:
    """A store that responds only when all results have been requested."""

    def __init__(self, count: int, **how: Any) -> None:
        self._barrier = threading.Barrier(count)
        self._how = how

    def __call__(self, request: Recorded) -> Reply:
        self._barrier.wait(HANG)
        return store(BODIES[int(request.path[1:])], **self._how)(request)


@pytest.fixture
def stalled(server: FaultyServer) -> FaultyServer:
    """A store that sends a megabyte and a half of each result, and then waits."""
    server.on("*", Meeting(3, cut=MIB + MIB // 2, after="stall"))
    return server


def going_on(server: FaultyServer, folder: Path, count: int = 2) -> bool:
    """Wait until the first so many have something on the disk."""
    return until(lambda: are_there(server, folder, count))


def are_there(server: FaultyServer, folder: Path, count: int) -> bool:
    """Whether so many have something on the disk."""
    sizes = [path.stat().st_size for path in folder.glob("*.part")]
    return len(server.requests) >= count and sum(size >= MIB for size in sizes) >= count


def test_at_once(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """All are requested before any response. Each is saved to its own path, and the paths are in order."""
    server.on("*", Meeting(AT_ONCE))
    paths = connect(server).runs.download(run_of(server, AT_ONCE), tmp_path / "out.bin")
    assert [path.name for path in paths] == [f"out_{n}.bin" for n in range(AT_ONCE)]
    assert [path.read_bytes() for path in paths] == BODIES[:AT_ONCE]
    assert names(tmp_path) == saved(*range(AT_ONCE))
    assert at_work() == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_max_connections_of_results(
    connect: Connect, server: FaultyServer, tmp_path: Path, number: int
) -> None:
    """`max_connections` limits the concurrent results; 1: one after the other."""
    counting = Counting(number)
    server.on("*", counting)
    run, path = run_of(server, 6), tmp_path / "out.bin"
    paths = connect(server).runs.download(run, path, max_connections=number)
    assert [path.read_bytes() for path in paths] == BODIES
    assert counting.most == number


@pytest.mark.parametrize(("count", "shared"), [(2, True), (4, False)])
def test_large_ones_share_the_connections(
    connect: Connect,
    server: FaultyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    count: int,
    shared: bool,
) -> None:
    """Of four connections, two large results get two each; of four, each gets one."""
    for name, value in {"LARGE": MIB, "LEAST": MIB // 4, "WINDOW": 0.0, "FAST": 1 << 60}.items():
        monkeypatch.setattr(ranges, name, value)
    helped = shared and kind != GIVEN
    for n in range(count):
        # Where others are to help, the first connection leaves something to them.
        server.on(f"/{n}", Shop(BODIES[n], **({"first": slowly} if helped else {})))
    connect(server).runs.download(run_of(server, count), tmp_path / "out.bin")
    assert names(tmp_path) == saved(*range(count))
    in_parts = {request.path for request in server.requests if "range" in request.headers}
    assert len(in_parts) == (count if helped else 0)


@pytest.mark.parametrize("places", [1, 2, 3, 5])
def test_a_client_with_few_connections(
    connect: Connect, server: FaultyServer, tmp_path: Path, kind: str, places: int
) -> None:
    """Less than half of a client's connections bring more results: no other call waits for one."""
    if kind == GIVEN:
        pytest.skip("nobody knows how many connections a client of the user's has")
    expected = 1 + (places - 1) // 2
    counting = Counting(expected)
    server.on("*", counting)
    limits = httpx.Limits(max_connections=places)
    http = HTTPAuthenticatedClient(server.url, api_key=KEY, httpx_args={"limits": limits})
    for _ in range(2):
        connect(http_client=http, api_key=None).runs.download(
            run_of(server, 6), tmp_path / "out.bin"
        )
        assert counting.most == expected
    assert names(tmp_path) == saved(*range(6))


def test_a_blocking_client_of_the_users(
    connect: Connect, server: FaultyServer, tmp_path: Path, kind: str
) -> None:
    """Through a blocking httpx client of the user's, they come one after the other: no thread of ours uses it."""
    if kind != "sync":
        pytest.skip("a blocking client")
    counting = Counting(1)
    server.on("*", counting)
    with httpx.Client(limits=httpx.Limits(max_connections=1)) as given:
        client = connect(server, http_client=given)
        client.runs.download(run_of(server, 3), tmp_path / "out.bin")
    assert names(tmp_path) == saved(0, 1, 2)
    assert counting.most == 1


# One of them fails.


def test_a_store_that_rejects_one(connect: Connect, stalled: FaultyServer, tmp_path: Path) -> None:
    """The first failure ends the others. Their received bytes are kept, and the next download resumes."""

    def refuse(_: Recorded) -> Reply:
        assert going_on(stalled, tmp_path)
        return Reply(b"", 404)

    stalled.on("*", store(BODIES[0], cut=MIB + MIB // 2, after="stall"))
    stalled.on("/1", refuse)
    client, run = connect(stalled, resilience=ONCE), run_of(stalled, 3)
    with pytest.raises(ResultError, match="Result 1 ") as caught:
        client.runs.download(run, tmp_path / "out.bin")
    assert caught.value.output_index == 1
    assert caught.value.run == run
    assert at_work() == []
    assert names(tmp_path) == kept(0, 2)
    before = len(stalled.requests)
    stalled.on("*", store(BODIES[0]))
    stalled.on("/1", store(BODIES[1]))
    client.runs.download(run, tmp_path / "out.bin")
    asked = {r.path: r.headers.get("range") for r in stalled.requests[before:]}
    assert [path for path, part in asked.items() if part is None] == ["/1"]
    assert names(tmp_path) == saved(0, 1, 2)


def test_a_url_that_has_expired(connect: Connect, stalled: FaultyServer, tmp_path: Path) -> None:
    """One that fails at once, while the others still connect, ends them, too."""
    *others, last = (run := run_of(stalled, 3)).outputs
    expired = last.model_copy(update={"expires_at": run.finished_at})
    run = run.model_copy(update={"outputs": (*others, expired)})
    stalled.on("*", Reply(BODIES[0], delay=0.3, cut=MIB, after="stall"))
    with no_hang(), pytest.raises(ResultExpiredError) as caught:
        connect(stalled, timeout=2 * HANG).runs.download(run, tmp_path / "out.bin")
    assert caught.value.output_index == 2
    assert "canary" not in str(caught.value)
    assert at_work() == []
    assert names(tmp_path) == set()


def test_an_unwritable_path_of_one(connect: Connect, stalled: FaultyServer, tmp_path: Path) -> None:
    """The error has the path, and the others end."""
    (tmp_path / "out_1.bin").mkdir()
    stalled.on("*", Reply(BODIES[0], cut=1000, after="stall"))
    with pytest.raises(LocalStorageError) as caught:
        connect(stalled).runs.download(run_of(stalled, 3), tmp_path / "out.bin")
    assert caught.value.output_index == 1
    assert at_work() == []
    assert names(tmp_path) == {"out_1.bin"}


def test_saved_results_remain(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """Results that are saved when another one fails remain. Those that never began leave nothing."""

    def refuse(_: Recorded) -> Reply:
        until(lambda: saved(0, 2, 3) <= names(tmp_path))
        return Reply(b"", 403)

    server.on("*", lambda request: store(BODIES[int(request.path[1:])])(request))
    server.on("/1", refuse)
    server.on("/4", Reply(b"", cut=0, length=5, after="stall"))
    with pytest.raises(ResultError) as caught:
        connect(server, resilience=ONCE).runs.download(
            run_of(server, 6), tmp_path / "out.bin", max_connections=2
        )
    assert caught.value.output_index == 1
    assert names(tmp_path) == saved(0, 2, 3)
    assert server.seen("/5") == []


def test_a_client_that_is_closed_meanwhile(
    connect: Connect, stalled: FaultyServer, tmp_path: Path
) -> None:
    """A client that is closed ends all of them by an error; a closed one begins none."""
    client = connect(stalled, resilience=ONCE)

    def close() -> None:
        going_on(stalled, tmp_path, 3)
        client.close()
        stalled.drop()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(DcipherError):
        client.runs.download(run_of(stalled, 3), tmp_path / "out.bin")
    closing.join(HANG)
    assert at_work() == []
    assert names(tmp_path) <= kept(0, 1, 2)
    before = len(stalled.requests)
    with pytest.raises(DcipherError, match="closed"):
        client.runs.download(run_of(stalled, 3), tmp_path / "out.bin")
    assert len(stalled.requests) == before


# What the caller hears.


@pytest.mark.parametrize("number", [1, 4])
def test_progress(connect: Connect, server: FaultyServer, tmp_path: Path, number: int) -> None:
    """`on_progress` hears the sums, which grow, ten times a second at most, and last the whole, from one thread."""

    def reply(request: Recorded) -> Reply:
        index = int(request.path[1:])
        return Reply(BODIES[index], delay=0.05 + 0.15 * index)

    server.on("*", reply)
    heard: list[tuple[int, int | None]] = []
    threads: set[str] = set()

    def listen(done: int, total: int | None) -> None:
        heard.append((done, total))
        threads.add(threading.current_thread().name)

    whole = sum(map(len, BODIES[:3]))
    began = time.monotonic()
    connect(server).runs.download(
        run_of(server, 3), tmp_path / "out.bin", on_progress=listen, max_connections=number
    )
    took = time.monotonic() - began
    assert heard[-1] == (whole, whole)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    assert {total for _, total in heard} == {None, whole}
    assert [total is None for _, total in heard] == sorted(
        (total is None for _, total in heard), reverse=True
    )
    assert len(heard) <= 10 * took + 2
    assert len(threads) == 1
    assert not any(name.startswith("dcipher") for name in threads)


def test_progress_of_small_results(connect: Connect, server: FaultyServer, tmp_path: Path) -> None:
    """Results that are received at once are reported in at most two calls. Without a length, there is no total."""
    server.on("*", Reply(b"12345"))
    client = connect(server)
    for whole in ((10, 10), (10, None)):
        heard: list[tuple[int, int | None]] = []
        client.runs.download(run_of(server, 2), tmp_path / "out.bin", on_progress=listener(heard))
        # A machine that is busy may be so between the two.
        assert heard in ([whole], [(5, None), whole], [(5, 5), whole])
        server.on("/1", Reply(b"12345", framing="chunked"))


def listener(heard: list[tuple[int, int | None]]) -> Callable[[int, int | None], None]:
    return lambda done, total: heard.append((done, total))


def test_progress_of_several_is_reported_at_once() -> None:
    """Progress of several results since the last call is reported in one, without repetition."""
    heard: list[tuple[int, int | None]] = []
    progress = Progress(listener(heard), 2)
    for done, total in ((5, None), (5, 10)):
        for index in range(2):
            record = progress.recorder(index)
            assert record is not None
            record(done, total)
        progress.report(last=True)
        progress.report(last=True)
    assert heard == [(10, None), (10, 20)]


def test_an_error_of_the_callback(connect: Connect, stalled: FaultyServer, tmp_path: Path) -> None:
    """The exception of `on_progress` is raised unchanged, and ends all of them. Received bytes are kept."""
    cause = ValueError("why")

    def stop(_done: int, _total: int | None) -> None:
        # Not waited for: on an event loop, a client of the user's would stand still meanwhile.
        if are_there(stalled, tmp_path, 3):
            raise KeyError("stop") from cause

    with pytest.raises(KeyError, match="stop") as caught:
        connect(stalled).runs.download(run_of(stalled, 3), tmp_path / "out.bin", on_progress=stop)
    assert caught.value.__cause__ is cause
    assert at_work() == []
    assert names(tmp_path) == kept(0, 1, 2)


# Cancelled, interrupted.


@pytest.mark.parametrize("given", [False, True], ids=["ours", "given"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancellation(stalled: FaultyServer, tmp_path: Path, backend: str, given: bool) -> None:
    """A cancelled call leaves no thread, no connection, and only files that the next one resumes."""

    async def main() -> bool:
        theirs = httpx.AsyncClient() if given else None
        async with AsyncDcipher(
            KEY, base_url=stalled.url, http_client=theirs, timeout=2 * HANG
        ) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(cancel_when_going_on, scope)
                    await client.runs.download(run_of(stalled, 3), tmp_path / "out.bin")
        if theirs is not None:
            await theirs.aclose()
        return scope.cancelled_caught

    async def cancel_when_going_on(scope: anyio.CancelScope) -> None:
        await anyio.to_thread.run_sync(going_on, stalled, tmp_path, 3)
        scope.cancel()

    with no_hang():
        assert anyio.run(main, backend=backend)
    assert at_work() == []
    assert stalled.open_connections() == 0
    assert names(tmp_path) == kept(0, 1, 2)


PROGRAM = """
import sys
from dcipher import AsyncDcipher, Dcipher, Run

outputs = [{{"url": f"{url}/{{n}}?Signature=canary-signature"}} for n in range(3)]
run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=outputs)

if "{side}" == "sync":
    with Dcipher("k", base_url="{url}", timeout=600) as client:
        print("go", flush=True)
        client.runs.download(run, "out.bin")
else:
    async def main():
        async with AsyncDcipher("k", base_url="{url}", timeout=600) as client:
            print("go", flush=True)
            await client.runs.download(run, "out.bin")

    if "{side}" == "trio":
        import trio

        trio.run(main)
    else:
        import asyncio

        asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize("side", SIDES)
def test_ctrl_c(stalled: FaultyServer, tmp_path: Path, side: str) -> None:
    """Ctrl-C ends them all soon, without output. Received bytes are kept."""
    program = PROGRAM.format(url=stalled.url, side=side)
    code, said = interrupted(program, tmp_path, lambda: going_on(stalled, tmp_path, 3))
    assert code in {-signal.SIGINT, 128 + signal.SIGINT}, said
    assert "KeyboardInterrupt" in said
    assert [noise for noise in NOISE if noise in said] == [], said
    assert "canary" not in said
    assert names(tmp_path) == kept(0, 1, 2)


# Jobs of any kind.


def nothing() -> None:
    """What is called while the jobs are done."""


def test_the_first_of_several_errors() -> None:
    """If each job raises another error, one is raised, and waiting jobs never begin."""
    done: list[int] = []
    both = threading.Barrier(2)

    def failing(error: Exception) -> Callable[[], None]:
        def job() -> None:
            both.wait(HANG)
            raise error

        return job

    jobs = [failing(KeyError("a")), failing(OSError("b")), lambda: done.append(1)]
    with no_hang(), pytest.raises((KeyError, OSError)):
        each(jobs, 2, nothing)
    assert done == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_first_of_several_errors_of_tasks(backend: str) -> None:
    """If each task raises another error, the first is raised, not in a group."""
    done: list[int] = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("second")

    async def failing() -> None:
        await anyio.sleep(0.01)
        raise KeyError("first")

    async def later() -> None:
        done.append(1)

    async def on_tick() -> None:
        await anyio.lowlevel.checkpoint()

    async def main() -> None:
        await async_each([slow, failing, later], 2, on_tick)

    with no_hang(), pytest.raises(KeyError, match="first"):
        anyio.run(main, backend=backend)
    assert done == []
