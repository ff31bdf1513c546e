"""A download that is interrupted at any moment and resumed by the next one has the exact bytes."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

import dcipher._results.downloads.files.part_file
import dcipher._results.downloads.transfers.transfer
from dcipher import AsyncDcipher, Dcipher
from tests.conftest import KEY
from tests.results.downloads.stores import BODY, MIB, result_of, store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from tests.faulty import FaultyServer


class Interrupt:
    """Raises `KeyboardInterrupt` once, where the n-th function of the download returns, as Ctrl-C may."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "return" or not frame.f_code.co_filename.endswith("/downloads/download.py"):
            return
        self._left -= 1
        if self._left == 0:
            sys.setprofile(None)
            self.came = True
            raise KeyboardInterrupt


def _interrupted_and_finished(server: FaultyServer, target: Path, at: int) -> bool | None:
    """Returns whether the bytes are right in the end; `None` if there are fewer moments than `at`."""
    interrupt = Interrupt(at)
    with Dcipher(api_key=KEY, base_url=server.url) as client:
        sys.setprofile(interrupt)
        try:
            client.runs.download(result_of(server), target)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        if not interrupt.came:
            return None
        client.runs.download(result_of(server), target)
    return target.read_bytes() == BODY


# A connection that is interrupted before anybody holds it is left to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.thorough
def test_an_interruption_at_any_moment(server: FaultyServer, tmp_path: Path) -> None:
    """After Ctrl-C at any moment, the next download resumes at the right byte."""
    server.on("/result", store(BODY))
    wrong = [
        at
        for at in range(1, 400, 3)
        if _interrupted_and_finished(server, tmp_path / f"{at}.bin", at) is False
    ]
    assert not wrong, f"wrong bytes after an interruption at the moments {wrong}"


def test_a_cancellation_while_the_disk_is_slow(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled while its part is synced leaves a part that can be resumed."""
    server.on("/result", store(BODY * 2))
    monkeypatch.setattr(
        dcipher._results.downloads.transfers.transfer, "KEPT_EVERY", 2 * MIB
    )  # as if it were larger
    asyncio.run(_cancelled_and_finished(server, tmp_path / "result.bin", monkeypatch))
    assert (tmp_path / "result.bin").read_bytes() == BODY * 2


async def _cancelled_and_finished(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync: Callable[[int], None] = dcipher._results.downloads.files.part_file._sync_data
    loop = asyncio.get_running_loop()
    run = result_of(server)

    def slowly(descriptor: int) -> None:
        monkeypatch.setattr(dcipher._results.downloads.files.part_file, "_sync_data", sync)
        loop.call_soon_threadsafe(task.cancel)
        time.sleep(0.3)
        sync(descriptor)

    async with (
        httpx.AsyncClient() as given,
        AsyncDcipher(api_key=KEY, base_url=server.url, http_client=given) as client,
    ):
        monkeypatch.setattr(dcipher._results.downloads.files.part_file, "_sync_data", slowly)
        task = asyncio.ensure_future(client.runs.download(run, target))
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.runs.download(run, target)
