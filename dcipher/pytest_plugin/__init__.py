"""The pytest plugin: a local Dcipher service for a test, and clients of it.

pytest loads it by itself wherever dcipher is installed, so this module imports nothing but pytest;
a fixture imports the rest when it is used. `pytest -p no:dcipher` leaves it out. The emulator
needs the extra `emulator`.

Example:
    ```python
    from dcipher import Dcipher
    from dcipher.emulator import Emulator


    def test_counts_words(dcipher_emulator: Emulator, dcipher_client: Dcipher) -> None:
        dcipher_emulator.flow("65cf2f3e")(lambda text: {"words": len(text.split())})
        run = dcipher_client.flows.run("65cf2f3e", {"text": "rivers flow"})
        assert dcipher_client.runs.read(run, dict[str, int]) == {"words": 2}
    ```
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import dcipher

if TYPE_CHECKING:
    from collections.abc import Generator

    import pluggy

    import dcipher.emulator
    from dcipher.pytest_plugin.watching import Watch

__all__ = ["dcipher_async_client", "dcipher_client", "dcipher_emulator"]

_WATCH: pytest.StashKey[Watch] = pytest.StashKey()


@pytest.fixture
def dcipher_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dcipher.emulator.Emulator]:
    """A started `Emulator`, of this test alone, which every `Dcipher()` in the test finds.

    `@pytest.mark.dcipher(…)` on the test, its class or its module takes the arguments of
    `Emulator`. `DCIPHER_BASE_URL` and `DCIPHER_API_KEY` are set, a `.env` file is not read, and the
    end of a run is looked for after 0.05 s, not 0.5 s.

    The test fails where a fault was not consumed, and where a request asked for a route, a flow or
    a run that is not there, unless the mark has `unconsumed="allow"` or `unmatched="allow"`.
    """
    from dcipher.pytest_plugin.marks import options
    from dcipher.pytest_plugin.surroundings import running, surround
    from dcipher.pytest_plugin.watching import Watch

    chosen = options(request.node)
    with running(chosen.arguments) as emulator:
        watch = request.node.stash[_WATCH] = Watch(emulator, chosen)
        surround(monkeypatch, emulator, api_secret=chosen.arguments.get("api_secret"))
        yield emulator
        watch.end()


@pytest.fixture
def dcipher_client(dcipher_emulator: dcipher.emulator.Emulator) -> Iterator[dcipher.Dcipher]:
    """`Dcipher()` on the emulator of this test, closed at its end."""
    from dcipher import Dcipher

    _ = dcipher_emulator
    with Dcipher() as client:
        yield client


@pytest.fixture
def dcipher_async_client(
    dcipher_emulator: dcipher.emulator.Emulator,
) -> Iterator[dcipher.AsyncDcipher]:
    """`AsyncDcipher()` on the emulator of this test, closed at its end.

    It is a plain fixture, so that it serves a test under whichever plugin runs its event loop
    (anyio's, pytest-asyncio, pytest-trio), and one that calls `asyncio.run` itself.
    """
    from dcipher import AsyncDcipher
    from dcipher.pytest_plugin.surroundings import close

    _ = dcipher_emulator
    client = AsyncDcipher()
    yield client
    close(client)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, for `--strict-markers` and `pytest --markers`."""
    config.addinivalue_line(
        "markers",
        "dcipher(**options): the emulator of the test: any argument of dcipher.emulator.Emulator; "
        "unmatched='allow': requests for what is not there are meant; unconsumed='allow': faults "
        "need not happen",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse a wrong mark when the tests are collected, before any of them has run."""
    if metafunc.definition.get_closest_marker("dcipher") is not None:
        from dcipher.pytest_plugin.marks import options

        _ = options(metafunc.definition)


# Wrappers of the older kind: a plugin that is loaded everywhere must load with an old pluggy, too,
# which refuses `wrapper=True` (new in pluggy 1.2).
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
    """Fail a test that has passed but for what its emulator saw."""
    outcome = yield
    watch = item.stash.get(_WATCH, None)
    if watch is None or outcome.excinfo is not None:
        return
    failure = watch.failure()
    if failure is not None:
        outcome.force_exception(failure)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """Add what happened at the emulator to the report of a test that failed."""
    outcome = yield
    watch = item.stash.get(_WATCH, None)
    if watch is not None:
        watch.report(outcome.get_result())
        if call.when == "teardown":
            del item.stash[_WATCH]
