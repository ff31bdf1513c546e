"""The progress that a caller receives of a download."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dcipher import (
    Output,
    ResultError,
    Run,
)
from tests.faulty import FaultyServer, Reply
from tests.results.downloads.stores import BODY, ONCE, assert_untouched, result_of
from tests.waiting import HANG, fastest, no_hang

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect


def test_progress_is_reported(connect: Connect, server: FaultyServer, target: Path) -> None:
    """`on_progress` grows, is called at most ten times a second, and last with everything."""
    body = BODY * 4
    server.on("/result", Reply(body))
    calls: list[tuple[int, int | None]] = []
    began = time.monotonic()
    connect(server).runs.download(
        result_of(server), target, on_progress=lambda done, total: calls.append((done, total))
    )
    took = time.monotonic() - began
    assert calls[-1] == (len(body), len(body))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len(calls) <= 10 * took + 2


@pytest.mark.parametrize("size", [0, 5])
def test_progress_of_small_results(
    connect: Connect, server: FaultyServer, target: Path, size: int
) -> None:
    """A result that is received at once is reported once."""
    server.on("/result", Reply(b"x" * size))
    calls: list[tuple[int, int | None]] = []
    connect(server).runs.download(
        result_of(server), target, on_progress=lambda *numbers: calls.append(numbers)
    )
    assert calls == [(size, size)]


def test_a_callback_that_raises(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The exception of `on_progress` is raised, and the old file remains."""
    server.on("/result", Reply(BODY))

    def stop(done: int, total: int | None) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        connect(server).runs.download(result_of(server), target, on_progress=stop)
    assert_untouched(target)


def test_a_slow_result_is_reported(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A few bytes are written and reported after a second or so, also if the store sends no length."""
    server.on("/result", Reply(bytes(1 << 12), framing="chunked", trickle=0.02))

    def stop(done: int, total: int | None) -> None:
        raise KeyError(done)

    with no_hang(), pytest.raises(KeyError):
        connect(server, timeout=2 * HANG).runs.download(result_of(server), target, on_progress=stop)


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
@pytest.mark.parametrize("size", [len(BODY), 400_000])
def test_the_bytes_before_a_stall_are_reported(
    connect: Connect, server: FaultyServer, target: Path, size: int
) -> None:
    """What was received is written and reported while the store is silent, not when it is given up."""
    server.on("/result", Reply(BODY[:size], cut=300_000, after="stall"))

    def stop(done: int, total: int | None) -> None:
        raise KeyError(done)

    client = connect(server, timeout=2 * HANG, resilience=ONCE)
    with no_hang(), pytest.raises(KeyError, match="300000"):
        client.runs.download(result_of(server), target, on_progress=stop)


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_a_stall_is_waited_for_once(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The time before what was received is written is part of the timeout of the read."""
    server.on("/result", Reply(BODY, cut=300_000, after="stall"))
    client = connect(server, timeout=0.8, resilience=ONCE)

    def call() -> None:
        with pytest.raises(ResultError, match="stalled"):
            client.runs.download(result_of(server), target)

    fastest(call, 1.4)


def test_a_run_that_is_not_known_to_have_ended(
    connect: Connect, api: FaultyServer, target: Path
) -> None:
    """A run is polled once before its download. A running one has no result."""
    client = connect(api)
    run = client.flows.start("f")
    client.runs.download(run, target)
    assert target.read_bytes() == b'{"text": 1}'
    api.on("/flows/f/status", Reply(b'{"status": "RUNNING"}'))
    with pytest.raises(ResultError, match="no result yet"):
        client.runs.download(run, target)


def test_a_run_without_urls(connect: Connect, api: FaultyServer, target: Path) -> None:
    """The error for lost URLs says how to store them."""
    client = connect(api)
    for run in (
        Run(flow_id="f", task_id="t", status="SUCCEEDED"),
        Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=(Output(),)),
    ):
        with pytest.raises(ResultError, match="reveal=True"):
            client.runs.download(run, target)
    assert_untouched(target)
