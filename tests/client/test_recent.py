"""`client.runs.recent`: a run that was paid for is available after any interruption."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import (
    AsyncDcipher,
    Dcipher,
    DcipherError,
    LocalStorageError,
    PollingInterruptedError,
    Run,
    RunFailedError,
    WaitTimeoutError,
)
from dcipher._client.waiting.recent import RecentRuns
from tests.conftest import KEY
from tests.faulty import STALL, Reply, json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.conftest import Connect, Kind
    from tests.faulty import FaultyServer, Recorded

CANARY = "canary-signature"
RUNNING = json_reply('{"status": "RUNNING"}')


def notes_of(error: BaseException) -> list[str]:
    notes: list[str] = getattr(error, "__notes__", [])
    assert not any(CANARY in note for note in notes)
    return notes


def runs_named_in(note: str, client: Any) -> list[Run]:
    """Evaluates the expressions of a note that find the run."""
    found = re.findall(r"runs\.\w+\((client\.runs\.recent\[\d+\]|next\(.*?'\))", note)
    return [eval(line, {"client": client, "next": next}) for line in found]  # noqa: S307 - lines of our own message


def many_runs(api: FaultyServer) -> None:
    """A server where each start returns its own run, which never ends."""
    count = iter(range(1000))

    def started(_: Recorded) -> Reply:
        number = next(count)
        url = f"{api.url}/result?Signature={CANARY}-{number}"
        return json_reply(f'{{"taskId": "t{number}", "signedResponseURL": "{url}"}}')

    api.on("/flows/f/run", started)
    api.on("/flows/f/status", RUNNING)


@dataclass(frozen=True)
class Frozen(Exception):  # noqa: N818 - what a user's function raises
    """An exception that cannot be changed."""

    words: str = "frozen"


def test_runs_are_remembered_as_they_were_last_reported(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """Newest first: with status, end, URLs and files. `get`, which has no URLs, keeps them."""
    client = connect(emulator)
    assert client.runs.recent == ()
    first = client.flows.start("shout", {"text": "one"})
    second = client.flows.run("shout", {"text": "two"}, save_path=tmp_path / "two.json")
    assert isinstance(client.runs.recent, tuple)
    assert client.runs.recent == (second, first)
    assert client.runs.recent[0].files == (tmp_path / "two.json",)
    client.runs.get(first.flow_id, first.task_id)
    known = client.runs.recent[1]
    assert known.outputs == first.outputs
    assert known.created_at == first.created_at
    ended = client.runs.wait(Run(flow_id=first.flow_id, task_id=first.task_id))
    assert ended.succeeded
    assert client.runs.recent[1].succeeded
    assert client.runs.read(client.runs.recent[1]) == {"text": "ONE"}
    client.runs.download(client.runs.recent[1], tmp_path / "one.json")
    assert client.runs.recent[1].files == (tmp_path / "one.json",)


def test_runs_of_others_are_not_remembered(connect: Connect, api: FaultyServer) -> None:
    """A run that another client started is not one of them, however often it is polled."""
    client = connect(api)
    client.runs.wait(Run(flow_id="f", task_id="t"))
    assert client.runs.recent == ()


def test_derived_clients_remember_the_same(connect: Connect, api: FaultyServer) -> None:
    """A client and those that were derived from it have the same recent runs, closed ones too."""
    client = connect(api)
    derived = client.with_options(max_retries=0)
    run = derived.flows.start("f")
    derived.close()
    assert client.runs.recent == derived.runs.recent == (run,)
    client.close()
    assert connect(api).runs.wait(client.runs.recent[0]).succeeded


def test_a_hundred_are_remembered(connect: Connect, api: FaultyServer) -> None:
    """The hundred and first start makes the oldest forgotten; a repeated start is no other run."""
    many_runs(api)
    client = connect(api)
    started = [client.flows.start("f") for _ in range(103)]
    assert client.runs.recent == tuple(reversed(started[3:]))
    api.on("/flows/f/run", json_reply('{"taskId": "t50"}'))
    client.flows.start("f")
    assert len(client.runs.recent) == 100
    assert client.runs.recent[0].task_id == "t50"
    assert client.runs.recent[0].outputs == started[50].outputs


def test_a_run_that_was_held_is_as_old_as_it_is() -> None:
    """A run that a call used is the first to be removed afterwards, but not before the next start."""
    recent = RecentRuns()
    runs = [Run(flow_id="f", task_id=str(n)) for n in range(202)]
    recent.add(runs[0])
    with recent.held(runs[0]):
        for run in runs[1:201]:
            recent.add(run)
        assert recent() == (*reversed(runs[101:201]), runs[0])
    assert recent()[-1] == runs[0]
    recent.add(runs[201])
    assert recent() == (*reversed(runs[102:202]),)


def test_recent_runs_show_no_url(connect: Connect, api: FaultyServer) -> None:
    """A repr, a text and a pickle of the recent runs have no signed URL in them."""
    client = connect(api)
    client.flows.start("f")
    assert client.runs.recent[0].outputs[0].url is not None
    shown = (
        repr(client.runs.recent),
        str(client.runs.recent),
        f"{pickle.dumps(client.runs.recent)!r}",
    )
    assert not any(CANARY in text for text in shown)


def test_many_threads_start_at_once(api: FaultyServer) -> None:
    """Each run is stored once, in some order, by any thread, while others read them."""
    many_runs(api)
    with Dcipher(KEY, base_url=api.url) as client, ThreadPoolExecutor(8) as pool:
        started = list(
            pool.map(lambda _: (client.runs.recent, client.flows.start("f"))[1], range(64))
        )
        assert {run.task_id for run in client.runs.recent} == {run.task_id for run in started}
        assert len(client.runs.recent) == 64


def count_and_start(client: Dcipher, queue: Any) -> None:
    client.flows.start("f")
    queue.put(len(client.runs.recent))


def test_a_forked_child_begins_with_none(api: FaultyServer) -> None:
    """Parent and forked child have their own runs. No lock is inherited."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork on this system")
    many_runs(api)
    context = multiprocessing.get_context("fork")
    with Dcipher(KEY, base_url=api.url) as client:
        client.flows.start("f")
        queue = context.SimpleQueue()
        child = context.Process(target=count_and_start, args=(client, queue))
        child.start()
        child.join(60)
        assert queue.get() == 1
        assert len(client.runs.recent) == 1


