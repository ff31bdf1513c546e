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
    """Through an async client of the user's, a result comes by one connection."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large begins at a megabyte, and each connection is too slow."""
    monkeypatch.setattr(ranges, "LARGE", MIB)
    monkeypatch.setattr(ranges, "LEAST", MIB // 4)
    monkeypatch.setattr(ranges, "WINDOW", 0.0)
    monkeypatch.setattr(ranges, "FAST", 1 << 60)
    monkeypatch.setattr(ranges, "STALL_TIMEOUT", 0.3)


class Shop:
    """A store that has one object and knows ranges; `spoil` changes what it answers."""

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
    """The rest is asked for by ranges of one object, each by a connection of its own, on the same file."""
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
def test_as_many_as_one_wants(
    connect: Connect, server: FaultyServer, target: Path, number: int
) -> None:
    """`max_connections` is the most that are open at once; 1 asks once."""
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
def test_no_number(connect: Connect, server: FaultyServer, target: Path, number: Any) -> None:
    """What is no number of connections is said before anything is sent."""
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
    """Without a strong validator, or of a store that gives no ranges, it comes by one connection."""
    server.on("/result", Shop(**headers))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert len(server.requests) == 1


def test_what_is_small(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not above the threshold comes by one connection."""
    monkeypatch.setattr(ranges, "LARGE", len(BODY))
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert len(server.requests) == 1


def test_what_is_fast(
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


def test_the_digest_is_of_the_whole(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A digest is checked over all that came, by whichever connection."""
    server.on("/result", Shop(**digest(BODY)))
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_the_wrong_digest(connect: Connect, server: FaultyServer, target: Path) -> None:
    """A part that is not what was promised makes nothing of it worth keeping."""

    def damaged(_: int, reply: Reply) -> Reply:
        return replace(reply, body=bytes(len(reply.body)))

    server.on("/result", Shop(spoil=damaged, first=slowly, **digest(BODY)))
    with pytest.raises(IntegrityError, match="sha256"):
        connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_untouched(target)


def another_range(reply: Reply) -> Reply:
    """One byte later than what was asked for."""
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
def test_a_store_that_gives_nothing_to_others(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """Whatever the others are answered: the first connection goes on to the end, without a retry."""
    shop = Shop(spoil=lambda _, reply: REFUSALS[name](reply))
    server.on("/result", shop)
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1
    assert shop.parts <= 6


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_that_gives_nothing_to_one_of_them(
    connect: Connect, server: FaultyServer, target: Path, name: str
) -> None:
    """What one of them does not get, another one brings."""
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
    """One connection that breaks, or says nothing more, in the middle: the others bring the rest."""

    def spoilt(number: int, reply: Reply) -> Reply:
        cut = len(reply.body) // 3
        return replace(reply, cut=cut, after=after) if number == place else reply

    server.on("/result", Shop(spoil=spoilt))
    with no_hang():
        connect(server, resilience=TWICE, timeout=2 * HANG).runs.download(result_of(server), target)
    assert_saved(target, BODY)


@pytest.mark.parametrize("after", ["close", "reset", "stall"])
def test_the_first_ends(connect: Connect, server: FaultyServer, target: Path, after: Any) -> None:
    """The first connection may break as well: it is one of several by then."""
    first = Shop(first=lambda reply: replace(reply, cut=len(reply.body) // 8, after=after))
    server.on("/result", first)
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1


def test_all_end(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Where all break, again and again, what they brought earns more attempts, and is kept."""
    shop = Shop(
        spoil=lambda _, reply: replace(reply, cut=200_000, after="reset"),
        first=lambda reply: replace(reply, cut=2 * MIB, after="reset"),
    )
    server.on("/result", shop)
    connect(server, resilience=TWICE).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert plain(server) == 1


def test_changed_in_the_middle(connect: Connect, server: FaultyServer, target: Path) -> None:
    """Nothing is put together from two objects: it is fetched anew, or that is what is said."""
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
    """Who was answered before the URL expired goes on; where that is not enough, it is said."""

    def expired(number: int, reply: Reply) -> Reply:
        if number >= 3:
            return Reply(b"Request has expired", 403)
        return replace(reply, cut=100_000, after="reset")

    server.on("/result", Shop(spoil=expired, first=slowly))
    with pytest.raises(ResultExpiredError):
        connect(server, resilience=TWICE, timeout=1.0).runs.download(result_of(server), target)
    assert_untouched(target)


def test_the_url_is_asked_for_at_the_beginning(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """A URL that expires while all are at work does not matter: no more is asked for."""

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
def test_a_system_that_cannot(
    connect: Connect, server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Where nothing can be reserved, or written at a place, it comes all the same."""
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
    """What a helper cannot write is an error of the disk, and leaves the old file."""
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
    """`on_progress` grows, comes from one thread, at most ten times a second, and last with everything."""
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


def test_nobody_is_left(connect: Connect, server: FaultyServer, target: Path) -> None:
    """When it is there, no thread is at work, and no connection of a helper is open."""
    server.on("/result", Shop())
    client = connect(server)
    client.runs.download(result_of(server), target)
    assert at_work() == []
    client.close()
    assert server.open_connections() == 0


@pytest.mark.parametrize(("limit", "spared"), [(1, 0), (2, 0), (3, 1), (4, 1), (9, 4), (None, 9)])
def test_few_connections(limit: int | None, spared: int) -> None:
    """Of all connections of a client, less than half help: what has none yet finds one, too."""
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
    """Where no connection can be spared, it comes by one."""
    monkeypatch.setattr(HTTPClient, "spare_permits", lambda *_: [])
    server.on("/result", Shop())
    connect(server).runs.download(result_of(server), target)
    assert_saved(target, BODY)
    assert len(server.requests) == 1


# Going on


@pytest.fixture
def interrupted(connect: Connect, server: FaultyServer, target: Path) -> Shop:
    """What several connections left, with gaps, and a store that is well again."""
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
def test_the_clock_cannot_be_stopped(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop, number: int
) -> None:
    """The next download asks for the gaps alone, by one connection or several, and checks the whole."""
    connect(server).runs.download(result_of(server), target, max_connections=number)
    assert_saved(target, BODY)
    assert plain(server) == 0
    asked = [r.headers["range"].removeprefix("bytes=").split("-") for r in server.seen("/result")]
    size = sum(int(end or len(BODY) - 1) + 1 - int(start) for start, end in asked)
    assert number > 1 or size <= len(BODY) - 900_000


def test_what_was_kept_is_of_another_object(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """Where the object has changed since, all of it is fetched anew."""
    interrupted.body, interrupted.etag, interrupted._more = BODY[::-1], '"2"', {}
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY[::-1])


def test_what_was_kept_and_a_store_without_ranges(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """A store that knows no ranges any more gives the whole."""
    server.on("/result", Reply(BODY, 200, {"ETag": '"1"'}))
    connect(server, resilience=ONCE).runs.download(result_of(server), target)
    assert_saved(target, BODY)


def test_damage_to_what_was_kept(
    connect: Connect, server: FaultyServer, target: Path, interrupted: Shop
) -> None:
    """A byte of a part that is another one by now is noticed, and all is fetched anew."""
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


def test_an_async_client_of_the_users(server: FaultyServer, target: Path) -> None:
    """Through it, a result comes by one connection."""
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


def test_no_secret_of_a_helper(
    connect: Connect, server: FaultyServer, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a store repeats of a URL that it redirects a helper to is masked."""
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
    """Where nobody answers a helper, the first connection goes on; the helper is not waited for."""
    server.on("/result", Shop(spoil=lambda _, __: STALL))
    with no_hang():
        connect(server, timeout=2 * HANG).runs.download(result_of(server), target)
    assert_saved(target, BODY)
