"""The SDK with faults, as in the documentation, and the cost of faults."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from dcipher import Dcipher, Resilience, ResultExpiredError, RunFailedError
from dcipher.emulator.faults import Cut, Drop, Encode, ExpireURL, IgnoreRange, Respond, Statuses
from tests.emulator.wire import FILE, Lab, Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(lab: Lab) -> Iterator[Dcipher]:
    quick = Resilience(backoff_initial=0.002, backoff_max=0.01)
    emulator = lab.emulator
    with Dcipher(emulator.api_key, base_url=emulator.url, resilience=quick) as client:
        yield client


def test_a_lost_start_is_one_run(lab: Lab, client: Dcipher) -> None:
    """The response is lost after the run was created: the client finds this run."""
    lab.emulator.fault("start", Drop("after", how="reset"), times=2)
    run = client.flows.run("file")
    assert [record.task_id for record in lab.emulator.runs] == [run.task_id]
    faults = [record.fault is not None for record in lab.emulator.requests]
    assert faults[:3] == [True, True, False]
    lab.emulator.check_faults()


def test_a_download_survives(lab: Lab, client: Dcipher, tmp_path: Path) -> None:
    """Two cuts, an ignored range and a rejection: the file is complete."""
    emulator = lab.emulator
    emulator.fault("result", Cut(1000, how="reset"))
    emulator.fault("result", Respond(503), nth=2)
    emulator.fault("result", Cut(500), nth=3)
    emulator.fault("result", IgnoreRange(), nth=3)  # of the requests for a range
    run = client.flows.run("file", save_path=str(tmp_path / "out"))
    assert run.files[0].read_bytes() == FILE
    emulator.check_faults()


def test_a_run_that_fails_by_a_fault(lab: Lab, client: Dcipher) -> None:
    """The client raises the error with the given message."""
    lab.emulator.fault("status", Statuses("warming up", "FAILED", message="out of memory"))
    with pytest.raises(RunFailedError, match="out of memory"):
        client.flows.run("file")


def test_a_url_that_expires(lab: Lab, client: Dcipher) -> None:
    """The store rejects it, and the error of the client explains that."""
    run = client.flows.run("file")
    lab.emulator.fault("result", ExpireURL())
    with pytest.raises(ResultExpiredError):
        client.runs.read(run, bytes)


def test_a_large_file_is_in_memory_once(lab: Lab) -> None:
    """A fault on a large file takes the memory of one copy, and a bomb only that of its compressed bytes."""
    size = 32 * 1024 * 1024
    large = lab.finish(lab.start_of("large", size=size))
    _, small = lab.run()
    lab.emulator.fault("result", Encode(bomb=size))
    lab.emulator.fault("result", Cut(-1))
    # The small one first: what comes after a pause that a slow machine made would be the next one's.
    peaks = [peak(lab, small), peak(lab, large)]
    lab.emulator.check_faults()
    assert peaks[0] < 0.2 * size
    assert peaks[1] < 1.4 * size


def peak(lab: Lab, target: str) -> int:
    """Returns the peak memory of a GET, in the emulator and in a client that stores nothing."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with Line(lab.emulator.url) as line:
            line.ask(target)
            assert line.drain() in {"closed", "silent"}
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