@pytest.mark.parametrize("error", [LookupError("mine"), Frozen()], ids=["ordinary", "frozen"])
def test_a_callback_that_raises_loses_no_run(
    connect: Connect, api: FaultyServer, error: Exception, tmp_path: Path
) -> None:
    """The note names the run by its position and, permanently, by its id: its result can be saved."""
    api.on("/flows/f/status", RUNNING, json_reply('{"status": "SUCCEEDED"}'))

    def refuse(_: Run) -> None:
        raise error

    client = connect(api)
    with pytest.raises(type(error)) as caught:
        client.flows.run("f", on_status=refuse, save_path=tmp_path / "out")
    (note,) = notes_of(caught.value)
    assert "continues. To wait for it: client.runs.wait(client.runs.recent[0])" in note
    known = runs_named_in(note, client)
    assert known == [client.runs.recent[0]] * 2
    assert str(known[0].status) == "RUNNING"
    client.runs.download(client.runs.wait(known[0]), tmp_path / "out")
    assert (tmp_path / "out").read_text() == '{"text": 1}'


def test_an_interrupted_download_has_a_note(
    connect: Connect, api: FaultyServer, tmp_path: Path
) -> None:
    """A failure after the end of the run has a note with the run, which is paid for."""
    client = connect(api)
    folder = tmp_path / "made too late"
    folder.mkdir()
    with pytest.raises(LocalStorageError) as caught:
        client.flows.run("f", save_path=folder / "out", on_status=lambda _: folder.rmdir())
    (note,) = notes_of(caught.value)
    (run,) = {run.task_id: run for run in runs_named_in(note, client)}.values()
    client.runs.download(run, tmp_path / "out")


