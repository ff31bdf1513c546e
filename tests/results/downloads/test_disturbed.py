"""Disturbed downloads: a removed file, a changed folder, a fork, nested calls."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dcipher import AsyncDcipher, Dcipher, IntegrityError, LocalStorageError, ResultError
from dcipher._results.downloads.files.part_file import PartFile
from tests.conftest import KEY
from tests.faulty import Reply
from tests.results.downloads.stores import (
    BODY,
    MIB,
    ONCE,
    assert_saved,
    assert_untouched,
    result_of,
    run_at,
    store,
)
from tests.waiting import HANG, at_work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

PART = ".result.bin.dcipher.part"
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
THREADS_AND_FORKS = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def once(act: Callable[[], object]) -> Callable[[int, int | None], None]:
    """An `on_progress` that does it at its first call."""
    acts = [act]

    def report(_done: int, _total: int | None) -> None:
        if acts:
            acts.pop()()

    return report


def test_the_part_is_removed(connect: Connect, server: FaultyServer, target: Path) -> None:
    """If the part is removed during a download, the download fails, and the old file remains."""
    server.on("/result", store(BODY))
    with pytest.raises(LocalStorageError, match="the unfinished file was removed"):
        connect(server).runs.download(
            result_of(server), target, on_progress=once(target.with_name(PART).unlink)
        )
    assert_untouched(target)


def test_the_part_is_replaced(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Another program's file at the path of the part is neither used as the result nor removed."""
    server.on("/result", store(BODY))
    part = target.with_name(PART)

    def replace() -> None:
        part.unlink()
        part.write_bytes(b"somebody's")

    with pytest.raises(LocalStorageError):
        connect(server).runs.download(result_of(server), target, on_progress=once(replace))
    assert target.read_bytes() == b"old"
    assert part.read_bytes() == b"somebody's"


