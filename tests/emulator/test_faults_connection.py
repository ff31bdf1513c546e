"""Faults of the connection, as bytes on a bare socket, with both of uvicorn's protocols."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator.faults import (
    Cut,
    Delay,
    Dribble,
    Drop,
    Extend,
    Frame,
    Raw,
    Respond,
    Stall,
    Truncate,
)
from tests.emulator.wire import FILE, Lab, Line
from tests.waiting import HANG, no_hang, until

if TYPE_CHECKING:
    from dcipher.emulator.faults import Effect

SIZE = len(FILE)

pytestmark = pytest.mark.usefixtures("protocol")


def chunks(data: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body, and whether it has its last chunk."""
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return content, data == b"\r\n"
        content, data = content + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return content, False


@pytest.mark.parametrize(("how", "end"), [("close", "closed"), ("reset", "reset")])
def test_a_dropped_response_has_no_byte(lab: Lab, how: str, end: str) -> None:
    """The connection ends by FIN or by a real RST, and the journal has no status."""
    _, target = lab.run()
    lab.emulator.fault("result", Drop("after", how=how))  # type: ignore[arg-type]
    reply = lab.fetch(target)
    assert (reply.data, reply.end) == (b"", end)
    status, fault = lab.last()
    assert status is None
    assert fault is not None
    assert "Drop('after'" in fault


@pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
def test_a_dropped_start_happened_or_not(lab: Lab, when: str, runs: int) -> None:
    """Dropped before, there is no run; after, there is one, which a second try with its key finds."""
    lab.emulator.fault("start", Drop(when))  # type: ignore[arg-type]
    with pytest.raises(httpx.RemoteProtocolError):
        lab.start(key="k")
    assert len(lab.emulator.runs) == runs
    assert lab.start(key="k").status_code == 200
    assert len(lab.emulator.runs) == 1


@pytest.mark.parametrize(("how", "end"), [("close", "closed"), ("reset", "reset")])
@pytest.mark.parametrize(("at", "sent"), [(0, 0), (1000, 1000), (-1, SIZE - 1), (99_999, SIZE)])
def test_a_body_is_cut_to_the_byte(lab: Lab, how: str, end: str, at: int, sent: int) -> None:
    """Content-Length promises all, exactly so many bytes come, and then FIN or RST."""
    _, target = lab.run()
    lab.emulator.fault("result", Cut(at, how=how))  # type: ignore[arg-type]
    reply = lab.fetch(target)
    assert (reply.body, reply.end) == (FILE[:sent], end)
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["etag"]
    assert reply.headers["x-request-id"] == lab.emulator.requests[-1].request_id
    assert "connection" not in reply.headers
    assert lab.last()[0] == 200


@pytest.mark.parametrize(
    ("at", "status"), [(0, None), (11, None), (12, 200), (40, 200), (-2, 200), (None, 200)]
)
def test_a_head_is_cut_to_the_byte(lab: Lab, at: int | None, status: int | None) -> None:
    """Exactly these bytes of the head are sent, and none of the body. The journal has the readable status."""
    task_id, _ = lab.run()
    lab.emulator.fault("status", Cut(at, part="head", how="reset"))
    reply = lab.fetch(f"/flows/file/status?taskId={task_id}", **lab.headers)
    assert reply.end == "reset"
    assert lab.last()[0] == status
    if at is None:
        assert reply.data.endswith(b"\r\n\r\n")
    elif at < 0:
        assert reply.data.endswith(b"\r\n")
        assert not reply.data.endswith(b"\r\n\r\n")
    else:
        assert len(reply.data) == at


@pytest.mark.parametrize(
    ("how", "end"), [("close", "closed"), ("reset", "reset"), ("stall", "silent")]
)
def test_a_connection_ends_between_two_requests(lab: Lab, how: str, end: str) -> None:
    """The response is complete and announces keep-alive. Then the connection is closed, or silent."""
    _, target = lab.run()
    lab.emulator.fault("result", Cut(how=how))  # type: ignore[arg-type]
    with Line(lab.emulator.url) as line:
        line.ask(target)
        reply = line.response()
        assert reply.body == FILE
        assert "connection" not in reply.headers
        if how == "stall":
            line.ask(target)
        assert line.hear(quiet=0.2).end == end