@pytest.mark.parametrize("flow", ["f", "g"], ids=["same flow", "same task id"])
def test_the_line_of_a_result_finds_its_run(
    connect: Connect, api: FaultyServer, tmp_path: Path, flow: str
) -> None:
    """The line in the note finds that run, after any later starts of any flow."""
    client = connect(api)
    if flow == "f":
        many_runs(api)
    else:
        api.on("/flows/g/run", json_reply('{"taskId": "t"}'))
    api.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    folder = tmp_path / "made too late"
    folder.mkdir()
    with pytest.raises(LocalStorageError) as caught:
        client.flows.run("f", save_path=folder / "out", on_status=lambda _: folder.rmdir())
    run = client.runs.recent[0]
    client.flows.start(flow)
    (note,) = notes_of(caught.value)
    (line,) = re.findall(r"client\.runs\.download\((.*?), path\)", note)
    found = eval(line, {"client": client})  # noqa: S307 - a line of our own message
    assert (found.flow_id, found.task_id) == (run.flow_id, run.task_id)


def test_a_note_works_with_another_client(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """After the `with` block of the call, the key in the note returns the run and its result."""

    def refuse(_: Run) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught, connect(emulator) as client:
        client.flows.run("shout", {"text": "a"}, on_status=refuse)
    (note,) = notes_of(caught.value)
    assert "with another client if this one is closed" in note
    (key,) = re.findall(r"with idempotency_key='(.*?)'", note)
    saved = tmp_path / "out.json"
    again = connect(emulator).flows.run(
        "shout", {"text": "a"}, save_path=saved, idempotency_key=key
    )
    assert again.task_id == client.runs.recent[0].task_id
    assert "A" in saved.read_text()


def test_a_run_without_a_known_key(connect: Connect, api: FaultyServer) -> None:
    """Neither a note nor an error names an unknown key. If it is known, both do."""
    many_runs(api)
    client = connect(api)
    started = client.flows.start("f", idempotency_key="order-7")
    for run, names_key in ((Run(flow_id="f", task_id="u"), False), (started, True)):
        with pytest.raises(WaitTimeoutError) as caught:
            client.runs.wait(run, timeout=0)
        output = "".join((str(caught.value), *notes_of(caught.value)))
        assert ("idempotency_key" in output) is names_key
        assert ("idempotency_key='order-7'" in output) is names_key


def test_each_of_many_has_a_correct_note(connect: Connect, api: FaultyServer) -> None:
    """A note is right after any number of starts, and later by the id of its run."""
    many_runs(api)
    client = connect(api)
    first, *_ = [client.flows.start("f") for _ in range(3)]
    with pytest.raises(WaitTimeoutError) as caught:
        client.runs.wait(first, timeout=0)
    (note,) = notes_of(caught.value)
    assert [run.task_id for run in runs_named_in(note, client)] == ["t0", "t0"]
    client.flows.start("f")
    assert [run.task_id for run in runs_named_in(note, client)] == ["t1", "t0"]


def test_a_timeout_has_a_note(connect: Connect, api: FaultyServer) -> None:
    """In a notebook, there is no `error` after a traceback: the note of a timeout finds the run."""
    many_runs(api)
    client = connect(api)
    with pytest.raises(WaitTimeoutError) as caught:
        client.flows.run("f", wait_timeout=0)
    (note,) = notes_of(caught.value)
    assert {run.task_id for run in runs_named_in(note, client)} == {"t0"}


def test_an_interrupted_watch_has_a_note(connect: Connect, api: FaultyServer) -> None:
    """`watch` has the same note as `wait`. Ending the iteration has none."""
    many_runs(api)
    client = connect(api)
    run = client.flows.start("f")
    with pytest.raises(WaitTimeoutError) as caught:
        list(client.runs.watch(run, timeout=0))
    assert len(notes_of(caught.value)) == 1
    for _ in client.runs.watch(run):
        break


def test_a_failed_run_has_no_note(connect: Connect, api: FaultyServer) -> None:
    """A failed run cannot be waited for: its error has no note."""
    api.on("/flows/f/status", json_reply('{"status": "FAILED"}'))
    client = connect(api)
    with pytest.raises(RunFailedError) as caught:
        client.flows.run("f")
    assert notes_of(caught.value) == []
    assert str(client.runs.recent[0].status) == "FAILED"


def test_a_closed_client_still_has_its_runs(connect: Connect, api: FaultyServer) -> None:
    """If it is closed during a wait, the note says that another client resumes it."""
    many_runs(api)
    client = connect(api)
    closing = threading.Thread(target=client.close)
    with pytest.raises(PollingInterruptedError) as caught:
        client.flows.run("f", on_status=lambda _: closing.start())
    closing.join(60)
    (note,) = notes_of(caught.value)
    assert "another_client.runs.wait(client.runs.recent[0])" in note
    assert {run.task_id for run in runs_named_in(note, client)} == {"t0"}


def test_many_cancelled_runs(api: FaultyServer) -> None:
    """Twenty concurrent runs, cancelled together: each exception names its own run."""
    many_runs(api)

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=api.url) as client:
            waiting = threading.Event()

            async def one(text: str) -> None:
                run_id = ""

                def noted(run: Run) -> None:
                    nonlocal run_id
                    run_id = run.task_id
                    if len(client.runs.recent) == 20:
                        waiting.set()

                try:
                    await client.flows.run("f", {"text": text}, on_status=noted)
                except asyncio.CancelledError as error:
                    (note,) = notes_of(error)
                    if run_id:
                        assert [r.task_id for r in runs_named_in(note, client)] == [run_id] * 2
                    raise

            tasks = [asyncio.ensure_future(one(str(i))) for i in range(20)]
            assert await asyncio.to_thread(waiting.wait, 60)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(end) for end in ends} == {asyncio.CancelledError}

    asyncio.run(main())


