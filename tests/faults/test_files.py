"""A reader of the target sees the old or the new file, whatever happens to the writer."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import LocalStorageError
from tests.faulty import Reply
from tests.results.downloads.stores import assert_saved, result_of, run_at, store
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

BODY = bytes(range(256)) * 4096
SLOW = Reply(BODY, cut=len(BODY) // 2, length=len(BODY), after="stall", headers={"ETag": '"1"'})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    return path


def test_the_order_in_which_a_file_is_saved(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complete file is synced before it is renamed, and the folder after that."""
    synced: list[tuple[bool, int, bool]] = []
    sync = os.fsync

    def seen(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_old = target.read_bytes() == b"old"
        synced.append((stat.S_ISDIR(status.st_mode), status.st_size, is_old))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    server.on("/result", Reply(BODY))
    connect(server).runs.download(result_of(server), target)
    whole = (False, len(BODY), True)
    assert whole in synced
    assert any(is_folder and not is_old for is_folder, _, is_old in synced[synced.index(whole) :])
    assert_saved(target, BODY)


NAMES = {
    "Content-Disposition": 'attachment; filename="../../evil.json"',
    "Content-Location": "/evil",
}


@pytest.mark.parametrize(
    "place", ["/../../evil.json", "/..%2f..%2fevil.json", "/%2e%2e/evil", "/C:\\evil"]
)
def test_names_of_the_server(
    connect: Connect, server: FaultyServer, tmp_path: Path, place: str
) -> None:
    """Neither the name in the URL nor that in a header determines the target of a result."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    server.on("*", Reply(BODY, headers=NAMES))
    run = run_at(f"{server.url}{place}?Signature=canary-signature")
    (saved,) = connect(server).runs.download(run, folder / "mine.json")
    assert saved == folder / "mine.json"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["a", "b", "mine.json"]


CHILD = """
import asyncio
import signal
import sys
import dcipher

# A process that was started in the background may have been told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

url, base, target, kind = sys.argv[1:]
run = dcipher.Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=[{"url": url}])

async def download():
    async with dcipher.AsyncDcipher("emu_canary", base_url=base, timeout=600) as client:
        print("ready", flush=True)
        await client.runs.download(run, target)

if kind == "async":
    # Not anyio's: before Python 3.11, its end after Ctrl-C is a CancelledError.
    asyncio.run(download())
else:
    with dcipher.Dcipher("emu_canary", base_url=base, timeout=600) as client:
        print("ready", flush=True)
        client.runs.download(run, target)
"""


def _interrupted(
    server: FaultyServer, target: Path, kind: str, how: int, *, after: int = 0
) -> tuple[int, str]:
    """A process that is in the middle of a download: its exit status, and its last words."""
    arguments = [f"{server.url}/result?Signature=canary-signature", server.url, str(target), kind]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }
    child = subprocess.Popen(  # noqa: S603 - our own lines
        [sys.executable, "-c", CHILD, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        until(lambda: server.seen("/result") and _has_some(target, after))
        child.send_signal(how)
        words = child.communicate(timeout=HANG)[1]
        return child.returncode, words
    finally:
        child.kill()
        child.wait(HANG)


def _has_some(target: Path, size: int) -> bool:
    """Returns whether a part of this size exists: the download is in progress."""
    beside = [path.stat().st_size for path in target.parent.iterdir() if path != target]
    return any(found >= size for found in beside)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed(
    kind: str, connect: Connect, server: FaultyServer, target: Path, how: Any
) -> None:
    """Kill -9 during a download leaves the old file, and the next process saves the complete new one."""
    server.on("/result", SLOW, store(BODY))
    code, _ = _interrupted(server, target, kind, how)
    assert code == -how
    assert target.read_bytes() == b"old"
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY


def test_ctrl_c(kind: str, server: FaultyServer, target: Path) -> None:
    """Ctrl-C during a download ends within seconds. The old file remains, and at most a part."""
    server.on("/result", SLOW)
    _, words = _interrupted(server, target, kind, signal.SIGINT)
    assert "KeyboardInterrupt" in words
    assert "canary" not in words
    assert target.read_bytes() == b"old"
    debris = [path for path in target.parent.iterdir() if path != target]
    assert all(".part" in path.name for path in debris)


def test_ctrl_c_and_resume(kind: str, connect: Connect, server: FaultyServer, target: Path) -> None:
    """Bytes that were received before Ctrl-C are not fetched again by the next download, in any process."""
    body = BODY * 3
    slow = Reply(body, cut=2 * len(BODY), length=len(body), after="stall", headers={"ETag": '"1"'})
    server.on("/result", slow, store(body))
    _interrupted(server, target, kind, signal.SIGINT, after=len(BODY) + 1)
    assert target.read_bytes() == b"old"
    connect(server).runs.download(result_of(server), target)
    assert server.requests[-1].headers["range"].startswith("bytes=")
    assert server.requests[-1].headers["if-match"] == '"1"'
    assert_saved(target, body)


def test_an_unwritable_folder(connect: Connect, api: FaultyServer, tmp_path: Path) -> None:
    """A folder in which no file can be created is reported before a run is started."""
    with pytest.raises(LocalStorageError, match="cannot be saved") as caught:
        connect(api).flows.run("f", save_path="/proc/self/result.json")
    assert api.requests == []
    assert caught.value.errno is not None


@pytest.mark.parametrize(
    ("place", "number", "says"),
    [
        ("missing/result.json", errno.ENOENT, "the folder does not exist.*Create the folder first"),
        ("folder", errno.EISDIR, "it is a folder"),
        ("file/result.json", errno.ENOENT, "the folder does not exist"),
        ("pipe", errno.EINVAL, "it is not a regular file"),
    ],
)
@pytest.mark.parametrize("call", ["run", "download"])
def test_an_unwritable_path(
    connect: Connect,
    api: FaultyServer,
    tmp_path: Path,
    call: str,
    place: str,
    number: int,
    says: str,
) -> None:
    """The error for a path has its own number and text, before anything is requested."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    client, target = connect(api), tmp_path / place
    calls = {
        "run": lambda: client.flows.run("f", save_path=target),
        "download": lambda: client.runs.download(result_of(api), target),
    }
    with pytest.raises(LocalStorageError, match=says) as caught:
        calls[call]()
    assert caught.value.errno == number
    assert api.requests == []


def test_a_symbolic_link_at_a_temporary_name(
    connect: Connect, server: FaultyServer, target: Path, tmp_path: Path
) -> None:
    """A user who guesses temporary names cannot have a result written through a link."""
    victim = tmp_path / "victim"
    victim.mkdir()
    server.on("/result", Reply(BODY))
    client = connect(server)
    names: set[str] = set()

    def look(*_: object) -> None:
        names.update(path.name for path in target.parent.iterdir())

    client.runs.download(result_of(server), target, on_progress=look)
    for name in names - {target.name, victim.name}:
        (target.parent / name).symlink_to(victim / "stolen")
    client.runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert list(victim.iterdir()) == []
