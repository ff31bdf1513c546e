"""A function that runs beside its caller, also if the caller is interrupted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dcipher import Dcipher
from dcipher._concurrency.tasks.background import AsyncBackground, Background
from dcipher.emulator import Emulator
from tests.conftest import KEY

if TYPE_CHECKING:
    from pathlib import Path


def test_waited_for_before_it_begins_it_never_does() -> None:
    began: list[int] = []
    background = Background(lambda: began.append(1), "test")
    background.wait()
    background.start()
    background.wait()
    assert not began


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_one_neither(backend: str) -> None:
    began: list[int] = []

    async def function() -> None:
        began.append(1)

    async def main() -> None:
        background = AsyncBackground(function, "test")
        background.start()
        await background.wait()  # before its first turn
        await anyio.wait_all_tasks_blocked()

    anyio.run(main, backend=backend)
    assert not began


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_that_has_begun_is_waited_for(backend: str) -> None:
    ended: list[int] = []

    async def main() -> None:
        begun = anyio.Event()

        async def function() -> None:
            begun.set()
            await anyio.wait_all_tasks_blocked()
            ended.append(1)

        background = AsyncBackground(function, "test")
        background.start()
        await begun.wait()
        await background.wait()
        assert ended == [1]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("is_started", [True, False])
def test_ctrl_c_while_its_thread_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_started: bool
) -> None:
    """Ctrl-C in `Thread.start`, before or after the thread exists: no thread continues unnoticed."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name != "dcipher batch":
            start(thread)
            return
        if is_started:
            start(thread)
        raise KeyboardInterrupt

    rows: list[dict[str, Any]] = [{"id": n, "text": "t"} for n in range(3)]
    with (
        Emulator(api_key=KEY, queue_time=0.0) as emulator,
        Dcipher(KEY, base_url=emulator.url) as client,
    ):
        emulator.flow("shout")(lambda text: text)
        batch = client.flows.map("shout", rows, key="id", journal=tmp_path / "batch.db")
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(iter(batch))
        assert not [thread for thread in threading.enumerate() if thread.name == "dcipher batch"]
        started = len(emulator.runs)
        outcomes = list(client.flows.map("shout", rows, key="id", journal=tmp_path / "batch.db"))
        assert {outcome.key for outcome in outcomes} == {"0", "1", "2"}
        assert len(emulator.runs) - started <= len(rows)
