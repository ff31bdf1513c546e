"""Results on disk: complete or missing, at the path and with the mode of a plain open()."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Dcipher, InvalidParamsError, LocalStorageError, Run
from tests.conftest import KEY
from tests.faulty import Reply
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
BODY = bytes(range(256)) * 4096


@pytest.fixture
def run(server: FaultyServer) -> Run:
    """A run whose result is one megabyte."""
    server.on("/result", Reply(BODY))
    return Run.model_validate(
        {
            "flow_id": "f",
            "task_id": "t",
            "status": "SUCCEEDED",
            "outputs": [{"url": f"{server.url}/result?Signature=x"}],
        }
    )


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path, umask: int
) -> None:
    """A new file has the permissions of a plain open()."""
    before = os.umask(umask)
    try:
        (path,) = connect(server).runs.download(run, tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_permissions_of_an_existing_file(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path, mode: int
) -> None:
    """A replaced file keeps its permissions."""
    target = tmp_path / "out"
    target.touch()
    target.chmod(mode)
    connect(server).runs.download(run, target)
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == BODY


@posix
def test_a_symbolic_link(connect: Connect, server: FaultyServer, run: Run, tmp_path: Path) -> None:
    """The target of a link has the result afterwards, and is complete at any moment: the old or the new one."""
    behind, link = tmp_path / "behind", tmp_path / "link"
    behind.write_bytes(b"old")
    link.symlink_to(behind)
    connect(server).runs.download(run, link)
    assert link.read_bytes() == BODY
    assert behind.read_bytes() in {b"old", BODY}
    assert {path.name for path in tmp_path.iterdir()} == {"behind", "link"}


@posix
def test_a_link_that_leads_nowhere_is_there(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path
) -> None:
    """With `overwrite=False` a dangling link is not replaced."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LocalStorageError):
        connect(server).runs.download(run, tmp_path / "link", overwrite=False)
    assert not (tmp_path / "nowhere").exists()


def test_overwrite_false(connect: Connect, server: FaultyServer, run: Run, tmp_path: Path) -> None:
    """`overwrite=False` makes a new file, and never replaces one."""
    client, target = connect(server), tmp_path / "out"
    client.runs.download(run, target, overwrite=False)
    target.write_bytes(b"mine")
    with pytest.raises(LocalStorageError, match="exists") as caught:
        client.runs.download(run, target, overwrite=False)
    assert target.read_bytes() == b"mine"
    assert caught.value.run.task_id == "t"
    assert caught.value.output_index == 0


def test_a_file_that_appears_meanwhile(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path
) -> None:
    """With `overwrite=False` a file that appears during the download is not replaced either."""
    target = tmp_path / "out"

    def appear(done: int, total: int | None) -> None:
        target.write_bytes(b"mine")

    with pytest.raises(LocalStorageError):
        connect(server).runs.download(run, target, overwrite=False, on_progress=appear)
    assert target.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["folder", "missing/out", "file/out"])
