"""One large result by several connections: every promise of one connection holds."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import random
import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from dcipher import (
    AsyncDcipher,
    IntegrityError,
    InvalidParamsError,
    LocalStorageError,
    Resilience,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
)
from dcipher._results.downloads.ranges import plan as ranges
from dcipher.http import HTTPClient
from tests.conftest import KEY
from tests.faulty import RESET, STALL, Reply
from tests.results.downloads.stores import (
    MIB,
    ONCE,
    TWICE,
    assert_saved,
    assert_untouched,
    result_of,
    run_at,
)
from tests.waiting import HANG, at_work, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

BODY = random.Random(9).randbytes(6 * MIB + 13)  # noqa: S311 - no secret
NOTE = ".result.bin.dcipher.part.json"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Through an async client of the user, a result is received by one connection."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduces the threshold to a megabyte, and makes each connection too slow."""
    monkeypatch.setattr(ranges, "LARGE", MIB)
    monkeypatch.setattr(ranges, "LEAST", MIB // 4)
    monkeypatch.setattr(ranges, "WINDOW", 0.0)
    monkeypatch.setattr(ranges, "FAST", 1 << 60)
    monkeypatch.setattr(ranges, "STALL_TIMEOUT", 0.3)


class Shop:
    """A store that has one object and supports ranges. `spoil` changes its responses."""

    def __init__(
        self,
        body: bytes = BODY,
        spoil: Callable[[int, Reply], Reply] = lambda _, reply: reply,
        first: Callable[[Reply], Reply] = lambda reply: reply,
        **more: str,
    ) -> None:
        self.body = body
        self.etag = '"1"'
        self._spoil = spoil
        self._first = first
        self._more = more
        self._lock = threading.Lock()
        self.parts = 0
        """So many were asked for."""

    def __call__(self, request: Recorded) -> Reply:
        headers = {"ETag": self.etag, "Accept-Ranges": "bytes", **self._more}
        match = request.headers.get("if-match")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if asked is None:
            return self._first(Reply(self.body, 200, headers))
        with self._lock:
            number, self.parts = self.parts, self.parts + 1
        if match != self.etag:
            return self._spoil(number, Reply(b"", 412))
        start, end = int(asked[1]), int(asked[2] or len(self.body) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.body)}"
        return self._spoil(number, Reply(self.body[start:end], 206, headers))


