"""Faults in the content: status, headers and body, on a connection that stays open."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from dcipher.emulator.faults import (
    Delay,
    Digest,
    Encode,
    Garbage,
    Headers,
    Html,
    Patch,
    Redirect,
    Replace,
    Respond,
    Statuses,
)
from tests.emulator.wire import FILE, Lab, Line

if TYPE_CHECKING:
    from dcipher.emulator.faults import Effect


def raw(lab: Lab, target: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Returns headers and body undecoded: httpx would decode them."""
    with Line(lab.emulator.url) as line:
        line.ask(target, **headers)
        reply = line.response()
    return reply.headers, reply.body


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ("later", "text/plain; charset=utf-8", b"later"),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        ({"a": [1, None]}, "application/json", b'{"a":[1,null]}'),
        ({"base64": "AP8="}, "application/octet-stream", b"\x00\xff"),
        ("", None, b""),
    ],
)
def test_a_response_has_the_given_body(lab: Lab, body: Any, kind: str | None, sent: bytes) -> None:
    """Text, bytes and JSON are sent unchanged, with their type. The service receives nothing."""
    lab.emulator.fault("start", Respond(503, headers={"Retry-After": "2"}, body=body))
    response = lab.start()
    assert (response.status_code, response.content) == (503, sent)
    assert response.headers.get("content-type") == kind
    assert response.headers["retry-after"] == "2"
    assert response.headers["date"]
    assert response.headers["x-request-id"] == lab.emulator.requests[-1].request_id
    assert lab.emulator.runs == ()
    assert lab.last() == (503, lab.emulator.faults[0].words)


def test_an_error_looks_like_one_of_the_api(lab: Lab) -> None:
    """Without a given body, an error has a message, and a success has none."""
    lab.emulator.fault("flow", Respond(429))
    lab.emulator.fault("flow", Respond(200))
    lab.emulator.fault("flow", Respond(429, headers={"content-type": "text/x"}, body="a"))
    url = f"{lab.emulator.url}/flows/file"
    response = lab.web.get(url, headers=lab.headers)
    assert response.json() == {"message": "Too Many Requests (a fault of the emulator)."}
    assert lab.web.get(url, headers=lab.headers).content == b""
    assert lab.web.get(url, headers=lab.headers).headers["content-type"] == "text/x"


def test_statuses_are_returned_in_order(lab: Lab) -> None:
    """Each poll returns the next status, as often as specified, with the message if there is one."""
    task_id, _ = lab.run()
    rule = lab.emulator.fault("status", Statuses("PENDING", "warming up", message="soon"), times=2)
    seen = [lab.status(task_id).json() for _ in range(5)]
    said = [{"status": word, "message": "soon"} for word in ("PENDING", "warming up")]
    assert seen == [*said, *said, {"status": "SUCCEEDED"}]
    assert rule.consumed
    lab.emulator.fault("status", Statuses("FAILED"))
    assert lab.status("nobody").status_code == 404


def test_statuses_can_be_each_runs_own(lab: Lab) -> None:
    """With per_run every run goes through all the words."""
    tasks = [lab.run(number)[0] for number in range(2)]
    rule = lab.emulator.fault("status", Statuses("A", "B"), per_run=True)
    seen = [[lab.status(task).json()["status"] for task in tasks] for _ in range(3)]
    assert seen == [["A", "A"], ["B", "B"], ["SUCCEEDED", "SUCCEEDED"]]
    assert (rule.hits, rule.remaining, rule.consumed) == (4, 0, True)