@pytest.mark.parametrize("cls", [Dcipher, AsyncDcipher])
def test_many_interrupted_runs(api: FaultyServer, cls: type[Dcipher | AsyncDcipher]) -> None:
    """A hundred and ten concurrent runs, all interrupted: each note finds its own run by its ids."""
    many_runs(api)
    crowd, ready = 110, threading.Barrier(111)
    seen: list[str] = []
    ended: list[tuple[str, BaseException]] = []

    def in_a_thread(client: Dcipher) -> None:
        mine = ""

        def hold(run: Run) -> None:
            nonlocal mine
            mine = run.task_id
            ready.wait(60)
            raise LookupError("mine")

        with pytest.raises(LookupError) as caught:
            client.flows.run("f", on_status=hold)
        ended.append((mine, caught.value))

    def blocking() -> Any:
        with Dcipher(KEY, base_url=api.url) as client:
            threads = [
                threading.Thread(target=in_a_thread, args=(client,), daemon=True)
                for _ in range(crowd)
            ]
            for thread in threads:
                thread.start()
            ready.wait(60)
            for thread in threads:
                thread.join(60)
        return client

    async def on_a_loop() -> Any:
        all_wait = asyncio.Event()

        async def one(client: AsyncDcipher) -> None:
            mine = ""

            async def hold(run: Run) -> None:
                nonlocal mine
                mine = run.task_id
                seen.append(mine)
                if len(seen) == crowd:
                    all_wait.set()
                await asyncio.Event().wait()

            try:
                await client.flows.run("f", on_status=hold)
            except asyncio.CancelledError as error:
                ended.append((mine, error))

        async with AsyncDcipher(KEY, base_url=api.url) as client:
            tasks = [asyncio.ensure_future(one(client)) for _ in range(crowd)]
            await asyncio.wait_for(all_wait.wait(), 60)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks)
        return client

    client = blocking() if cls is Dcipher else asyncio.run(on_a_loop())
    assert len(ended) == crowd
    for task_id, error in ended:
        (note,) = notes_of(error)
        assert [run.task_id for run in runs_named_in(note, client)][-1] == task_id


