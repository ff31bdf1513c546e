"""Batches of the async client on an event loop: abandoned, cancelled, beside other tasks."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dcipher import AsyncDcipher
from dcipher._batch.journal.store import Journal
from tests.conftest import KEY, QUICK
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dcipher.emulator import Emulator

pytestmark = pytest.mark.usefixtures("_quick")

BACKENDS = ["asyncio", "trio"]


def client(emulator: Emulator) -> AsyncDcipher:
    return AsyncDcipher(KEY, base_url=emulator.url, resilience=QUICK)


def is_free(journal: Path) -> bool:
    """Whether nobody has the journal any more."""
    Journal(journal).close()
    return True


@pytest.mark.parametrize("backend", BACKENDS)
def test_to_the_end(emulator: Emulator, backend: str) -> None:
    """A batch runs on either event loop, beside whatever else runs there."""

    async def main() -> list[int]:
        seen: list[int] = []
        async with client(emulator) as dcipher, anyio.create_task_group() as group:

            async def other() -> None:
                [outcome] = [
                    found async for found in dcipher.flows.map("shout", [{"text": "other"}])
                ]
                seen.append(outcome.index + 100)

            group.start_soon(other)
            async for outcome in dcipher.flows.map("shout", [{"text": str(n)} for n in range(8)]):
                with anyio.fail_after(30):  # a scope that begins and ends in the loop
                    await anyio.lowlevel.checkpoint()
                seen.append(outcome.index)
        return sorted(seen)

    assert anyio.run(main, backend=backend) == [*range(8), 100]


@pytest.mark.parametrize("backend", BACKENDS)
def test_left_early(emulator: Emulator, tmp_path: Path, backend: str) -> None:
    """A loop that is left early ends the batch: its journal is free, and the next one resumes."""
    journal = tmp_path / "batch.db"
    rows = [{"id": n, "text": "a"} for n in range(30)]

    async def main() -> None:
        async with client(emulator) as dcipher:
            outcomes = aiter(
                dcipher.flows.map("shout", rows, key="id", journal=journal, in_flight=2)
            )
            async for _ in outcomes:
                break
            await outcomes.aclose()
            assert is_free(journal)
            assert len(emulator.runs) < 30
            report = await dcipher.flows.map("shout", rows, key="id", journal=journal).run()
            assert report.done == 30

    anyio.run(main, backend=backend)
    assert len(emulator.runs) == 30


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelled(emulator: Emulator, tmp_path: Path, backend: str) -> None:
    """A batch that is cancelled ends; what was started goes on, and is waited for by the next call."""
    journal = tmp_path / "batch.db"
    rows = [{"id": n} for n in range(3)]

    async def main() -> None:
        async with client(emulator) as dcipher:
            with anyio.CancelScope() as scope:

                async def cancel() -> None:
                    assert await anyio.to_thread.run_sync(until, lambda: len(emulator.runs) == 3)
                    scope.cancel()

                async with anyio.create_task_group() as group:
                    group.start_soon(cancel)
                    await dcipher.flows.map("slow", rows, key="id", journal=journal).run()
            assert scope.cancelled_caught
            assert is_free(journal)
            with anyio.fail_after(HANG / 2):  # the runs of the slow flow take a second
                report = await dcipher.flows.map("slow", rows, key="id", journal=journal).run()
            assert (report.done, report.starts) == (3, 0)

    anyio.run(main, backend=backend)
    assert len(emulator.runs) == 3


def test_cancelled_natively(emulator: Emulator, tmp_path: Path) -> None:
    """So does one whose task asyncio cancels, as at Ctrl-C; it says how to go on."""
    journal = tmp_path / "batch.db"

    async def main() -> None:
        async with client(emulator) as dcipher:
            task = asyncio.ensure_future(
                dcipher.flows.map("slow", [{"id": 1}], key="id", journal=journal).run()
            )
            assert await asyncio.to_thread(until, lambda: emulator.runs)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            if sys.version_info >= (3, 11):  # before, asyncio makes a new one
                assert "run the same line again" in "".join(caught.value.__notes__)
            assert is_free(journal)

    asyncio.run(main())


def test_an_input_that_never_comes(emulator: Emulator) -> None:
    """`stop` ends a batch whose input waits for its next row."""

    async def waiting() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "first"}
        await anyio.sleep_forever()

    async def main() -> None:
        async with client(emulator) as dcipher:
            batch = dcipher.flows.map("shout", waiting())
            async for outcome in batch:
                assert outcome.status == "done"
                batch.stop()
            assert batch.report.stopped

    anyio.run(main)


def test_no_thread_remains(emulator: Emulator) -> None:
    """After a batch none of its threads is left."""

    async def main() -> None:
        async with client(emulator) as dcipher:
            await dcipher.flows.map("shout", iter([{"text": "a"}])).run()

    anyio.run(main)
    gc.collect()

    def left() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name in {"dcipher rows", "dcipher batch"}]

    assert until(lambda: not left())
    assert json.dumps(left()) == "[]"
