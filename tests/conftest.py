"""Fixtures for the clients: both clients with one interface, an emulator, and a faulty server."""

from __future__ import annotations

import inspect
import signal
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from zlib import crc32

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings

# Appended, so that an installed dcipher still comes before the source.
sys.path.append(str(Path(__file__).parents[1]))

from dcipher import AsyncBatch, AsyncDcipher, AsyncRecords, Dcipher, Resilience
from tests.faulty import FaultyServer, json_reply

# What needs the extras `emulator` and `fastapi` is left out where they are not installed.
collect_ignore_glob = [] if find_spec("fastapi") else ["emulator/*", "fastapi/*"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal
    from typing_extensions import Self

    from dcipher import BatchReport
    from dcipher.emulator import Emulator

    Connect: TypeAlias = Callable[..., Any]
    Kind: TypeAlias = Literal["sync", "async"]

# A shell's background job, and what `nohup` starts, ignore signals, and so would the programs of the tests.
for number in (
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)

# How long a case takes says something of the machine, which has other work, too.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

KEY = "emu_canary-key-0123456789"
QUICK = Resilience(backoff_initial=0.002, backoff_max=0.01)


class Blocking:
    """An async object as a plain one: coroutines are awaited in the portal's event loop."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, "aclose" if name == "close" else name)
        if inspect.ismethod(value):
            return self._blocking(value)
        return Blocking(value, self._portal) if name in {"flows", "runs"} else value

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def on_loop() -> Any:
                result = method(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = self._portal.call(on_loop)
            if isinstance(result, AsyncBatch):
                return BlockingBatch(result, self._portal)
            if isinstance(result, AsyncRecords):
                return BlockingRecords(result, self._portal)
            if inspect.isasyncgen(result):
                return _items(result, self._portal)
            return Blocking(result, self._portal) if isinstance(result, AsyncDcipher) else result

        return call

    def __enter__(self) -> Self:
        self._portal.call(self._target.__aenter__)
        return self

    def __exit__(self, *exc: object) -> None:
        self._portal.call(self._target.__aexit__, *exc)

    def __repr__(self) -> str:
        return repr(self._target)


def _items(source: Any, portal: BlockingPortal) -> Iterator[Any]:
    async def following() -> tuple[Any, ...]:
        async for item in source:
            return (item,)
        return ()

    try:
        while found := portal.call(following):
            yield found[0]
    finally:
        portal.call(source.aclose)


class BlockingBatch:
    """An `AsyncBatch` as a `Batch` is."""

    def __init__(self, batch: AsyncBatch[Any], portal: BlockingPortal) -> None:
        self._batch = batch
        self._portal = portal

    def __iter__(self) -> Iterator[Any]:
        return _items(aiter(self._batch), self._portal)

    def run(self) -> BatchReport:
        return self._portal.call(self._batch.run)

    def stop(self) -> None:
        self._portal.call(self._batch.stop)

    @property
    def report(self) -> BatchReport:
        return self._batch.report


class BlockingRecords:
    """`AsyncRecords` as `Records` are."""

    def __init__(self, records: AsyncRecords[Any], portal: BlockingPortal) -> None:
        self._records = records
        self._portal = portal
        self.rejects = records.rejects

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        async def following() -> tuple[Any, ...]:
            async for item in self._records:
                return (item,)
            return ()

        for item in self._portal.call(following):
            return item
        raise StopIteration

    def close(self) -> None:
        self._portal.call(self._records.aclose)

    def __enter__(self) -> Self:
        self._portal.call(self._records.__aenter__)
        return self

    def __exit__(self, *exc: object) -> None:
        self._portal.call(self._records.__aexit__, *exc)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sample",
        type=int,
        default=1,
        metavar="N",
        help="of each test, run one of its first two cases and every Nth",
    )
    parser.addoption("--rest", action="store_true", help="run what `--sample` leaves out instead")
    parser.addoption(
        "--half",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="run one half of the tests, always the same; the other half has the other number",
    )


UNCOVERED = (
    "tests/docs/",
    "tests/fuzz/",
    "tests/scripts/",
    "tests/client/test_leaks.py",
)
"""Tests of much CPU time, whose lines other tests cover: they are in the rest, not in the sample with coverage."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the cases outside of the sample: the same each time, on each worker."""
    every, rest = config.getoption("sample"), config.getoption("rest")
    half = config.getoption("half")
    uncovered = UNCOVERED if rest or config.getoption("cov_source", None) else ()
    tests = [item.nodeid.partition("[")[0] for item in items]
    counts, seen = Counter(tests), Counter[str]()
    kept, left = [], []
    for item, test in zip(items, tests, strict=True):
        # Of one test the blocking client's case, of another the async one's.
        number = crc32(test.encode())
        one = number % min(2, counts[test])
        chosen = seen[test] == one or seen[test] % every == every - 1
        chosen &= not test.startswith(uncovered)
        chosen &= not half or number // 2 % 2 == half - 1
        (kept if chosen is not rest else left).append(item)
        seen[test] += 1
    if left:
        items[:] = kept
        config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with anyio.from_thread.start_blocking_portal("asyncio") as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which of the two clients a test is about."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def construct(kind: Kind, portal: BlockingPortal) -> Callable[..., Any]:
    """Construct a client of either kind, with exactly these arguments; the test closes it."""

    def make(*args: Any, **kwargs: Any) -> Any:
        if kind == "sync":
            return Dcipher(*args, **kwargs)
        return Blocking(AsyncDcipher(*args, **kwargs), portal)

    return make


@pytest.fixture
def connect(construct: Callable[..., Any]) -> Iterator[Connect]:
    """Connect a client of either kind to a server; quick retries, closed at the end."""
    clients: list[Any] = []

    def make(server: Any = None, **kwargs: Any) -> Any:
        key = getattr(server, "api_key", KEY)
        defaults = {"api_key": key, "resilience": QUICK, "timeout": 10.0}
        if server is not None:
            defaults["base_url"] = server.url
        clients.append(construct(**{**defaults, **kwargs}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def api(server: FaultyServer) -> FaultyServer:
    """A server that plays a healthy API: flow `f`, run `t`, one result of 11 bytes."""
    started = (
        f'{{"taskId": "t", "signedResponseURL": "{server.url}/result?Signature=canary-signature"}}'
    )
    server.on("/flows/f", json_reply('{"id": "f", "name": "F"}'))
    server.on("/flows/f/run", json_reply(started))
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/result", json_reply('{"text": 1}', ETag='"1"'))
    return server


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for all tests: starting one takes longer than most tests."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from dcipher.emulator import Emulator

    with Emulator(queue_time=0.0, api_key=KEY) as running:

        @running.flow("shout", name="Shout")
        def shout(text: str = "hi", times: int = 1) -> dict[str, str]:
            return {"text": text.upper() * times}

        @running.flow("rows")
        def rows(count: int = 3) -> list[dict[str, int]]:
            return [{"n": n} for n in range(count)]

        @running.flow("three", outputs=3)
        def three() -> tuple[str, str, str]:
            return ("zero", "one", "two")

        @running.flow("bytes")
        def many(size: int) -> bytes:
            return (bytes(range(256)) * (size // 256 + 1))[:size]

        @running.flow("fails")
        def fails() -> None:
            raise ValueError("the corpus is empty")

        @running.flow("slow", duration=0.9)
        def slow() -> str:
            return "done"

        yield running


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """An emulator without a past."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own key, or proxy, has no part in a test."""
    import os

    for name in list(os.environ):
        if name.upper().startswith("DCIPHER_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