def test_a_body_is_replaced(lab: Lab) -> None:
    """Status and headers remain, except for a given type."""
    _, target = lab.run()
    lab.emulator.fault("result", Replace("nonsense"))
    lab.emulator.fault("result", Replace({"a": 1}, content_type="application/json"))
    lab.emulator.fault("result", Replace())
    true = lab.emulator.runs[0]
    assert true.status == "SUCCEEDED"
    response = lab.get(target)
    assert (response.status_code, response.content) == (200, b"nonsense")
    assert response.headers["content-type"] == "application/octet-stream"
    digest = b64encode(hashlib.sha256(FILE).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{digest}:"
    response = lab.get(target)
    assert (response.json(), response.headers["content-type"]) == ({"a": 1}, "application/json")
    assert lab.get(target).content == b""


def test_a_page_replaces_the_response(lab: Lab) -> None:
    """HTML with the original status or another, and no header of the file."""
    _, target = lab.run()
    lab.emulator.fault("result", Html())
    lab.emulator.fault("result", Html(502, title="Bad gateway"))
    response = lab.get(target)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "<title>Please sign in</title>" in response.text
    assert not {"etag", "repr-digest", "last-modified"} & set(response.headers)
    response = lab.get(target)
    assert (response.status_code, "Bad gateway" in response.text) == (502, True)


def test_garbage_is_the_same_for_a_seed(lab: Lab) -> None:
    """Random bytes of the original or given size. Another seed has other bytes."""
    _, target = lab.run()
    for effect in (Garbage(1), Garbage(1), Garbage(2), Garbage(1, size=5)):
        lab.emulator.fault("result", effect)
    one, again, other, short = (lab.get(target).content for _ in range(4))
    assert one == again != other
    assert len(one) == len(FILE)
    assert one[:4] == short[:4]
    assert len(short) == 5


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"status": "LOST"}, {"status": "LOST"}),
        ({"status": None, "extra": {"a": 1, "b": None}}, {"extra": {"a": 1}}),
        ({"status": {"deep": True}}, {"status": {"deep": True}}),
        (["whole"], ["whole"]),
        (None, None),
    ],
)
def test_json_is_patched(lab: Lab, patch: Any, expected: Any) -> None:
    """A merge patch as RFC 7396 has it: null removes, objects merge, all else replaces."""
    task_id, _ = lab.run()
    lab.emulator.fault("status", Patch(patch))
    assert lab.status(task_id).json() == expected


def test_a_patch_of_a_body_that_is_not_json(lab: Lab) -> None:
    """It would do nothing, so the response is an error."""
    _, target = lab.run()
    lab.emulator.fault("result", Patch({"a": 1}))
    response = lab.get(target)
    assert (response.status_code, response.json()["message"]) == (
        500,
        "The fault is a Patch, but the response is not JSON.",
    )


def test_headers_are_set_and_removed(lab: Lab) -> None:
    """Names are case-insensitive, and the headers of the server are included."""
    _, target = lab.run()
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    lab.emulator.fault(
        "result", Headers({"ETag": '"x"', "Date": date}, ["Repr-Digest", "x-Request-Id"])
    )
    with Line(lab.emulator.url) as line:
        line.ask(target)
        reply = line.response()
    head = reply.data.partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"etag:") == head.count(b"date:") == 1
    assert (reply.headers["etag"], reply.headers["date"]) == ('"x"', date)
    assert not {"repr-digest", "x-request-id"} & set(reply.headers)
    assert reply.body == FILE


@pytest.mark.parametrize(
    ("name", "algorithm", "form"),
    [
        ("repr-digest", "sha256", "sha-256=:{}:"),
        ("content-digest", "sha256", "sha-256=:{}:"),
        ("content-md5", "md5", "{}"),
        ("x-goog-hash", "md5", "md5={}"),
        ("x-amz-checksum-sha256", "sha256", "{}"),
    ],
)
def test_a_digest_is_right_or_not(lab: Lab, name: Any, algorithm: str, form: str) -> None:
    """It is that of the complete file, also for a range, except Content-Digest. A wrong one is well-formed."""
    _, target = lab.run()
    for right in (True, True, False):
        lab.emulator.fault("result", Digest(name, right=right))
    true, part, wrong = lab.get(target), lab.get(target, Range="bytes=0-9"), lab.get(target)

    def digest(data: bytes) -> str:
        return form.format(b64encode(hashlib.new(algorithm, data).digest()).decode())

    assert true.headers[name] == digest(FILE)
    assert part.status_code == 206
    assert part.headers[name] == digest(FILE[:10] if name == "content-digest" else FILE)
    assert wrong.headers[name] != digest(FILE)
    assert len(wrong.headers[name]) == len(true.headers[name])