def test_another_folder(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is relative to the working directory at the call."""
    elsewhere = target.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / PART).write_bytes(b"a part of somebody's")
    monkeypatch.chdir(target.parent)
    server.on("/result", store(BODY))
    connect(server).runs.download(
        result_of(server), target.name, on_progress=once(lambda: monkeypatch.chdir(elsewhere))
    )
    assert target.read_bytes() == BODY
    assert [path.name for path in elsewhere.iterdir()] == [PART]


@FORKS
@THREADS_AND_FORKS
def test_a_child_that_unwinds(server: FaultyServer, target: Path) -> None:
    """A child that is forked in `on_progress` and leaves by an exception touches nothing of its parent's."""
    server.on("/result", Reply(BODY, framing="chunked", headers={"ETag": '"1"'}))
    parent = os.getpid()
    ended: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            raise SystemExit(0)
        ended.append(os.waitpid(pid, 0)[1])

    try:
        with Dcipher(KEY, base_url=server.url) as client:
            client.runs.download(result_of(server), target, on_progress=once(fork))
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert ended == [0]
    assert_saved(target, BODY)


@FORKS
@THREADS_AND_FORKS
def test_a_child_process_keeps_no_lock(server: FaultyServer, target: Path) -> None:
    """A child that was forked meanwhile does not keep the lock of the part."""
    server.on("/result", store(BODY, cut=2 * MIB))
    children: list[int] = []

    def fork() -> None:
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(2 * HANG)
            os._exit(0)

    client = Dcipher(KEY, base_url=server.url, resilience=ONCE)
    try:
        with pytest.raises(IntegrityError, match="are kept"):
            client.runs.download(result_of(server), target, on_progress=once(fork))
        server.on("/result", store(BODY))
        client.runs.download(result_of(server), target)
    finally:
        client.close()
        os.kill(children[0], 9)
        os.waitpid(children[0], 0)
    assert [r.headers.get("range") for r in server.requests] == [None, f"bytes={2 * MIB}-"]
    assert_saved(target, BODY)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_while_the_disk_is_slow(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """A download that was cancelled at its last step does not replace a later one's file."""
    server.on("/first", Reply(b"first"))
    server.on("/second", Reply(b"second"))
    real, slow = os.fsync, [True]
    syncing, synced = threading.Event(), threading.Event()

    def fsync(descriptor: int) -> None:
        if slow and slow.pop():
            syncing.set()
            synced.wait(HANG)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)

    async def main() -> None:
        async with AsyncDcipher(api_key=KEY, base_url=server.url) as client:
            async with anyio.create_task_group() as group:
                first = run_at(f"{server.url}/first?Signature=s")
                group.start_soon(client.runs.download, first, target)
                await anyio.to_thread.run_sync(syncing.wait, HANG)
                group.cancel_scope.cancel()
            await client.runs.download(run_at(f"{server.url}/second?Signature=s"), target)
            synced.set()

    anyio.run(main, backend=backend)
    assert at_work() == []
    assert_saved(target, b"second")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_callbacks_that_download(server: FaultyServer, tmp_path: Path, backend: str) -> None:
    """As many concurrent downloads as permitted, whose `on_progress` downloads, too, complete."""
    server.on("*", Reply(bytes(2 * MIB)))
    many = 34

    async def main() -> None:
        begun, all_begun = [0], anyio.Event()

        async def one(number: int) -> None:
            asked = False

            async def report(_done: int, _total: int | None) -> None:
                nonlocal asked
                if asked:
                    return
                asked = True
                begun[0] += 1
                if begun[0] >= 32:
                    all_begun.set()
                await all_begun.wait()
                assert len(await client.runs.read(run_at(f"{server.url}/b?s=1"), bytes)) == 2 * MIB

            await client.runs.download(
                run_at(f"{server.url}/a?Signature=s"), tmp_path / str(number), on_progress=report
            )

        async with AsyncDcipher(api_key=KEY, base_url=server.url, timeout=HANG) as client:
            with anyio.fail_after(2 * HANG):
                async with anyio.create_task_group() as group:
                    for number in range(many):
                        group.start_soon(one, number)

    anyio.run(main, backend=backend)
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {2 * MIB}


def test_no_temporary_folder(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small result is read even if no temporary file can be created."""

    def nowhere(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", nowhere)
    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    server.on("/result", Reply(b"[1]", headers={"Content-Type": "application/json"}))
    client = connect(server)
    assert client.runs.read(result_of(server)) == [1]


def test_the_part_of_a_private_file(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The part of a private file is never readable for others."""
    target.chmod(0o600)
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert stat.S_IMODE(target.with_name(PART).stat().st_mode) == 0o600


def test_a_sidecar_that_is_a_folder(connect: Connect, server: FaultyServer, target: Path) -> None:
    """If no sidecar can be written, nothing is kept, and the error is that of the download."""
    target.with_name(f"{PART}.json").mkdir()
    server.on("/result", store(BODY, cut=2 * MIB))
    with pytest.raises(IntegrityError, match="Nothing was saved"):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    server.on("/result", store(BODY))
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY


def test_a_target_in_a_loop_of_links(tmp_path: Path) -> None:
    """A part whose target is in a loop of links is removed."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LocalStorageError):
        PartFile(tmp_path / "loop", "i")
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize("where", ["header", "encoding", "redirect"])
def test_a_store_that_repeats_the_signature(
    connect: Connect,
    server: FaultyServer,
    target: Path,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    """A signature that a store repeats in its headers is in no log and in no error."""
    caplog.set_level(0)
    for name in ("httpcore", "httpx", "dcipher"):
        caplog.set_level(1, logger=name)
    canary = "canary-0123456789-signature"
    second = "canary-of-the-other-place"
    if where == "header":
        server.on("/result", Reply(b"", 403, {"X-Echo": canary}))
    elif where == "encoding":
        server.on("/result", Reply(b"", 200, {"Content-Encoding": canary}))
    else:
        there = f"{server.url}/other?Signature={second}"
        server.on("/result", Reply(b"", 302, {"Location": there, "X-Echo": canary}))
        server.on("/other", Reply(f"no {second}".encode(), 403, {"X-Echo": second}))
    run = run_at(f"{server.url}/result?Signature={canary}")
    with pytest.raises(ResultError) as caught:
        # Without it, what is in an unknown encoding is saved as it is.
        connect(server).runs.download(run, target, require_integrity=where == "encoding")
    formatted = [logging.Formatter().format(record) for record in caplog.records]
    assert not [line for line in [*formatted, str(caught.value)] if "canary" in line]
