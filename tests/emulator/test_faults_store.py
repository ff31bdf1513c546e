"""Faults of the store: ranges, validators, files that change, URLs that expire."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from dcipher.emulator.faults import (
    ChangeContent,
    ChangeETag,
    Cut,
    ExpireURL,
    IgnoreRange,
    Multipart,
    RefuseRange,
    WrongRange,
)
from tests.emulator.wire import FILE, Lab

SIZE = len(FILE)


def test_a_range_is_ignored(lab: Lab) -> None:
    """200 with the complete file. A request without a range does not match."""
    _, target = lab.run()
    rule = lab.emulator.fault("result", IgnoreRange())
    assert lab.get(target).content == FILE
    assert rule.matched == 0
    response = lab.get(target, Range="bytes=5-9", If_Range='"x"')
    assert (response.status_code, response.content) == (200, FILE)
    assert lab.get(target, Range="bytes=5-9").status_code == 206


def test_several_effects_in_one_response(lab: Lab) -> None:
    """The complete file instead of a range, and the connection ends within it."""
    _, target = lab.run()
    lab.emulator.fault("result", IgnoreRange(), Cut(10))
    reply = lab.fetch(target, Range="bytes=100-")
    assert (reply.status, reply.body, reply.end) == (200, FILE[:10], "closed")


@pytest.mark.parametrize(
    ("asked", "shift", "start", "stop"),
    [
        ("bytes=10-19", 1, 11, 21),
        ("bytes=10-19", -4, 6, 16),
        ("bytes=10-", 5, 15, SIZE),
        ("bytes=2-9", -100, 0, 1),
        (f"bytes={SIZE - 2}-", 50, SIZE - 1, SIZE),
        ("bytes=-10", 2, SIZE - 12, SIZE),
    ],
)
def test_another_range_is_sent(lab: Lab, asked: str, shift: int, start: int, stop: int) -> None:
    """206 with other bytes. Content-Range names these, or claims the requested ones."""
    _, target = lab.run()
    lab.emulator.fault("result", WrongRange(shift))
    lab.emulator.fault("result", WrongRange(shift, lie=True))
    for lie in (False, True):
        response = lab.get(target, Range=asked)
        assert (response.status_code, response.content) == (206, FILE[start:stop])
        honest = response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert honest is not lie
        claimed = asked.removeprefix("bytes=").partition("-")[0] or str(SIZE - 10)
        assert response.headers["content-range"].startswith(f"bytes {claimed}-") is lie


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=-", "bytes=x-1"])
def test_an_invalid_range_is_ignored(lab: Lab, asked: str) -> None:
    """A range that the store ignores is ignored by the fault, too."""
    _, target = lab.run()
    lab.emulator.fault("result", WrongRange(lie=True))
    response = lab.get(target, Range=asked)
    assert (response.status_code, response.content) == (200, FILE)


def test_a_range_is_rejected(lab: Lab) -> None:
    """416 with the size of the file and the XML of the store."""
    _, target = lab.run()
    lab.emulator.fault("result", RefuseRange())
    response = lab.get(target, Range="bytes=1-")
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert "<Code>InvalidRange</Code>" in response.text
    lab.emulator.fault("result", RefuseRange())
    assert lab.get("/results/nobody/0", Range="bytes=1-").status_code == 403


def test_a_range_as_multipart(lab: Lab) -> None:
    """The part is between boundaries, with its own Content-Range."""
    _, target = lab.run()
    lab.emulator.fault("result", Multipart())
    lab.emulator.fault("result", Multipart())
    response = lab.get(target, Range="bytes=3-7")
    kind, _, boundary = response.headers["content-type"].partition("; boundary=")
    assert (response.status_code, kind) == (206, "multipart/byteranges")
    assert "content-range" not in response.headers
    assert (
        response.content
        == (
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: bytes 3-7/{SIZE}\r\n\r\n"
        ).encode()
        + FILE[3:8]
        + f"\r\n--{boundary}--\r\n".encode()
    )
    assert lab.get(target, Range="lines=1").content == FILE


def test_a_response_with_another_etag(lab: Lab) -> None:
    """The bytes are the same, and so is the next response. The ETag may be a given one."""
    _, target = lab.run()
    true = lab.get(target).headers["etag"]
    lab.emulator.fault("result", ChangeETag())
    lab.emulator.fault("result", ChangeETag('W/"weak"'))
    changed = lab.get(target, If_Match=true)
    assert (changed.status_code, changed.content) == (200, FILE)
    assert changed.headers["etag"] != true
    assert changed.headers["etag"].startswith('"')
    assert lab.get(target).headers["etag"] == 'W/"weak"'
    assert lab.get(target).headers["etag"] == true


def test_a_file_changes_permanently(lab: Lab) -> None:
    """Other bytes of the same length from now on, with their ETag and digest. Conditions are evaluated."""
    _, target = lab.run()
    true = lab.get(target).headers["etag"]
    lab.emulator.fault("result", ChangeContent(), nth=2)
    assert lab.get(target).content == FILE
    changed = lab.get(target, If_Match=true)
    assert changed.status_code == 412
    again = lab.get(target, Range="bytes=0-9", If_Range=true)
    assert again.status_code == 200
    assert len(again.content) == SIZE
    assert again.content != FILE
    assert again.headers["etag"] != true
    digest = b64encode(hashlib.sha256(again.content).digest()).decode()
    assert again.headers["repr-digest"] == f"sha-256=:{digest}:"


def test_only_the_requested_file_changes(lab: Lab) -> None:
    """Other results of the run are unchanged."""
    started = lab.start_of("pair")
    _ = lab.finish(started)
    first, second = (url.removeprefix(lab.emulator.url) for url in started["signedResponseURLs"])
    lab.emulator.fault("result", ChangeContent(), output_index=1)
    assert lab.get(first).content == FILE
    assert lab.get(second).content != FILE
    lab.emulator.fault("result", ChangeContent(), times=2)
    assert lab.get("/results/nobody/0").status_code == 403
    assert lab.get(first.replace("/0?", "/7?")).status_code == 403


@pytest.mark.parametrize("operation", ["status", "result"])
def test_the_urls_of_a_run_expire(lab: Lab, operation: str) -> None:
    """From then on 403 with the store's words; another run's URLs are as good as ever."""
    task_id, target = lab.run()
    _, other = lab.run(1)
    lab.emulator.fault(operation, ExpireURL(), task_id=task_id)  # type: ignore[arg-type]
    assert lab.get(other).status_code == 200
    if operation == "status":
        assert lab.status(task_id).json() == {"status": "SUCCEEDED"}
    for _ in range(2):
        response = lab.get(target)
        assert response.status_code == 403
        assert "Request has expired" in response.text
    assert lab.get(other).status_code == 200
    lab.emulator.fault("status", ExpireURL())
    assert lab.status("nobody").status_code == 404