def slowly(reply: Reply) -> Reply:
    """The first connection brings a half of it, and no more while others can."""
    return replace(reply, cut=len(reply.body) // 8, after="stall")


def plain(server: FaultyServer) -> int:
    return sum("range" not in request.headers for request in server.seen("/result"))


def test_by_several(connect: Connect, server: FaultyServer, target: Path) -> None:
    """The rest is requested by ranges of one object, each by its own connection, into the same file."""
    shop = Shop(first=slowly)
    server.on("/result", shop)
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    parts = [r for r in server.seen("/result") if "range" in r.headers]
    assert len(parts) >= 3
    assert {r.headers["if-match"] for r in parts} == {'"1"'}
    assert len({r.connection for r in server.requests}) >= 4
    assert plain(server) == 1


@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_max_connections(connect: Connect, server: FaultyServer, target: Path, number: int) -> None:
    """`max_connections` limits the open connections; 1 is one request."""
    at_once: list[int] = []

    def counted(_: int, reply: Reply) -> Reply:
        # Each of these has one connection at a time.
        at_once.append([one.name for one in threading.enumerate()].count("dcipher range"))
        return replace(reply, delay=0.05)

    # The first connection leaves something to the others, if there are to be any.
    shop = Shop(spoil=counted) if number == 1 else Shop(spoil=counted, first=slowly)
    server.on("/result", shop)
    connect(server).runs.download(result_of(server), target, max_connections=number)
    assert_saved(target, BODY)
    assert (len(server.requests) == 1) == (number == 1)
    assert max(at_once, default=1) == number


@pytest.mark.parametrize("number", [0, -1, 1.5, "4", True, None])
def test_an_invalid_number(
    connect: Connect, server: FaultyServer, target: Path, number: Any
) -> None:
    """An invalid number of connections is rejected before anything is sent."""
    with pytest.raises(InvalidParamsError, match="max_connections"):
        connect(server).runs.download(result_of(server), target, max_connections=number)
    assert server.requests == []


@pytest.mark.parametrize(
    "headers",
    [{"ETag": 'W/"1"'}, {"ETag": ""}, {"Accept-Ranges": "none"}],
    ids=["weak", "none", "no ranges"],
)
def test_by_one(
    connect: Connect, server: FaultyServer, target: Path, headers: dict[str, str]
) -> None:
    """Without a strong validator, or ranges, one connection is used."""
    server.on("/result", Shop(**headers))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert len(server.requests) == 1


def test_a_small_result(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result up to the threshold uses one connection."""
    monkeypatch.setattr(ranges, "LARGE", len(BODY))
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert len(server.requests) == 1


def test_a_fast_connection(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is fast enough is not helped."""
    monkeypatch.setattr(ranges, "FAST", 1)
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert len(server.requests) == 1


def digest(body: bytes) -> dict[str, str]:
    said = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return {"Repr-Digest": f"sha-256=:{said}:"}


def test_the_digest_covers_all_connections(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A digest is checked over all bytes, from any connection."""
    server.on("/result", Shop(**digest(BODY)))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_the_wrong_digest(connect: Connect, server: FaultyServer, target: Path) -> None:
    """After a wrong digest, nothing is kept."""

    def damaged(_: int, reply: Reply) -> Reply:
        return replace(reply, body=bytes(len(reply.body)))

    server.on("/result", Shop(spoil=damaged, first=slowly, **digest(BODY)))
    with pytest.raises(IntegrityError, match="sha256"):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)


def another_range(reply: Reply) -> Reply:
    """Returns a range one byte later than requested."""
    said = re.sub(
        r"bytes (\d+)", lambda m: f"bytes {int(m[1]) + 1}", reply.headers["Content-Range"]
    )
    return replace(reply, headers={**reply.headers, "Content-Range": said}, body=reply.body[1:])


REFUSALS: dict[str, Callable[[Reply], Reply]] = {
    "200": lambda reply: Reply(BODY, 200, {"ETag": '"1"'}),
    "another range": another_range,
    "no range": lambda reply: replace(reply, headers={"ETag": '"1"'}),
    "another length": lambda reply: replace(reply, body=reply.body + b"?"),
    "encoded": lambda reply: replace(reply, headers={**reply.headers, "Content-Encoding": "gzip"}),
    "412": lambda _: Reply(b"", 412),
    "416": lambda _: Reply(b"", 416),
    "another ETag": lambda reply: replace(reply, headers={**reply.headers, "ETag": '"2"'}),
    "403": lambda _: Reply(b"", 403),
    "429": lambda _: Reply(b"", 429, {"Retry-After": "3600"}),
    "503": lambda _: Reply(b"", 503),
    "500": lambda _: Reply(b"", 500),
    "refused": lambda _: RESET,
    "expired": lambda _: Reply(b"Request has expired", 403),
    "nothing": lambda reply: replace(reply, cut=0, after="close"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_that_rejects_other_connections(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """Whatever the others receive, the first connection continues to the end, without a retry."""
    shop = Shop(spoil=lambda _, reply: REFUSALS[name](reply))
    server.on("/result", shop)
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1
    assert shop.parts <= 6


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_that_rejects_one_connection(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """Another connection fetches its range."""
    shop = Shop(spoil=lambda number, reply: REFUSALS[name](reply) if number == 1 else reply)
    server.on("/result", shop)
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1


@pytest.mark.parametrize("after", ["close", "reset", "stall"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_them_ends(
    connect: Connect, server: FaultyServer, target: Path, after: Any, place: int
) -> None:
    """If one connection ends or stalls, the others fetch the rest."""

    def spoilt(number: int, reply: Reply) -> Reply:
        cut = len(reply.body) // 3
        return replace(reply, cut=cut, after=after) if number == place else reply

    server.on("/result", Shop(spoil=spoilt))
    with no_hang():
        connect(server, resilience=TWICE, timeout=2 * HANG).runs.download(result_of(server), target)
    assert_saved(target, BODY)


@pytest.mark.parametrize("after", ["close", "reset", "stall"])
def test_the_first_ends(connect: Connect, server: FaultyServer, target: Path, after: Any) -> None:
    """The first connection may end, too: it is one of several."""
    first = Shop(first=lambda reply: replace(reply, cut=len(reply.body) // 8, after=after))
    server.on("/result", first)
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1


def test_all_end(connect: Connect, server: FaultyServer, target: Path) -> None:
    """If all end repeatedly, received bytes earn more attempts, and are kept."""
    shop = Shop(
        spoil=lambda _, reply: replace(reply, cut=200_000, after="reset"),
        first=lambda reply: replace(reply, cut=2 * MIB, after="reset"),
    )
    server.on("/result", shop)
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1


def test_changed_in_the_middle(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Two objects are never joined: the new one is fetched, or the error says so."""
    other = BODY[::-1]
    shop = Shop()

    def change(number: int, reply: Reply) -> Reply:
        if number == 1:
            shop.body, shop.etag = other, '"2"'
        return replace(reply, cut=100_000, after="reset") if number < 3 else reply

    shop._spoil = change
    shop._first = lambda reply: reply if shop.etag == '"2"' else slowly(reply)
    server.on("/result", shop)
    client = connect(server, resilience=TWICE, timeout=1.0)
    client.runs.download(result_of(server), target)
    assert_saved(target, other)


def test_changed_and_no_retries(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Without retries, an object that changed is an error, and the old file is intact."""
    shop = Shop(first=lambda reply: replace(reply, cut=MIB, after="reset"))

    def change(_: int, reply: Reply) -> Reply:
        shop.etag = '"2"'
        return replace(reply, cut=100_000, after="reset")

    shop._spoil = change
    server.on("/result", shop)
    with pytest.raises(ResultChangedError):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)


def test_expired_in_the_middle(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Connections with a response continue after the URL has expired. Otherwise, the error says so."""

    def expired(number: int, reply: Reply) -> Reply:
        if number >= 3:
            return Reply(b"Request has expired", 403)
        return replace(reply, cut=100_000, after="reset")

    server.on("/result", Shop(spoil=expired, first=slowly))
    with pytest.raises(ResultExpiredError):
        connect(server, resilience=TWICE, timeout=1.0).runs.download(result_of(server), target)
    assert_untouched(target)


def test_requests_are_sent_at_the_beginning(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A URL that expires while all connections are active has no effect."""

    def until_then(number: int, reply: Reply) -> Reply:
        # Three help the first one.
        return Reply(b"Request has expired", 403) if number >= 3 else replace(reply, delay=0.3)

    server.on("/result", Shop(spoil=until_then))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_a_disk_that_is_too_small(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is noticed before the bytes have come, and leaves the old file."""

    def full(_descriptor: int, _start: int, size: int) -> None:
        assert size == len(BODY)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    server.on("/result", Shop())
    with pytest.raises(LocalStorageError, match="No space left"):
        connect(server).runs.download(result_of(server), target)
    assert_untouched(target)


@pytest.mark.parametrize("name", ["posix_fallocate", "pwrite"])
def test_a_system_without_positioned_writes(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If space cannot be reserved, or written at an offset, the download works nevertheless."""
    monkeypatch.delattr(os, name)
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_a_file_system_that_reserves_nothing(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without that is no error."""

    def cannot(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_a_disk_that_is_full_in_the_middle(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed write of a worker is an error of the disk, and the old file remains."""
    write = os.pwrite

    def full(descriptor: int, data: Any, place: int) -> int:
        if place > len(BODY) // 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", full)
    server.on("/result", Shop())
    with pytest.raises(LocalStorageError, match="No space left"):
        connect(server).runs.download(result_of(server), target)
    assert_untouched(target)


def test_progress(connect: Connect, server: FaultyServer, target: Path) -> None:
    """`on_progress` grows, is called by one thread, at most ten times a second, and last with everything."""
    server.on("/result", Shop(spoil=lambda _, reply: replace(reply, delay=0.25)))
    calls: list[tuple[int, int | None]] = []
    threads: set[int] = set()

    def told(done: int, total: int | None) -> None:
        calls.append((done, total))
        threads.add(threading.get_ident())

    began = time.monotonic()
    connect(server).runs.download(result_of(server), target, on_progress=told)
    assert calls == sorted(calls)
    assert calls[-1] == (len(BODY), len(BODY))
    assert len(calls) <= 10 * (time.monotonic() - began) + 2
    assert len(threads) == 1


def test_a_callback_that_raises(connect: Connect, server: FaultyServer, target: Path) -> None:
    """What `on_progress` raises comes through; nobody writes after it."""
    server.on("/result", Shop(spoil=lambda _, reply: replace(reply, delay=0.2)))

    def stop(done: int, _: int | None) -> None:
        if done > MIB:
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        connect(server).runs.download(result_of(server), target, on_progress=stop)
    assert target.read_bytes() == b"old"
    assert at_work() == []


def test_no_thread_remains(connect: Connect, server: FaultyServer, target: Path) -> None:
    """When the download ends, no thread and no connection of a worker remains."""
    server.on("/result", Shop())
    client = connect(server)
    client.runs.download(result_of(server), target)
    assert at_work() == []
    client.close()
    assert server.open_connections() == 0


@pytest.mark.parametrize(("limit", "spared"), [(1, 0), (2, 0), (3, 1), (4, 1), (9, 4), (None, 9)])
def test_few_connections(limit: int | None, spared: int) -> None:
    """Less than half of the connections of a client help, so that other results get one, too."""
    limits = httpx.Limits(max_connections=limit)
    with HTTPClient("http://127.0.0.1:9", httpx_args={"limits": limits}) as http:
        permits = http.anonymous().spare_permits(9)
        assert len(permits) == spared
        # All that are derived from one client share them.
        assert len(http.anonymous().spare_permits(9)) == (0 if limit else 9)
        permits.clear()
        assert len(http.spare_permits(9)) == spared


def test_no_spare_permits(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no connection is available, one is used."""
    monkeypatch.setattr(HTTPClient, "spare_permits", lambda *_: [])
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert len(server.requests) == 1


# Going on


@pytest.fixture
def interrupted(connect: Connect, server: FaultyServer, target: Path) -> Shop:
    """The parts of several connections, with gaps, and a store that works again."""
    # The first connection may fail before another has begun: then one alone has left something.
    for _ in range(20):
        shop = Shop(
            spoil=lambda number, reply: (
                replace(reply, cut=300_000, after="close") if number < 3 else RESET
            ),
            first=lambda reply: replace(reply, cut=900_000, after="close"),
            **digest(BODY),
        )
        server.on("/result", shop)
        with pytest.raises(IntegrityError, match="are kept"):
            connect(server, resilience=ONCE).runs.download(result_of(server), target)
        assert_untouched(target, kept=True)
        note = json.loads(target.with_name(NOTE).read_text())
        if note["version"] == 2:
            break
        target.with_name(NOTE).unlink()
    assert note["version"] == 2
    assert note["parts"]
    well = Shop(**digest(BODY))
    server.on("/result", well)
    server.requests.clear()
    return well


@pytest.mark.parametrize("number", [1, 4])
def test_it_resumes(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop, number: int
) -> None:
    """The next download requests only the gaps, by one or several connections, and checks the complete file."""
    connect(server).runs.download(result_of(server), target, max_connections=number)
    assert_saved(target, BODY)
    assert plain(server) == 0
    asked = [r.headers["range"].removeprefix("bytes=").split("-") for r in server.seen("/result")]
    size = sum(int(end or len(BODY) - 1) + 1 - int(start) for start, end in asked)
    assert number > 1 or size <= len(BODY) - 900_000


def test_parts_of_another_object(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """If the object has changed, it is fetched completely."""
    interrupted.body, interrupted.etag, interrupted._more = BODY[::-1], '"2"', {}
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY[::-1])


def test_parts_and_a_store_without_ranges(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """A store without ranges sends the complete file."""
    server.on("/result", Reply(BODY, 200, {"ETag": '"1"'}))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_damaged_parts(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """A changed byte of a part is detected, and all is fetched again."""
    start, end = json.loads(target.with_name(NOTE).read_text())["parts"][0]
    with target.with_name(NOTE.removesuffix(".json")).open("r+b") as part:
        part.seek((start + end) // 2)
        part.write(b"??????")
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_cancelled(server: FaultyServer, target: Path) -> None:
    """A cancellation ends all of them within a moment, and keeps what they brought."""
    server.on(
        "/result",
        Shop(
            spoil=lambda _, reply: replace(reply, cut=500_000, after="stall"),
            first=lambda reply: replace(reply, cut=MIB, after="stall"),
        ),
    )

    async def run() -> None:
        async with AsyncDcipher(api_key=KEY, base_url=server.url, timeout=2 * HANG) as client:
            with anyio.CancelScope() as scope:

                def cancel(done: int, _: int | None) -> None:
                    if done > MIB:
                        scope.cancel()

                await client.runs.download(result_of(server), target, on_progress=cancel)

    with no_hang():
        anyio.run(run)
    assert at_work() == []
    assert_untouched(target, kept=True)


def test_an_async_client_of_the_user(server: FaultyServer, target: Path) -> None:
    """Through it, a result is received by one connection."""
    server.on("/result", Shop())

    async def run() -> None:
        async with (
            httpx.AsyncClient() as given,
            AsyncDcipher(api_key=KEY, base_url=server.url, http_client=given) as client,
        ):
            await client.runs.download(result_of(server), target)

    anyio.run(run)
    assert_saved(target, BODY)
    assert len(server.requests) == 1


def test_an_outage(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A store that is away for a moment is waited for, by each connection that it had answered."""
    until = time.monotonic() + 0.6

    def away(number: int, reply: Reply) -> Reply:
        if number < 3:
            return replace(reply, cut=200_000, after="reset")
        return RESET if time.monotonic() < until else reply

    policy = Resilience(max_retries=6, backoff_initial=0.05, backoff_max=0.3)
    server.on("/result", Shop(spoil=away, first=slowly))
    connect(server, resilience=policy, timeout=2.0).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_no_secret_of_a_worker(
    connect: Connect, server: FaultyServer, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The URL of a redirect of a worker is redacted if the store repeats it."""
    moved = Reply(b"", 302, {"Location": f"{server.url}/moved?Signature=canary-elsewhere"})
    server.on(
        "/result",
        Shop(spoil=lambda _, __: moved, first=lambda r: replace(r, cut=MIB, after="reset")),
    )
    server.on("/moved", Reply(b"no: canary-elsewhere", 403))
    with caplog.at_level("DEBUG"), pytest.raises(ResultError) as caught:
        connect(server, resilience=ONCE).runs.download(
            run_at(result_of(server).outputs[0].url.get_secret_value()), target
        )  # type: ignore[union-attr]
    assert "canary" not in str(caught.value)
    assert "canary" not in caplog.text


def test_silence(connect: Connect, server: FaultyServer, target: Path) -> None:
    """If a worker gets no response, the first connection continues without it."""
    server.on("/result", Shop(spoil=lambda _, __: STALL))
    with no_hang():
        connect(server, timeout=2 * HANG).runs.download(result_of(server), target)
    assert_saved(target, BODY)