def test_a_reset_throws_nothing_away(lab: Lab) -> None:
    """Megabytes before the RST arrive, though the client reads late and its window is small."""
    content = bytes(range(256)) * 20_000
    target = lab.finish(lab.start_of("large", size=len(content)))
    lab.emulator.fault("result", Cut(-7, how="reset"))
    with Line(lab.emulator.url, window=8192) as line:
        line.ask(target)
        time.sleep(0.1)
        reply = line.hear()
    assert reply.end == "reset"
    assert reply.body == content[:-7]


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_stall_ends(lab: Lab, part: str) -> None:
    """After these bytes, nothing is sent for the given time, and then the rest."""
    _, target = lab.run()
    lab.emulator.fault("result", Stall(1.0, part=part, at=20))  # type: ignore[arg-type]
    with Line(lab.emulator.url) as line:
        line.ask(target)
        first = line.hear(quiet=0.1)
        assert (len(first.data) if part == "head" else len(first.body)) == 20
        rest = line.hear(enough=SIZE + (0 if part == "head" else -20))
    assert (first.data + rest.data).endswith(b"\r\n\r\n" + FILE)


def test_silence_for_ever_ends_with_the_client(lab: Lab) -> None:
    """The journal has the request while it hangs; when the client goes, nothing is left of it."""
    _, target = lab.run()
    lab.emulator.fault("result", Stall(), times=2)
    lab.emulator.fault("result", Stall(part="body", at=10))
    with Line(lab.emulator.url) as line:
        line.ask(target)
        reply = line.hear(quiet=0.1)
        assert (reply.data, reply.end) == (b"", "silent")
        assert lab.last()[0] is None
    with pytest.raises(httpx.ReadTimeout):
        lab.web.get(lab.emulator.url + target, timeout=0.1)
    reply = lab.fetch(target, quiet=0.1)
    assert (reply.body, reply.end) == (FILE[:10], "silent")
    assert lab.get(target).content == FILE


def test_a_delay_precedes_the_head(lab: Lab) -> None:
    """After the delay, the response is an ordinary one, and the connection stays open."""
    _, target = lab.run()
    lab.emulator.fault("result", Delay(1.0))
    with Line(lab.emulator.url) as line:
        line.ask(target)
        assert line.hear(quiet=0.1).data == b""
        assert line.response().body == FILE
        line.ask(target)
        assert line.response().body == FILE


@pytest.mark.parametrize(("part", "rate"), [("head", 2000.0), ("body", 40_000.0)])
def test_a_part_is_sent_slowly(lab: Lab, part: str, rate: float) -> None:
    """The bytes are sent in pieces, at about the given speed."""
    _, target = lab.run()
    lab.emulator.fault("result", Dribble(rate, part=part))  # type: ignore[arg-type]
    began = time.monotonic()
    with Line(lab.emulator.url) as line:
        line.ask(target)
        first = line.hear(enough=1)
        assert len(first.body) < SIZE
        reply = line.hear(quiet=0.4)
    took = time.monotonic() - began
    data = first.data + reply.data
    assert data.endswith(b"\r\n\r\n" + FILE)
    size = SIZE if part == "body" else len(data) - SIZE
    assert size / rate * 0.8 < took
    assert reply.end == ("closed" if part == "head" else "silent")


@pytest.mark.parametrize("at", [100, -100])
@pytest.mark.parametrize("length", ["right", "wrong", "none", "chunked"])
def test_a_body_is_truncated(lab: Lab, at: int, length: str) -> None:
    """Fewer bytes, with the right length, the original one, none, or unfinished chunks."""
    _, target = lab.run()
    lab.emulator.fault("result", Truncate(at, content_length=length))  # type: ignore[arg-type]
    reply = lab.fetch(target, Connection="close")
    short = FILE[:at]
    promised = {"right": str(len(short)), "wrong": str(SIZE)}.get(length)
    assert reply.headers.get("content-length") == promised
    assert reply.headers.get("transfer-encoding") == ("chunked" if length == "chunked" else None)
    body = chunks(reply.body) if length == "chunked" else (reply.body, False)
    assert body == (short, False)
    assert reply.end == "closed"


def test_a_truncation_with_the_right_length_keeps_the_connection(lab: Lab) -> None:
    """Fewer bytes with the right length are an ordinary response."""
    _, target = lab.run()
    lab.emulator.fault("result", Truncate(100))
    with Line(lab.emulator.url) as line:
        line.ask(target)
        assert line.response().body == FILE[:100]
        line.ask(target)
        assert line.response().body == FILE


def test_more_bytes_than_the_length(lab: Lab) -> None:
    """The length is that of the file, and other bytes follow."""
    _, target = lab.run()
    lab.emulator.fault("result", Extend(b"HTTP/1.1 200 OK\r\n\r\n"))
    reply = lab.fetch(target)
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.body == FILE + b"HTTP/1.1 200 OK\r\n\r\n"
    assert reply.end == "closed"


