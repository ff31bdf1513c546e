"""Waiting for a run with changed clocks, monstrous messages and expired URLs."""

from __future__ import annotations

import itertools
import logging
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from dcipher import (
    Output,
    Resilience,
    ResultError,
    Run,
    RunCancelledError,
    RunFailedError,
    RunStatus,
    WaitTimeoutError,
)
from dcipher.models import SecretURL
from tests.faulty import Reply, json_reply
from tests.results.downloads.stores import result_of
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

RUN = Run(flow_id="f", task_id="t")
QUICK = Resilience(max_retries=2, backoff_initial=0.002, backoff_max=0.01, deadline=60.0)
RUNNING = json_reply('{"status": "RUNNING"}')
SUCCEEDED = json_reply('{"status": "SUCCEEDED"}')
MONSTER = "x" * 10 + r"\u001b[2J\u0007\r\n\u202e" + "y" * 3_000_000


@pytest.mark.parametrize("step", [86_400.0, -86_400.0], ids=["forwards", "backwards"])
def test_a_clock_that_is_set(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """Setting the system clock ends no wait, retry, response or download."""
    server.on("/flows/f", Reply(status=500), Reply(status=500), json_reply('{"id": "f"}'))
    server.on("/flows/f/status", RUNNING, Reply(status=500), RUNNING, SUCCEEDED)
    server.on("/result", Reply(b"x" * 10, trickle=0.01))
    client = connect(server, resilience=QUICK)
    days = itertools.count(time.time(), step)
    monkeypatch.setattr(time, "time", lambda: next(days))
    assert client.flows.get("f").id == "f"
    with no_hang():
        assert client.runs.wait(RUN, timeout=2 * HANG, poll_interval=0.05).succeeded
    assert client.runs.read(result_of(server), bytes) == b"x" * 10
    assert len(server.seen("/result")) == 1


def test_a_clock_that_is_set_does_not_prolong_a_wait(
    connect: Connect, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait ends after its time, although the clock goes back."""
    server.on("/flows/f/status", *[RUNNING] * 100, SUCCEEDED)
    days = itertools.count(time.time(), -86_400.0)
    monkeypatch.setattr(time, "time", lambda: next(days))
    with pytest.raises(WaitTimeoutError):
        connect(server).runs.wait(RUN, timeout=0.3, poll_interval=0.05)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("FAILED", RunFailedError),
        ("CANCELLED", RunCancelledError),
        ("CANCELFAILED", RunFailedError),
        (MONSTER, WaitTimeoutError),
    ],
    ids=["failed", "cancelled", "cancel failed", "free text"],
)
def test_a_monstrous_message(
    connect: Connect,
    server: FaultyServer,
    caplog: pytest.LogCaptureFixture,
    status: str,
    error: type[Exception],
) -> None:
    """A message of megabytes with terminal escapes is cut and cleaned in the error and in the log."""
    caplog.set_level(logging.DEBUG, "dcipher")
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    run = RUN.model_copy(update={"outputs": (Output(expires_at=past),)})
    server.on("*", json_reply(f'{{"status": "{status}", "message": "{MONSTER}"}}'))
    with pytest.raises(error) as caught:
        connect(server).runs.wait(run, timeout=0)
    shown = [str(caught.value), *(record.getMessage() for record in caplog.records)]
    assert len(shown) > 1
    if error is WaitTimeoutError:
        with pytest.raises(ResultError, match="no result yet") as unfinished:
            connect(server).runs.read(run)
        shown.append(str(unfinished.value))
    for text in shown:
        assert text.isprintable()
        assert len(text) < 700


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=500),
        Reply(status=429),
        Reply(b"<html>"),
        Reply(head_cut=0, after="reset"),
        Reply(head_cut=0, after="close"),
    ],
    ids=["500", "429", "HTML", "reset", "closed"],
)
def test_errors_while_time_is_left(connect: Connect, server: FaultyServer, fault: Reply) -> None:
    """A wait with a timeout lasts that long, also without a successful poll."""
    server.on("*", *[fault] * 12, SUCCEEDED)
    hurried = Resilience(backoff_initial=0.02, backoff_max=0.02, deadline=0.1)
    run = connect(server, resilience=hurried).runs.wait(RUN, timeout=HANG, poll_interval=0.02)
    assert run.succeeded
    assert len(server.requests) >= 13  # a look that takes long is made again


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("succeeded", RunStatus.SUCCEEDED),
        (" Succeeded\\n", RunStatus.SUCCEEDED),
        ("setting up cluster", "setting up cluster"),
        ("SUCCEEDED!", "SUCCEEDED!"),
        ("DONE", "DONE"),
        ("COMPLETED", "COMPLETED"),
        ("cancelfailed", RunStatus.CANCELFAILED),
    ],
)
def test_statuses_of_the_service(
    connect: Connect, server: FaultyServer, words: str, status: RunStatus | str
) -> None:
    """Case and blanks are ignored, and no unknown status ends a run."""
    server.on("*", json_reply(f'{{"status": "{words}"}}'))
    run = connect(server).runs.refresh(RUN)
    assert run.status == status
    assert run.is_terminal is isinstance(status, RunStatus)


def test_backwards_and_forwards(connect: Connect, server: FaultyServer) -> None:
    """RUNNING may be followed by PENDING. An ended run is final: no poll changes it."""
    words = ["RUNNING", "PENDING", "QUEUED", "RUNNING", "SUCCEEDED", "RUNNING"]
    server.on("*", *(json_reply(f'{{"status": "{word}"}}') for word in words))
    client = connect(server)
    seen: list[str] = []
    run = client.runs.wait(RUN, poll_interval=0.01, on_status=lambda one: seen.append(one.status))
    assert seen == words[:5]
    assert client.runs.refresh(run).status is RunStatus.SUCCEEDED
    assert client.runs.refresh(run).finished_at == run.finished_at


def expiring(seconds: float) -> Run:
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    output = Output(url=SecretURL("https://store.example/r?Signature=canary"), expires_at=moment)
    return RUN.model_copy(update={"outputs": (output,)})


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_wait_that_has_outlasted_the_url(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A wait that continues after the URL of the result has expired warns once, without the URL."""
    server.on("*", RUNNING, RUNNING, RUNNING, SUCCEEDED)
    connect(server).runs.wait(expiring(-1), poll_interval=0.01)
    (said,) = warnings_of(caplog)
    assert "expired" in said
    assert "canary" not in said


def test_a_wait_that_is_about_to_outlast_the_url(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A wait whose next poll is after the expiry warns: the run may have ended by then."""
    server.on("*", RUNNING, SUCCEEDED)
    connect(server).runs.wait(expiring(0.4), poll_interval=0.8)
    assert len(warnings_of(caplog)) == 1


def test_a_wait_that_is_in_time(
    connect: Connect, server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A URL that is good for an hour is nothing to warn of."""
    server.on("*", RUNNING, RUNNING, SUCCEEDED)
    connect(server).runs.wait(expiring(3600), poll_interval=0.01)
    assert warnings_of(caplog) == []
