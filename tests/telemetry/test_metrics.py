"""Metrics: durations, active runs, polls, sizes. They need no tracer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import Meter

from dcipher import Run, RunFailedError, WaitTimeoutError
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram

    from tests.conftest import Connect
    from tests.telemetry.conftest import Metrics

FLOW = {"dcipher.flow.id": "f"}


def test_run(connect: Connect, api: FaultyServer, measured: Metrics) -> None:
    """A run that is waited for has a duration by its status, polls, and the size of its result."""
    api.on(
        "/flows/f/status",
        json_reply('{"status": "RUNNING"}'),
        json_reply('{"status": "SUCCEEDED"}'),
    )
    active: list[int] = []

    def look(_: Run) -> None:
        active.extend(point.value for point in measured.points("dcipher.run.active"))

    client = connect(api)
    run = client.runs.wait(client.flows.start("f"), poll_interval=0.01, on_status=look)
    client.runs.read(run)
    client.runs.get("f", "t")  # no poll of a wait
    assert active == [1, 1]
    (duration,) = measured.points("dcipher.run.duration")
    assert duration.attributes == {**FLOW, "dcipher.run.status": "SUCCEEDED"}
    assert duration.count == 1
    assert duration.sum == pytest.approx((run.finished_at - run.created_at).total_seconds())
    assert duration.explicit_bounds[0] == 0.5
    (polls,) = measured.points("dcipher.run.polls")
    assert (polls.value, polls.attributes) == (2, FLOW)
    (size,) = measured.points("dcipher.result.size")
    assert (size.count, size.sum, size.attributes) == (1, len('{"text": 1}'), FLOW)
    (now,) = measured.points("dcipher.run.active")
    assert (now.value, now.attributes) == (0, FLOW)


def test_older_meter(
    connect: Connect, api: FaultyServer, measured: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter of OpenTelemetry before 1.30, which takes no bounds, has its own."""
    create = Meter.create_histogram

    def create_histogram(
        self: Meter, name: str, unit: str = "", description: str = ""
    ) -> Histogram:
        return create(self, name, unit, description)

    monkeypatch.setattr(Meter, "create_histogram", create_histogram)
    client = connect(api)
    client.runs.wait(client.flows.start("f"))
    (duration,) = measured.points("dcipher.run.duration")
    assert duration.count == 1


def test_failures(connect: Connect, api: FaultyServer, measured: Metrics) -> None:
    """A run that failed has a duration, one that is not waited for to its end has none."""
    client = connect(api)
    api.on("/flows/f/status", json_reply('{"status": "RUNNING"}'))
    run = client.flows.start("f")
    with pytest.raises(WaitTimeoutError):
        client.runs.wait(run, timeout=0.01)
    assert measured.points("dcipher.run.duration") == []
    api.on("/flows/f/status", json_reply('{"status": "FAILED"}'))
    with pytest.raises(RunFailedError):
        client.runs.wait(run)
    (duration,) = measured.points("dcipher.run.duration")
    assert duration.attributes["dcipher.run.status"] == "FAILED"
    assert [point.value for point in measured.points("dcipher.run.active")] == [0]
