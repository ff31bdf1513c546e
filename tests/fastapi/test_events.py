"""`status_events`: the stream of a browser, its cost, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dcipher import InvalidParamsError, Run
from dcipher.emulator.faults import Respond, Statuses
from dcipher.fastapi import events, status_events
from tests.fastapi.app import make
from tests.fastapi.conftest import SECRETS, Site
from tests.waiting import HANG, no_hang, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from dcipher.emulator import Emulator
    from tests.fastapi.conftest import Gate

    Serve = Callable[[Any], Site]


def started(site: Site, flow_id: str, **params: object) -> str:
    answer = site.web.post(f"/runs/{flow_id}", json=params)
    assert answer.status_code == 202, answer.text
    return f"/runs/{flow_id}/{answer.json()['task_id']}/events"


def polls(emulator: Emulator) -> int:
    return sum(request.path.endswith("/status") for request in emulator.requests)


def quiet(emulator: Emulator) -> None:
    """Waits until nobody polls: a second is longer than any interval of a young run."""

    def is_quiet() -> bool:
        count = polls(emulator)
        time.sleep(1.0)
        return polls(emulator) == count

    until(is_quiet)


def test_events_until_the_end_of_a_run(emulator: Emulator, gate: Gate, serve: Serve) -> None:
    """Each change is an event with its number. The last one is followed by `end`, which ends the stream."""
    site = serve(make())
    stream = site.listen(started(site, "gated"))
    until(lambda: "RUNNING" in stream.statuses)
    gate.opened.set()
    until(lambda: stream.ended)
    assert stream.statuses[-2:] == ["RUNNING", "SUCCEEDED"]
    assert stream.ids == list(range(1, len(stream.ids) + 1))
    assert stream.events[0].retry == "2000"
    (end,) = stream.of("end")
    assert end == stream.events[-1]
    assert (end.data["status"], end.id) == ("SUCCEEDED", str(stream.ids[-1]))
    assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == (
        "no-store",
        "no",
    )


def test_failed_run_ends_the_stream_too(emulator: Emulator, serve: Serve) -> None:
    """A failed run is not an error of the stream. The URL in its message is redacted, and no secret is sent."""
    site = serve(make())
    stream = site.listen(started(site, "fails"))
    until(lambda: stream.ended)
    (end,) = stream.of("end")
    assert end.data["status"] == "FAILED"
    assert "https://store.example/x?[redacted]" in end.data["message"]
    assert not [secret for secret in SECRETS if secret in stream.body]
    assert set(end.data) == {
        *("flow_id", "task_id", "status", "message", "created_at", "finished_at"),
    }


def test_twenty_listeners_cost_one_watcher(emulator: Emulator, gate: Gate, serve: Serve) -> None:
    """Any number of listeners need the polls of one, and receive the same events."""
    site = serve(make())
    path = started(site, "gated")
    streams = [site.listen(path) for _ in range(20)]
    until(lambda: all("RUNNING" in stream.statuses for stream in streams))
    before, began = polls(emulator), time.monotonic()
    time.sleep(1.0)
    passed = time.monotonic() - began
    assert polls(emulator) - before <= passed / 0.19 + 1
    gate.opened.set()
    until(lambda: all(stream.ended for stream in streams))
    assert len({tuple(stream.statuses) for stream in streams}) == 1
    assert all(stream.of("end") for stream in streams)


def test_watcher_moves_to_another_listener_and_ends_with_the_last(
    emulator: Emulator, gate: Gate, serve: Serve
) -> None:
    """It outlives the listener in whose request it runs, and nobody polls after the last one."""
    site = serve(make())
    path = started(site, "gated")
    first = site.listen(path)
    until(lambda: first.statuses)
    second = site.listen(path)
    until(lambda: second.statuses)
    first.leave()
    count = polls(emulator)
    until(lambda: polls(emulator) > count + 1)
    second.leave()
    quiet(emulator)
    third = site.listen(path)
    gate.opened.set()
    until(lambda: third.of("end"))


def test_reconnected_browser_gets_missed_events(
    emulator: Emulator, gate: Gate, serve: Serve
) -> None:
    """After `Last-Event-ID`, it receives the changes since, with and without other listeners."""
    site = serve(make())
    path = started(site, "gated")
    first = site.listen(path)
    until(lambda: "RUNNING" in first.statuses)
    known = first.ids[-1]
    first.leave()
    again = site.listen(path, last=known)
    count = polls(emulator)
    until(lambda: polls(emulator) > count + 1)
    assert again.of("message") == []  # nothing has changed
    gate.opened.set()
    until(lambda: again.ended)
    assert (again.ids, again.statuses) == ([known + 1], ["SUCCEEDED"])
    late = site.listen(path, last=known)
    until(lambda: late.ended)
    assert (late.ids, late.statuses) == ([known + 1], ["SUCCEEDED"])
    at_end = site.listen(path, last=known + 1)
    until(lambda: at_end.ended)
    assert at_end.of("message") == []
    assert at_end.of("end")


@pytest.mark.parametrize("last", ["7", "-1", "x", "\u00b2", "9" * 40, ""])
def test_numbers_of_another_process_hide_nothing(
    last: str, emulator: Emulator, gate: Gate, serve: Serve
) -> None:
    """A number of another process, or a missing one, gets the current status."""
    site = serve(make())
    path = started(site, "gated")
    headers = {"Last-Event-ID": last.encode()}
    with site.web.stream("GET", path, headers=headers) as response:
        lines = response.iter_lines()
        found = next(line for line in lines if line.startswith("data:"))
        assert "gated" in found
        number = int(next(line for line in lines if line.startswith("id:")).partition(":")[2])
        assert number == (8 if last == "7" else 1)
        # Somebody whose number is above all that are known here.
        other = site.listen(path, last=500)
        until(lambda: other.statuses)


def test_error_before_the_first_event_is_a_response(emulator: Emulator, serve: Serve) -> None:
    """An unknown run is a 404, which a browser does not retry."""
    site = serve(make())
    answer = site.web.get("/runs/words/no-such-run/events")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_error_after_it_is_an_event(emulator: Emulator, gate: Gate, serve: Serve) -> None:
    """A poll that fails for good ends all streams with a problem; one that may be retried ends none."""
    site = serve(make())
    path = started(site, "gated")
    streams = [site.listen(path) for _ in range(3)]
    until(lambda: all("RUNNING" in stream.statuses for stream in streams))
    fault = emulator.fault("status", Respond(503), times=2)
    until(lambda: fault.consumed)
    assert not any(stream.ended for stream in streams)
    emulator.fault(
        "status", Respond(401, body="canary https://store.example/?Signature=x"), times=1
    )
    until(lambda: all(stream.ended for stream in streams))
    for stream in streams:
        (problem,) = stream.of("problem")
        assert (problem.data["status"], problem.data["retryable"]) == (500, False)
        assert "canary" not in stream.body
    # The next one begins anew.
    gate.opened.set()
    later = site.listen(path, last=streams[0].ids[-1])
    until(lambda: later.of("end"))


def test_timeout_ends_the_stream_with_a_problem(
    emulator: Emulator, gate: Gate, serve: Serve
) -> None:
    """After `timeout`, the stream has a problem with the id of the run. Other listeners continue."""
    site = serve(make())
    path = started(site, "gated")
    other = site.listen(path)
    until(lambda: other.statuses)
    stream = site.listen(f"{path}?timeout=0.3")
    until(lambda: stream.ended)
    (problem,) = stream.of("problem")
    assert problem.data["status"] == 504
    assert problem.data["task_id"] in path
    assert not other.ended
    assert not stream.of("end")


def test_timeout_is_checked_at_once() -> None:
    """An invalid timeout is an error of the call, not of the stream."""
    with pytest.raises(InvalidParamsError):
        status_events(None, Run(flow_id="f", task_id="t"), timeout=-1)  # type: ignore[arg-type]


def test_silent_stream_is_kept_open(
    emulator: Emulator, gate: Gate, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream without a change has periodic comments, for proxies."""
    monkeypatch.setattr(events, "PING", 0.05)
    site = serve(make())
    stream = site.listen(started(site, "gated"))
    until(lambda: [event.comment for event in stream.events].count("ping") > 3)


