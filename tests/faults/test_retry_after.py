"""`Retry-After` in every form, by both clients, against a server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dcipher import NotFoundError, RateLimitError, Resilience, Run, RunStatus
from tests.faulty import Reply, json_reply
from tests.waiting import no_hang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Connect
    from tests.faulty import FaultyServer

QUICK = Resilience(max_retries=2, backoff_initial=0.002, backoff_max=0.01)
NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not set to UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "121"}, 121.0),
        ({"Retry-After": "120.5"}, 120.5),
        ({"Retry-After": "3600"}, 3600.0),
        ({"Retry-After": "9" * 30}, 1e30),
        ({"Retry-After": "Sun, 06 Nov 1994 09:49:37 GMT", "Date": NOW}, 3600.0),
        ({"Retry-After": "Sunday, 06-Nov-94 09:49:37 GMT", "Date": NOW}, 3600.0),
        ({"Retry-After": "Sun Nov  6 09:49:37 1994", "Date": NOW}, 3600.0),
        ({"Retry-After": "Sun Nov  6 09:49:37 1994", "Date": "Sun Nov  6 08:49:37 1994"}, 3600.0),
        ({"retry-after-ms": "121000"}, 121.0),
        ({"retry-after-ms": "121000.5", "Retry-After": "0"}, 121.0005),
    ],
    ids=str,
)
def test_longer_than_the_caller_waits(
    connect: Connect, server: FaultyServer, headers: dict[str, str], seconds: float
) -> None:
    """Above `max_retry_after` (120 s), the error is raised at once, with the requested seconds."""
    server.on("*", json_reply("{}", 429, **{n.replace("-", "_"): v for n, v in headers.items()}))
    client = connect(server, resilience=QUICK)
    for number, call in enumerate((client.flows.get, client.flows.start), 1):
        with pytest.raises(RateLimitError, match="asks to wait") as caught:
            call("f")
        assert caught.value.retry_after == pytest.approx(seconds)
        assert len(server.requests) == number


@pytest.mark.parametrize(
    ("headers", "at_least"),
    [
        ({"Retry-After": "0.2"}, 0.2),
        ({"retry-after-ms": "200", "Retry-After": "60"}, 0.2),
        ({"Retry-After": "Sun Nov  6 08:49:38 1994", "Date": NOW}, 1.0),
    ],
    ids=str,
)
def test_not_before_the_service_says(
    connect: Connect, server: FaultyServer, headers: dict[str, str], at_least: float
) -> None:
    """The next attempt is sent after this time, by at most a quarter of it."""
    more = {name.replace("-", "_"): value for name, value in headers.items()}
    server.on("/flows/f/run", json_reply("{}", 503, **more), json_reply('{"taskId": "t"}'))
    client = connect(server, resilience=Resilience(backoff_initial=0.002, resend_ambiguous=False))
    client.flows.start("f")
    first, second = server.requests
    assert at_least <= second.at - first.at < at_least * 1.25 + 2


NONE = [
    "-1", "+7200", "1e4", "0x1c20", "inf", "nan", "Infinity", "٧٢٠٠", "\uff17\uff12", "7_200", "7200, 7200", "7200;",
    "7,200", "", " ", "soon", "Sun, 99 Nov 2094 99:99:99 GMT", "Sun", "Mon, ", "Sunday", "2094-11-06T08:49:37Z",
    "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 06 Nov 9999 23:59:59 -9999",
]  # fmt: skip


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms"])
def test_invalid_times_are_ignored(
    connect: Connect, server: FaultyServer, value: str, name: str
) -> None:
    """A value that is neither a plain number nor a date hides no status and changes no delay."""
    raw = b"HTTP/1.1 429 X\r\n%s: %s\r\nContent-Length: 2\r\n\r\n{}"
    server.on("*", Reply(raw=raw % (name.encode(), value.encode())))
    with no_hang(), pytest.raises(RateLimitError) as caught:
        connect(server, resilience=QUICK).flows.get("f")
    assert (caught.value.retry_after, caught.value.attempts) == (None, 3)


@pytest.mark.parametrize(
    "value", ["0", "0.0", "000", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:30 1994"]
)
def test_zero_is_the_normal_backoff(connect: Connect, server: FaultyServer, value: str) -> None:
    """No time, or a date of the past, is no reason for a hot loop."""
    server.on("*", json_reply("{}", 429, Retry_After=value, Date=NOW))
    policy = Resilience(max_retries=2, backoff_initial=0.1, backoff_max=0.1)
    with pytest.raises(RateLimitError) as caught:
        connect(server, resilience=policy).flows.get("f")
    gaps = [b.at - a.at for a, b in zip(server.requests, server.requests[1:])]  # noqa: B905 - one less
    assert len(gaps) == 2
    assert min(gaps) >= 0.1
    assert caught.value.retry_after == 0.0


def test_past_the_deadline(connect: Connect, server: FaultyServer) -> None:
    """A time after the deadline of the caller is an error at once."""
    server.on("*", json_reply("{}", 429, Retry_After="60"))
    hurried = Resilience(max_retries=5, deadline=30.0)
    with pytest.raises(RateLimitError) as caught:
        connect(server, resilience=hurried).flows.get("f")
    assert (caught.value.retry_after, len(server.requests)) == (60.0, 1)


def test_a_run_that_was_just_started(connect: Connect, server: FaultyServer) -> None:
    """A 404 for a run that was started seconds ago is retried, one for an older run is not."""
    server.on("/flows/f/run", json_reply('{"taskId": "t"}'))
    missing = json_reply('{"message": "no such run"}', 404)
    server.on("/flows/f/status", missing, missing, json_reply('{"status": "SUCCEEDED"}'))
    client = connect(server, resilience=QUICK)
    run = client.flows.start("f")
    assert client.runs.refresh(run).status is RunStatus.SUCCEEDED
    server.on("/flows/f/status", missing)
    old = Run(flow_id="f", task_id="t", created_at="2020-01-01T00:00:00Z")  # type: ignore[arg-type]
    for look in (client.runs.refresh, client.runs.wait):
        before = len(server.requests)
        with pytest.raises(NotFoundError):
            look(old)
        assert len(server.requests) == before + 1
