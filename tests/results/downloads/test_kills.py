"""`kill -9` at any step of a download: the old file or the new one, and the next download resumes or cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dcipher
from tests.faulty import Reply
from tests.results.downloads.stores import BODY, MIB, result_of, store
from tests.waiting import HANG

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kills and locks as on Linux")

OLD = b"old"
# Both come from wherever this test does: a wheel that is tested has no source beside it.
PATHS = os.pathsep.join([str(Path(dcipher.__file__).parents[1]), str(Path(__file__).parents[3])])

BEFORE_THE_FIRST_NOTE = [
    "before open part",
    "after open part 2",
    "after lock part",
    "before truncate part",
    "after truncate part",
    "before write part",
    "after write part",
    "before sync part",
    "after sync part",
    "after open new note",
    "after write new note",
    "after sync new note",
    "before rename new note",
]
WITH_A_NOTE = [
    "after rename new note",
    "after sync folder",
    "after write part 12",
    "after sync part 2",
    "after open new note 2",
    "before rename new note 2",
    "after rename new note 2",
    "after write part 24",
    "before sync part 3",
    "after sync part 3",
    "before rename part",
]
SAVED = ["after rename part", "after remove note 3", "before sync folder 4", "after sync folder 4"]
IN_EVERY_PYTHON = ["after write part", "after rename new note 2", "before rename part"]


def download(server: FaultyServer, target: Path, kind: str, step: str, *more: str) -> None:
    """Runs a download in its own process, which must be killed at the step."""
    done = subprocess.run(  # noqa: S603 - our own program
        [
            sys.executable,
            str(Path(__file__).with_name("killed.py")),
            f"{server.url}/result?Signature=canary-signature",
            str(target),
            kind,
            step,
            *more,
        ],
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=False,
        timeout=5 * HANG,
    )
    assert done.returncode == -signal.SIGKILL, f"it never came to {step!r}: {done.stderr}"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients is killed, and resumes."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def target(server: FaultyServer, tmp_path: Path) -> Path:
    server.on("/result", store(BODY))
    return tmp_path / "out"


def started_at(server: FaultyServer) -> int:
    """Returns the first requested byte of the last request."""
    asked = server.seen("/result")[-1].headers.get("range", "bytes=0-")
    return int(asked.removeprefix("bytes=").removesuffix("-"))


STEPS = [
    pytest.param(step, marks=[] if step in IN_EVERY_PYTHON else [pytest.mark.thorough])
    for step in (*BEFORE_THE_FIRST_NOTE, *WITH_A_NOTE, *SAVED)
]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(
    kind: str, connect: Connect, server: FaultyServer, target: Path, step: str
) -> None:
    """Killed at the step, it leaves the old file or the new one; the next one saves, and leaves nothing else."""
    target.write_bytes(OLD)
    download(server, target, kind, step)
    assert target.read_bytes() == (BODY if step in SAVED else OLD)
    beside = {path.name for path in target.parent.iterdir()} - {"out"}
    assert beside <= {
        ".out.dcipher.part",
        ".out.dcipher.part.json",
        ".out.dcipher.part.json.new",
    }

    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["out"]
    assert (started_at(server) >= MIB) == (step in WITH_A_NOTE)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "step",
    ["after lock part", "after truncate part", "after write part 4", "before rename part"],
)
def test_killed_again(
    kind: str, connect: Connect, server: FaultyServer, target: Path, step: str
) -> None:
    """A download that resumed another one, and is killed, too, is resumed."""
    target.write_bytes(OLD)
    download(server, target, kind, "after rename new note 2")
    download(server, target, kind, step)
    assert target.read_bytes() == OLD
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["out"]
    assert started_at(server) >= 2 * MIB


@pytest.mark.thorough
@pytest.mark.parametrize("step", ["before link part", "after link part", "after remove part"])
def test_killed_with_no_overwrite(
    connect: Connect, server: FaultyServer, target: Path, step: str
) -> None:
    """With `overwrite=False`, there is no file, or a complete one, which the next download does not change."""
    download(server, target, "sync", step, "new")
    assert target.exists() == (not step.startswith("before"))
    if target.exists():
        assert target.read_bytes() == BODY
        held = target.open("rb")
    else:
        held = None
    connect(server).runs.download(result_of(server), target)
    if held is not None:
        with held:
            assert held.read() == BODY  # the file that somebody had open was not written to
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["out"]


OF_SEVERAL = ["before posix_fallocate", "after posix_fallocate", "before pwrite", "after pwrite 3",
              "after pwrite 12", "after rename new note", "after pwrite 20", "before rename part",
              "after rename part"]  # fmt: skip


@pytest.mark.parametrize(
    "step",
    [pytest.param(s, marks=[pytest.mark.thorough] * (i != 4)) for i, s in enumerate(OF_SEVERAL)],
)
def test_killed_with_several_connections(
    kind: str, connect: Connect, server: FaultyServer, target: Path, step: str
) -> None:
    """Killed while several connections write to one file, it leaves the old one or the new one."""
    server.on("/result", of_several)
    target.write_bytes(OLD)
    download(server, target, kind, step, "several")
    assert target.read_bytes() == (BODY if step == "after rename part" else OLD)
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def of_several(request: Recorded) -> Reply:
    """A store that supports ranges."""
    headers = {"ETag": '"1"', "Accept-Ranges": "bytes"}
    asked = request.headers.get("range", "").removeprefix("bytes=")
    if not asked:
        return Reply(BODY, 200, headers)
    first, _, last = asked.partition("-")
    start, end = int(first), int(last or len(BODY) - 1) + 1
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(BODY)}"
    return Reply(BODY[start:end], 206, headers)


@pytest.mark.thorough
@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
def test_killed_at_any_moment(
    connect: Connect, server: FaultyServer, target: Path, after: float
) -> None:
    """The old file remains. Received bytes are not requested again if the sidecar has them."""
    slow = store(BODY)
    begun: list[float] = []

    def dribbling(request: Recorded) -> Reply:
        begun.append(time.monotonic())
        reply = slow(request)
        return Reply(
            reply.body, reply.status, reply.headers, cut=int(len(BODY) * after), after="stall"
        )

    server.on("/result", dribbling)
    target.write_bytes(OLD)
    process = subprocess.Popen(  # noqa: S603 - our own program
        [
            sys.executable,
            str(Path(__file__).with_name("killed.py")),
            f"{server.url}/result?Signature=canary-signature",
            str(target),
            "sync",
            "never",
        ],
        env={**os.environ, "PYTHONPATH": PATHS},
    )
    with process:
        while not begun:
            time.sleep(0.005)
        time.sleep(after)
        process.kill()
    assert target.read_bytes() == OLD
    server.on("/result", slow)
    connect(server).runs.download(result_of(server), target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["out"]
