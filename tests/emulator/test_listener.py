"""Connections: timeouts for heads and bodies, and too many connections."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator import Emulator
from tests.emulator.emulated import ROOT
from tests.emulator.wire import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

ASGI = logging.getLogger("uvicorn.asgi")
HALF = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-Half"


@pytest.fixture(params=["h11", "httptools"])
def hasty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that waits for a head, and for more of a body, for a moment only."""
    from tests.emulator.conftest import PROTOCOLS

    pytest.importorskip(request.param)
    monkeypatch.setattr("dcipher.emulator.gate.listener.HEAD_TIME", 0.2)
    monkeypatch.setattr("dcipher.emulator.gate.gate.BODY_TIME", 0.2)
    monkeypatch.setitem(
        sys.modules["uvicorn.config"].HTTP_PROTOCOLS, "auto", PROTOCOLS[request.param]
    )
    with Emulator(accept_time=0.6, queue_time=0) as emulator:
        emulator.flow("f")(lambda: None)
        yield emulator


@pytest.mark.parametrize("sent", [b"", b"G", HALF, HALF + b": 1\r\n"])
def test_an_incomplete_head_has_a_timeout(hasty: Emulator, sent: bytes) -> None:
    """Its connection is closed, with 408 if a request had begun (RFC 9110 section 15.5.9)."""
    with Line(hasty.url) as line:
        line.send(sent)
        reply = line.hear(quiet=60)
    assert reply.end in {"closed", "reset"}
    assert reply.data[:12] == (b"HTTP/1.1 408" if sent else b"")


def test_a_second_incomplete_head_has_a_timeout(hasty: Emulator) -> None:
    """Earlier responses make no difference."""
    with Line(hasty.url) as line:
        line.ask("/openapi.json")
        assert line.response().status == 200
        line.send(HALF)
        assert line.hear(quiet=60).status == 408


@pytest.mark.parametrize("path", ["/flows/f/run", "/results/t/0", "/_emulator/faults"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_body_that_does_not_come_is_not_waited_for(
    hasty: Emulator, path: str, keyed: bool
) -> None:
    """With a key and without one, of the API and of the control API: 408, and closed."""
    headers = {"Content_Length": "10", "X_Dcipher_Emulator": "1"}
    if keyed:
        headers["Authorization"] = f"Api-Key {hasty.api_key}"
    with Line(hasty.url) as line:
        line.ask(path, "PUT", **headers)
        line.send(b"12345")
        reply = line.hear(quiet=60)
    assert (reply.status, reply.end) == (408, "closed")


def test_a_client_that_waits_for_a_response_has_no_timeout(hasty: Emulator) -> None:
    """The limits apply to the bytes of a client: a response may take longer, and its connection stays open."""
    headers = {"Authorization": f"Api-Key {hasty.api_key}"}
    with httpx.Client(base_url=hasty.url, headers=headers, timeout=60) as client:
        for _ in range(2):
            assert client.post("/flows/f/run", json={"pipelineParams": {}}).status_code == 200


PROGRAM = """
import logging, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
logging.basicConfig(format="%(message)s")
import dcipher.emulator.gate.listener as listener
from dcipher.emulator import Emulator
listener.HEAD_TIME = 1.0
with Emulator() as emulator:
    print(emulator.url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_NOFILE is POSIX")
def test_too_many_connections_are_one_line_in_the_log() -> None:
    """Half-open heads take all descriptors: it logs this once, and serves when they end."""
    process = subprocess.Popen(  # noqa: S603 (this very interpreter)
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    lines = [Line(url) for _ in range(100)]
    try:
        for line in lines:
            line.send(HALF)
        assert httpx.get(f"{url}/openapi.json", timeout=60).status_code == 200
    finally:
        for line in lines:
            line.close()
        errors = process.communicate("", timeout=60)[1]
    assert "cannot accept connections: Too many open files" in errors
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1


def test_other_errors_of_the_loop_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Only frequent errors are handled separately."""
    with Emulator() as emulator:

        def fail() -> None:
            raise OSError("something else")

        assert emulator._listener is not None
        loop = emulator._listener._loop.result()
        loop.call_soon_threadsafe(fail)
        emulator._listener.call(lambda: None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "something else" in caplog.text


def test_the_lowest_level_of_logging_shows_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Uvicorn logs each message of ASGI with the path of its request: a key there is masked."""
    before = [*ASGI.filters]  # of other emulators of this process
    with caplog.at_level(1), Emulator() as emulator, httpx.Client() as client:
        client.get(f"{emulator.url}/flows/{emulator.api_key}")
    said = [record.getMessage() for record in caplog.records if record.name == "uvicorn.asgi"]
    assert any("'path': '/flows/***'" in text for text in said)
    assert all(emulator.api_key not in text for text in said)
    assert before == ASGI.filters  # it has ended