def test_an_unrequested_coding(lab: Lab) -> None:
    """One or several gzip members, deflate, and a truncated gzip, as complete bodies."""
    _, target = lab.run()
    effects = [Encode(), Encode(members=3), Encode("deflate"), Encode(truncate=-9)]
    for effect in effects:
        lab.emulator.fault("result", effect)
    (headers, one), (_, three), (zlibbed, deflated), (cut, short) = (
        raw(lab, target, Accept_Encoding="identity") for _ in effects
    )
    assert gzip.decompress(one) == gzip.decompress(three) == zlib.decompress(deflated) == FILE
    assert three.count(b"\x1f\x8b\x08") >= 3
    assert short == one[:-9]
    assert cut["content-length"] == str(len(short))
    assert headers["content-encoding"] == "gzip"
    assert zlibbed["content-encoding"] == "deflate"
    assert headers["etag"].startswith('W/"')
    assert "repr-digest" not in headers


def test_a_bomb_is_small_until_it_is_opened(lab: Lab) -> None:
    """Sixty-four megabytes of zeros in a hundred kilobytes."""
    _, target = lab.run()
    size = 64 * 1024 * 1024 + 5
    lab.emulator.fault("result", Encode(bomb=size, members=2))
    _, body = raw(lab, target)
    assert len(body) < 100_000
    assert len(gzip.decompress(body)) == size


def test_a_redirect_leads_to_a_second_url_that_works(lab: Lab) -> None:
    """By default to the same resource, once; otherwise to the given text."""
    task_id, target = lab.run()
    lab.emulator.fault("result", Redirect(), times=2)
    response = lab.get(target)
    assert (response.status_code, response.content) == (302, b"")
    location = response.headers["location"].removeprefix(lab.emulator.url)
    assert location not in {target, response.headers["location"]}
    assert lab.get(location).content == FILE
    lab.emulator.fault("status", Redirect("file:///etc/hosts", status=307))
    response = lab.status(task_id)
    assert (response.status_code, response.headers["location"]) == (307, "file:///etc/hosts")
    lab.emulator.fault("flow", Redirect())
    response = lab.web.get(f"{lab.emulator.url}/flows/file", headers=lab.headers)
    assert response.headers["location"] == f"{lab.emulator.url}/flows/file?redirected=1"


def test_effects_are_applied_in_order(lab: Lab) -> None:
    """A later effect receives the response of the earlier ones."""
    task_id, _ = lab.run()
    lab.emulator.fault(
        "status", Delay(0), Replace('{"a": 1}'), Patch({"b": 2}), Headers({"x-y": "z"})
    )
    response = lab.status(task_id)
    assert response.json() == {"a": 1, "b": 2}
    assert response.headers["x-y"] == "z"
    assert response.headers["content-length"] == str(len(response.content))


def test_the_connection_stays_open_after_each(lab: Lab) -> None:
    """A response that is valid HTTP keeps the connection."""
    _, target = lab.run()
    effects: list[Effect] = [Html(), Garbage(), Encode(), Redirect(), Replace(), Respond(418)]
    for effect in effects:
        lab.emulator.fault("result", effect)
    with Line(lab.emulator.url) as line:
        for _ in effects:
            line.ask(target)
            assert line.response().status in {200, 302, 418}
        line.ask(target)
        assert line.response().body == FILE


def test_a_failure_of_the_emulator_is_not_hidden(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the service itself fails, the fault is applied to its error response."""

    def fail(*_: object) -> bytes:
        raise RuntimeError("broken")

    monkeypatch.setattr(lab.emulator._service, "describe", fail)
    lab.emulator.fault("flow", Patch({"seen": True}))
    response = lab.web.get(f"{lab.emulator.url}/flows/file", headers=lab.headers)
    assert response.status_code == 500
    assert json.loads(response.content)["seen"] is True