def test_a_body_without_a_length(lab: Lab) -> None:
    """In chunks, after which the connection stays open, or until the connection ends."""
    _, target = lab.run()
    lab.emulator.fault("result", Frame())
    lab.emulator.fault("result", Frame("close"))
    lab.emulator.fault("result", Frame(), Cut(50))
    lab.emulator.fault("result", Frame(), Cut())
    reply = lab.fetch(target, Connection="close")
    assert chunks(reply.body) == (FILE, True)
    assert "content-length" not in reply.headers
    reply = lab.fetch(target)
    assert (reply.body, reply.end) == (FILE, "closed")
    assert reply.headers["connection"] == "close"
    assert not {"content-length", "transfer-encoding"} & set(reply.headers)
    assert chunks(lab.fetch(target).body) == (FILE[:50], False)
    reply = lab.fetch(target)
    assert (chunks(reply.body), reply.end) == ((FILE, True), "closed")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 200),
        (b"HTTP/1.0 503 No\r\n\r\n", 503),
        (b"\x16\x03\x01 this is no HTTP", None),
        (b"", None),
    ],
)
@pytest.mark.parametrize(
    ("how", "end"), [("close", "closed"), ("reset", "reset"), ("stall", "silent")]
)
def test_raw_bytes_are_sent_unchanged(
    lab: Lab, data: bytes, status: int | None, how: str, end: str
) -> None:
    """Nothing is added or changed, the request does not reach the service, and the connection ends as specified."""
    lab.emulator.fault("start", Raw(data, how=how))  # type: ignore[arg-type]
    with Line(lab.emulator.url) as line:
        line.ask("/flows/file/run", "POST", b'{"pipelineParams": {}}', **lab.headers)
        reply = line.hear(quiet=0.1 if how == "stall" else 5)
    assert (reply.data, reply.end) == (data, end)
    assert lab.emulator.runs == ()
    assert lab.last()[0] == status


@pytest.mark.parametrize("status", [200, 204, 304, 404, 503, 599, 799])
def test_any_status_is_sent(lab: Lab, status: int) -> None:
    """Any status has its headers. One without a body has none, and the connection stays open."""
    lab.emulator.fault("flow", Respond(status, headers={"X-Fault": "1"}))
    with Line(lab.emulator.url) as line:
        line.ask("/flows/file", **lab.headers)
        reply = line.response()
        assert reply.status == status
        assert reply.headers["x-fault"] == "1"
        assert bool(reply.body) == (status >= 400)
        if status < 600:
            line.ask("/flows/file", **lab.headers)
            assert line.response().status == 200
        else:
            assert line.hear().end == "closed"
    assert lab.emulator.requests[0].status == status


def test_a_client_that_goes_away_leaves_no_word(
    lab: Lab, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of each kind of answer: no traceback on stderr, no error in the log."""
    _, target = lab.run()
    effects: list[Effect] = [
        Stall(part="head", at=5),
        Stall(part="body", at=5),
        Dribble(10),
        Dribble(10, part="head"),
        Delay(2 * HANG),
        Cut(10, how="stall"),
    ]
    for effect in effects:
        lab.emulator.fault("result", effect)
        _ = lab.fetch(target, quiet=0.05)
    assert lab.get(target).status_code == 200
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.name.startswith("dcipher")] == []


def test_the_emulator_stops_during_hanging_responses(own_lab: Lab) -> None:
    """With silent, slow and delayed responses in progress, it stops completely within a second."""
    lab = own_lab
    _, target = lab.run()
    hanging: list[Effect] = [
        Stall(),
        Stall(part="body", at=3),
        Delay(2 * HANG),
        Dribble(1),
        Cut(how="stall"),
    ]
    lines: list[Line] = []
    for effect in hanging:
        lab.emulator.fault("result", effect)
        lines.append(Line(lab.emulator.url))
        lines[-1].ask(target)
    assert until(lambda: all(rule.hits for rule in lab.emulator.faults))
    with no_hang():
        lab.emulator.stop()
    assert lab.emulator._listener is not None
    assert not lab.emulator._listener._thread.is_alive()
    assert {line.hear().end for line in lines} <= {"closed", "reset"}
    for line in lines:
        line.__exit__()


def test_a_reset_waits_no_longer_than_its_client(lab: Lab) -> None:
    """A client that does not read the bytes before the RST, and disconnects, delays no other."""
    _, target = lab.run()
    lab.emulator.fault("result", Raw(bytes(8_000_000), how="reset"))
    with Line(lab.emulator.url, window=4096) as line:
        line.ask(target)
        time.sleep(0.1)
    assert lab.get(target).content == FILE