def test_used_runs_are_not_removed() -> None:
    """This holds in any state of a run. When it is no longer used, the next start removes it."""
    recent = RecentRuns()
    first = Run(flow_id="f", task_id="first", status="SUCCEEDED")
    second = Run(flow_id="f", task_id="second")
    recent.add(first)
    recent.add(second)

    def others(name: str, count: int = 100) -> None:
        for number in range(count):
            recent.add(Run(flow_id="f", task_id=f"{name}{number}"))

    with recent.held(first):
        with recent.held(first), recent.held(second):
            others("a")
            assert recent()[-2:] == (second, first)
        others("b", 1)
        assert recent()[-1] == first
        assert recent.index(second) is None
        assert len(recent()) == 101
    others("c", 1)
    assert recent.index(first) is None
    assert len(recent()) == 100


@pytest.mark.parametrize("how", ["wait", "watch", "download", "read"])
def test_a_run_in_use_is_remembered(
    connect: Connect, api: FaultyServer, tmp_path: Path, how: str
) -> None:
    """A hundred starts during a wait or a download do not make its run forgotten."""
    many_runs(api)
    client = connect(api)
    run = client.flows.start("f")
    counts: list[int] = []

    def among_many(_: Recorded) -> Reply:
        if not counts:
            with Dcipher(KEY, base_url=api.url) as other:
                for number in range(100):
                    client._recent.add(other.flows.start("f"))
                    counts.append(number)
        return (
            json_reply('{"status": "SUCCEEDED"}') if how in {"wait", "watch"} else Reply(status=404)
        )

    if how in {"wait", "watch"}:
        api.on("/flows/f/status", among_many)
        last = client.runs.wait(run) if how == "wait" else list(client.runs.watch(run))[-1]
        assert last.succeeded
    else:
        api.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
        api.on("/result", among_many)
        with pytest.raises(DcipherError):
            client.runs.download(run, tmp_path / "out") if how == "download" else client.runs.read(
                run
            )
    assert len(counts) == 100
    assert client.runs.recent[-1].task_id == run.task_id


def test_an_interrupted_start_is_resumed_with_its_key(api: FaultyServer, kind: Kind) -> None:
    """The note of a run whose start is interrupted has the key that resumes it."""
    asked = threading.Event()

    async def cancelled() -> str:
        async with AsyncDcipher(KEY, base_url=api.url) as client:
            task = asyncio.ensure_future(client.flows.run("f"))
            assert await asyncio.to_thread(asked.wait, 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            # Before Python 3.11, awaiting a task raises a new exception, with that of the task as its context.
            raised: BaseException = caught.value
            original = raised if notes_of(raised) else raised.__context__
            assert original is not None
            return "".join(notes_of(original))

    def interrupted() -> str:
        interruption = pytest.raises(KeyboardInterrupt)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with Dcipher(KEY, base_url=api.url) as client, interruption as caught:
                client.flows.run("f")
        finally:
            signal.signal(signal.SIGINT, before)
        return "".join(notes_of(caught.value))

    def stall(_: Recorded) -> Reply:
        asked.set()
        if kind == "sync":
            # To the thread: what it waits in ends, too, which `interrupt_main` does not see to.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return STALL

    api.on("/flows/f/run", stall)
    note = interrupted() if kind == "sync" else asyncio.run(cancelled())
    (sent,) = api.requests
    key = sent.headers["idempotency-key"]
    assert f"repeat the call with idempotency_key='{key}'" in note


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "CANCELFAILED"])
def test_advice_for_a_failed_run_with_a_fixed_key(
    connect: Connect, api: FaultyServer, status: str
) -> None:
    """A deterministic key always returns the failed run: the error says that another run needs another key."""
    api.on("/flows/f/status", json_reply(f'{{"status": "{status}"}}'))
    with pytest.raises(
        DcipherError, match="not with idempotency_key='order-1', which returns this"
    ):
        connect(api).flows.run("f", idempotency_key="order-1")
    with pytest.raises(DcipherError, match="tart a new run, with a new idempotency key"):
        connect(api).runs.wait(Run(flow_id="f", task_id="t"))
