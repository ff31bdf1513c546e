"""The pytest plugin: fixtures for a local Dcipher service, and for clients of it.

pytest loads it wherever dcipher is installed, so this module imports only pytest; the fixtures
import the rest. `pytest -p no:dcipher` disables it. The fixtures need the extra `emulator`.

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
    """A started `Emulator` for this test. Every `Dcipher()` in the test connects to it.

    It sets `DCIPHER_BASE_URL` and `DCIPHER_API_KEY`. A `.env` file is not read, and the first poll
    of a run comes after 0.05 s instead of 0.5 s. `@pytest.mark.dcipher(…)` on the test, its class
    or its module passes arguments to `Emulator`.

    The test fails if a fault is not consumed, unless the mark has `unconsumed="allow"`. It also
    fails if a request is for a route, flow or run that does not exist, unless the mark has
    `unmatched="allow"`.
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
    """A `Dcipher` client of this test's emulator, closed at the end of the test."""
    from dcipher import Dcipher

    _ = dcipher_emulator
    with Dcipher() as client:
        yield client


@pytest.fixture
def dcipher_async_client(
    dcipher_emulator: dcipher.emulator.Emulator,
) -> Iterator[dcipher.AsyncDcipher]:
    """An `AsyncDcipher` client of this test's emulator, closed at the end of the test.

    It is an ordinary fixture, so it works with any plugin that runs the event loop (anyio,
    pytest-asyncio, pytest-trio), and in a test that calls `asyncio.run` itself.
    """
    from dcipher import AsyncDcipher
    from dcipher.pytest_plugin.surroundings import close

    _ = dcipher_emulator
    client = AsyncDcipher()
    yield client
    close(client)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the mark, for `--strict-markers` and `pytest --markers`."""
    config.addinivalue_line(
        "markers",
        "dcipher(**options): options of the test's emulator: any argument of "
        "dcipher.emulator.Emulator; unmatched='allow': permit requests for a route, flow or run "
        "that does not exist; unconsumed='allow': permit faults that are not consumed",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Rejects an invalid mark when the tests are collected, before any of them has run."""
    if metafunc.definition.get_closest_marker("dcipher") is not None:
        from dcipher.pytest_plugin.marks import options

        _ = options(metafunc.definition)


# Old-style hook wrappers: the plugin is loaded everywhere, also with a pluggy before 1.2, which
# rejects `wrapper=True`.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
    """Fails a test that passed, for unmatched requests and unconsumed faults of its emulator."""
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
    """Adds the requests, runs and faults of the emulator to the report of a failed test."""
    outcome = yield
    watch = item.stash.get(_WATCH, None)
    if watch is not None:
        watch.report(outcome.get_result())
        if call.when == "teardown":
            del item.stash[_WATCH]
