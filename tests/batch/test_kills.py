"""Batch and service are killed at random, hundreds of times: each row ends in one outcome, and is run once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from dcipher.emulator import Emulator
from tests.conftest import KEY
from tests.waiting import HANG, has_become, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ROWS = 100
"""No more than a report names."""
KILLS = int(os.environ.get("DCIPHER_KILLS", "40"))
"""Per case; there are three."""
PAGE = 4096 + 24
"""Bytes of a page in the WAL."""
SEED = int(os.environ.get("DCIPHER_SEED", "1"))

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


class Nursery:
    """`nursery.py`: starts what the test kills."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.batch.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )  # fmt: skip

    def fork(self, **job: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=HANG)


class World:
    """A service and a batch of so many rows, whose processes come and go."""

    def __init__(self, nursery: Nursery, folder: Path, chance: Random, **options: Any) -> None:
        self._nursery = nursery
        self._folder = folder
        self._chance = chance
        self._options = options
        self._port = 0
        self._emulator = 0
        self._batch = 0
        self._out = folder / "batch.out"
        self.kills: Counter[str] = Counter()

    def serve(self, *, faults: bool) -> None:
        """Starts the service, on the port that it had."""
        ready = self._folder / "emulator.out"
        ready.unlink(missing_ok=True)
        self._emulator = self._nursery.fork(
            kind="emulator", out=str(ready), state=str(self._folder / "state"), port=self._port,
            idempotency=self._options["idempotency"], url_lifetime=self._options["url_lifetime"],
            seed=self._chance.randrange(1 << 30), faults=faults, api_key=KEY,
        )  # fmt: skip
        assert until(ready.exists)
        told = json.loads(ready.read_text())
        assert "error" not in told, told["error"]
        self._port = int(told["url"].rpartition(":")[2])

    def start(self) -> None:
        """Starts the batch, or resumes it."""
        self._out.unlink(missing_ok=True)
        self._batch = self._nursery.fork(
            kind="batch", out=str(self._out), url=f"http://127.0.0.1:{self._port}", api_key=KEY,
            journal=str(self._folder / "batch.db"), save=str(self._folder / "results"), rows=ROWS,
            on_unknown=self._options["on_unknown"], is_async=self._chance.random() < 0.5,
        )  # fmt: skip

    def result(self) -> dict[str, Any] | None:
        """What the batch left, if it has ended by itself."""
        return json.loads(self._out.read_text()) if self._out.exists() else None

    def wait_for_progress(self) -> None:
        """Waits until the journal has grown by a random number of commits, but not for long."""
        wal = self._folder / "batch.db-wal"
        wanted = _size(wal) + self._chance.randrange(40) * PAGE
        ends = time.monotonic() + self._chance.random() * 5
        while _size(wal) < wanted and self.result() is None and time.monotonic() < ends:
            time.sleep(0.001)
        time.sleep(self._chance.random() * 0.02)

    def kill_something(self) -> None:
        """Kills the batch, the service, or both, and starts them again."""
        what = self._chance.choices(["batch", "emulator", "both"], [6, 2, 1])[0]
        self.kills[what] += 1
        if what != "emulator":
            _kill(self._batch)
        if what != "batch":
            _kill(self._emulator)
            self.serve(faults=True)
        if what != "emulator" or self.result() is not None:
            self.start()

    def finished(self) -> dict[str, Any]:
        """Lets the batch end, without further faults."""
        _kill(self._batch)
        _kill(self._emulator)
        self.serve(faults=False)
        self.start()
        assert any(has_become(self.result) for _ in range(10)), "it hangs"
        told = self.result()
        assert told is not None
        assert "error" not in told, told["error"]
        return told

    def runs(self) -> Counter[str]:
        """How many runs the service has for each row."""
        self.end()
        with Emulator(state_dir=self._folder / "state", api_key=KEY, port=self._port) as emulator:
            return Counter(str(run.params["text"]) for run in emulator.runs)

    def end(self) -> None:
        _kill(self._batch)
        _kill(self._emulator)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _kill(pid: int) -> None:
    """As by `kill -9`; returns when it is gone."""
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    one.close()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("idempotency", "on_unknown"), [(True, "resend"), (False, "hold"), (False, "resend")]
)
def test_killed_at_random(
    nursery: Nursery, tmp_path: Path, idempotency: bool, on_unknown: str
) -> None:
    """No row is lost, and none is run twice, or the report names it; its counts are those of the service."""
    chance = Random(f"{SEED} {idempotency} {on_unknown}")  # noqa: S311 - repeatable
    kills: Counter[str] = Counter()
    batches = 0
    while kills.total() < KILLS:
        folder = tmp_path / str(batches)
        folder.mkdir()
        batches += 1
        lifetime = chance.choice([3600.0, 3600.0, 2.0])
        world = World(
            nursery, folder, chance,
            idempotency=idempotency, on_unknown=on_unknown, url_lifetime=lifetime,
        )  # fmt: skip
        try:
            world.serve(faults=True)
            world.start()
            while kills.total() + world.kills.total() < KILLS:
                world.wait_for_progress()
                told = world.result()
                if told is not None and "error" not in told:
                    break
                world.kill_something()
            told = world.finished()
            kills += world.kills
            check(told, world.runs(), folder / "results", idempotency, on_unknown)
        finally:
            world.end()
    sys.stdout.write(
        f"{kills.total()} kills of {dict(kills)} over {batches} batches of {ROWS} rows, seed {SEED}\n"
    )


def check(
    told: dict[str, Any], runs: Counter[str], results: Path, idempotency: bool, on_unknown: str
) -> None:
    statuses: dict[str, str] = told["statuses"]
    assert statuses.keys() == {f"row-{n}" for n in range(ROWS)}, "rows are lost"
    assert told["counts"] == Counter(statuses.values())
    assert {*statuses.values()} <= {"done", "expired", "unknown"}, told
    for key, status in statuses.items():
        number = key.removeprefix("row-")
        count = runs[f"t{number}"]
        if status == "unknown":
            assert (on_unknown, idempotency) == ("hold", False)
            assert count <= 1, f"{key} is unknown, and was run {count} times"
            continue
        if status == "done":
            assert json.loads((results / f"{key}.json").read_text()) == {"text": f"T{number}"}
        if idempotency or on_unknown == "hold":
            assert count == 1, f"{key} is {status}, and was run {count} times"
        else:
            assert count >= 1, key
            assert count == 1 or key in told["resent"], f"{key} was run {count} times, unreported"
    if idempotency:
        assert runs.total() == sum(told["counts"].values())
