"""The clock of all waits, while a user's test has stopped or changed every other one."""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dcipher._concurrency.clock
from dcipher import Dcipher, WaitTimeoutError
from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from dcipher.emulator import Emulator

freezegun = pytest.importorskip("freezegun", reason="pip install freezegun")
time_machine = pytest.importorskip("time_machine", reason="pip install time-machine")

DAY = datetime(2020, 1, 1, tzinfo=timezone.utc)
STOPPED: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "freezegun": lambda: freezegun.freeze_time(DAY),
    "freezegun with ticks": lambda: freezegun.freeze_time(DAY, tick=True),
    "time-machine": lambda: time_machine.travel(DAY, tick=False),
}


@pytest.fixture(params=STOPPED.values(), ids=STOPPED)
def stopped(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[Any]]:
    """A tool that stops, or sets, the clocks of this process."""
    return request.param  # type: ignore[no-any-return]


def test_the_clock_cannot_be_stopped(stopped: Callable[[], AbstractContextManager[Any]]) -> None:
    """Stopped before or after it is imported, it continues, only forwards."""
    with stopped():
        assert time.time() < 1_600_000_000
        clocks = [monotonic, importlib.reload(dcipher._concurrency.clock).monotonic]
        for clock in clocks:
            before = clock()
            time.sleep(0.002)
            assert clock() > before
        assert abs(clocks[0]() - clocks[1]()) < 60
    before = clocks[1]()
    assert monotonic() >= before


def test_nothing_else_measures_a_wait() -> None:
    """Only one module reads `time.monotonic`: a wait for a stopped clock would never end."""
    package = Path(dcipher.__file__).parent
    found = [
        path.name
        for path in package.rglob("*.py")
        if "time.monotonic(" in path.read_text(encoding="utf-8")
    ]
    assert found == []


def test_waits_and_an_emulator_continue(
    stopped: Callable[[], AbstractContextManager[Any]], run_in_time: None
) -> None:
    """While the clocks are stopped, a wait ends in time, and so do queues, durations and flows."""
    from dcipher.emulator import Emulator

    with stopped(), Emulator(queue_time=0.01, min_run_time=0.01, rate=1000) as emulator:
        emulator.flow("forever", duration=3600)(lambda: None)

        @emulator.flow("sleeper")
        async def sleeper() -> str:
            await asyncio.sleep(0.01)
            return "awake"

        with Dcipher(emulator.api_key, base_url=emulator.url) as client:
            assert client.runs.read(client.flows.run("sleeper")) == b"awake"
            with pytest.raises(WaitTimeoutError):
                client.runs.wait(client.flows.start("forever"), timeout=0.05)
        assert emulator.runs[0].created_at.year == 2020  # what a calendar says is the test's


@pytest.fixture
def run_in_time(shared_emulator: Emulator) -> Iterator[None]:
    """Only a hang takes a minute."""
    # One has been started before: what FastAPI imports then, freezegun would break.
    assert shared_emulator.url
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