def test_free_text_of_the_service_is_a_change(emulator: Emulator, serve: Serve) -> None:
    """A status that is no word of the contract is reported like any other, its line breaks removed."""
    site = serve(make())
    emulator.fault("status", Statuses("setting up\n\ndata: x", "RUNNING"))
    stream = site.listen(started(site, "words", text="a"))
    until(lambda: stream.ended)
    assert stream.statuses == ["setting up data: x", "RUNNING", "SUCCEEDED"]


UVICORN = """
import sys
import uvicorn
from tests.fastapi.app import make
uvicorn.run(make(), host="127.0.0.1", port=int(sys.argv[1]), log_level="info")
"""
HYPERCORN = """
import sys
from hypercorn.config import Config
from hypercorn.run import run
config = Config()
config.application_path = "tests.fastapi.app:make()"
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
config.graceful_timeout = 3600.0
if __name__ == "__main__":
    run(config)
"""


def stops(number: signal.Signals, emulator: Emulator, log: Path, program: str) -> str:
    """Start a server with three listeners, send it a signal, and return its log when it has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(Path(__file__).parents[2])
    script = log.with_suffix(".py")  # hypercorn's worker imports it
    script.write_text(program)
    with log.open("w") as out:
        server = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, str(script), str(port)],
            env={**os.environ, "PYTHONPATH": root},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    site = Site(f"http://127.0.0.1:{port}")
    try:
        until(lambda: "unning on" in log.read_text() or server.poll() is not None)
        streams = [site.listen(started(site, "gated")) for _ in range(3)]
        until(lambda: all("RUNNING" in stream.statuses for stream in streams))
        with no_hang():
            server.send_signal(number)
            server.wait(HANG)
        until(lambda: all(stream.ended for stream in streams))
        assert not any(stream.of("end") or stream.of("problem") for stream in streams)
        return log.read_text()
    finally:
        server.kill()
        server.wait()
        site.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_stops_with_open_streams(
    number: signal.Signals, emulator: Emulator, gate: Gate, tmp_path: Path
) -> None:
    """A server stops without a limit for open streams."""
    text = stops(number, emulator, tmp_path / "log", UVICORN)
    assert "Traceback" not in text.partition("Shutting down")[0]
    assert "complete" in text.rpartition("shutdown")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
def test_hypercorn_stops_though_streams_are_open(
    emulator: Emulator, gate: Gate, tmp_path: Path
) -> None:
    """So does hypercorn, whose worker gets no signal, with an hour for open streams."""
    pytest.importorskip("hypercorn", reason="hypercorn, of the group `dev`, is not installed")
    text = stops(signal.SIGTERM, emulator, tmp_path / "log", HYPERCORN)
    assert "Traceback" not in text


def test_disconnects_leave_nothing(
    emulator: Emulator, gate: Gate, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser may disconnect at any moment, and connect again."""
    site = serve(make())
    path = started(site, "gated")
    address = urlsplit(site.url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as browser:
            browser.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    quiet(emulator)
    gate.opened.set()
    stream = site.listen(path)
    until(lambda: stream.of("end"))
    assert caplog.records == []


def test_stream_passes_middleware(emulator: Emulator, gate: Gate, serve: Serve) -> None:
    """Behind a middleware of the application it is the same: errors, the end, and who goes away."""
    app = make()

    @app.middleware("http")
    async def own(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["X-Own"] = "1"
        return response

    site = serve(app)
    assert site.web.get("/runs/words/no-such-run/events").status_code == 404
    path = started(site, "gated")
    first = site.listen(path)
    until(lambda: "RUNNING" in first.statuses)
    first.leave()
    quiet(emulator)
    gate.opened.set()
    stream = site.listen(path, last=first.ids[-1])
    until(lambda: stream.ended)
    assert (stream.statuses, stream.headers["x-own"]) == (["SUCCEEDED"], "1")
    assert stream.of("end")


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_test_client_gets_the_stream(emulator: Emulator) -> None:
    """Starlette's TestClient runs the lifespan in its own thread, and gets the complete stream."""
    from fastapi.testclient import TestClient

    with TestClient(make()) as web:
        task_id = web.post("/runs/words", json={"text": "a"}).json()["task_id"]
        text = web.get(f"/runs/words/{task_id}/events").text
    assert text.rstrip().split("\n\n")[-1].startswith("event: end")