def test_invalid_paths(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path, name: str
) -> None:
    """A folder, a missing folder, and a file as a folder are errors before a byte is fetched."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(LocalStorageError) as caught:
        connect(server).runs.download(run, tmp_path / name)
    assert isinstance(caught.value, OSError)
    assert caught.value.filename == str(tmp_path / name)
    assert server.requests == []


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the devices of Linux")
def test_a_device_is_no_file(connect: Connect, server: FaultyServer, run: Run) -> None:
    """A device is not replaced by a file."""
    with pytest.raises(LocalStorageError, match="regular file"):
        connect(server).runs.download(run, "/dev/full")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@posix
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the descriptors of Linux")
def test_an_open_file_is_not_a_target(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path
) -> None:
    """The file behind /dev/stdout is not replaced: later output of the program would be lost."""
    log, link = tmp_path / "log", tmp_path / "link"
    with log.open("w") as opened:
        link.symlink_to(f"/dev/fd/{opened.fileno()}")
        for path in (Path(f"/proc/self/fd/{opened.fileno()}"), link):
            with pytest.raises(LocalStorageError, match="not a regular file"):
                connect(server).runs.download(run, path)
        opened.write("mine")
    assert log.read_text() == "mine"


class Unnamed(os.PathLike[str]):
    def __fspath__(self) -> str:
        raise LookupError("mine")


def test_a_path_object_that_raises(connect: Connect, server: FaultyServer, run: Run) -> None:
    """An exception of a path object is the cause of our error, before a byte is fetched."""
    with pytest.raises(InvalidParamsError, match="from a Unnamed") as caught:
        connect(server).runs.download(run, Unnamed())
    assert isinstance(caught.value.__cause__, LookupError)
    assert server.requests == []


@pytest.mark.parametrize("value", ["no", 1, None])
def test_overwrite_is_true_or_false(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path, value: Any
) -> None:
    """The text "no" replaces no file."""
    target = tmp_path / "out"
    target.write_bytes(b"mine")
    with pytest.raises(InvalidParamsError, match="overwrite must be True or False"):
        connect(server).runs.download(run, target, overwrite=value)
    assert target.read_bytes() == b"mine"


def test_a_long_name(connect: Connect, server: FaultyServer, run: Run, tmp_path: Path) -> None:
    """A name of 255 bytes, with letters of three bytes, is saved: the temporary name is not longer."""
    name = "文" * 85
    (path,) = connect(server).runs.download(run, tmp_path / name)
    assert path.read_bytes() == BODY


def test_two_writers(server: FaultyServer, run: Run, tmp_path: Path) -> None:
    """After several concurrent downloads to one path, it has a complete file of one of them, and no debris."""
    target = tmp_path / "out"
    with Dcipher(KEY, base_url=server.url) as client:
        threads = [
            threading.Thread(target=client.runs.download, args=(run, target)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert target.read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_several_results_and_one_that_fails(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path
) -> None:
    """If the second of two results fails, the first remains, and the error names the second."""
    second = {"url": f"{server.url}/second?Signature=x"}
    both = Run.model_validate(
        {**json.loads(run.to_json(reveal=True)), "outputs": [*json.loads(run.to_json(reveal=True))["outputs"], second],
         "finished_at": "2020-01-01T00:00:00Z"}
    )  # fmt: skip

    def refuse(_: Recorded) -> Reply:
        until((tmp_path / "out_0.bin").exists)
        return Reply(b"", 403)

    server.on("/second", refuse)
    with pytest.raises(Exception, match="Result 1 ") as caught:
        connect(server).runs.download(both, tmp_path / "out.bin")
    assert caught.value.output_index == 1
    assert {path.name for path in tmp_path.iterdir()} == {"out_0.bin"}


CHILD = """
import json, resource, signal, sys
from pathlib import Path
from dcipher import Dcipher, Run
url, target, size, call = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=({"url": url},))
with Dcipher("k", base_url="http://127.0.0.1:9") as client:
    try:
        if call == "download":
            client.runs.download(run, target)
        else:
            list(client.runs.records(run))
    except Exception as error:
        print(json.dumps([type(error).__name__, getattr(error, "errno", None), str(error)]))
"""


def in_a_child(url: str, target: Path, size: int, call: str) -> list[Any]:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", CHILD, url, str(target), str(size), call],
        capture_output=True,
        text=True,
        check=True,
        timeout=5 * HANG,
        cwd=target.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found: list[Any] = json.loads(done.stdout)
    return found


@posix
def test_a_full_disk(server: FaultyServer, run: Run, tmp_path: Path) -> None:
    """A full disk is a `LocalStorageError`. The old file is intact, and there is no debris."""
    target = tmp_path / "out"
    target.write_bytes(b"old")
    name, errno, text = in_a_child(f"{server.url}/result?Signature=x", target, 100_000, "download")
    assert name == "LocalStorageError"
    assert errno is not None
    assert str(target) in text
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@posix
def test_a_full_disk_under_records(server: FaultyServer, tmp_path: Path) -> None:
    """A disk that is full while rows are read is a `LocalStorageError`, too."""
    server.on("/rows", Reply(b"[" + b"1," * (5 * 1024 * 1024) + b"1]"))
    name, _, _ = in_a_child(f"{server.url}/rows", tmp_path / "x", 1_000_000, "records")
    assert name == "LocalStorageError"


def test_an_impossible_name(
    connect: Connect, server: FaultyServer, run: Run, tmp_path: Path
) -> None:
    """A name that the file system cannot encode is rejected before anything is sent."""
    client = connect(server)
    with pytest.raises(InvalidParamsError, match="a file name cannot have"):
        client.flows.run("f", save_path=f"{tmp_path}/\ud800.json")
    assert server.requests == []
