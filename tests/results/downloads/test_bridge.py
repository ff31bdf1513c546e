"""Downloads by an async transport of the user: sent on the event loop, and written in a thread."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import httpx
import pytest

from dcipher import AsyncDcipher, Run
from tests.conftest import KEY
from tests.waiting import HANG, at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URL = "https://store.example.com/result.json?X-Amz-Signature=canary"
CHUNK = b"x" * 65_536
CHUNKS = 60  # more than are received ahead, and written at once

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Body(httpx.AsyncByteStream):
    """Chunks, and the tasks that read them; `silent`: it stops in the middle."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.is_silent = anyio.Event()
        self.was_closed = False
        self.tasks: set[int] = set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(CHUNKS):
            if self.silent and number == CHUNKS // 2:
                self.is_silent.set()
                await anyio.sleep_forever()
            self.tasks.add(anyio.get_current_task().id)
            await anyio.lowlevel.checkpoint()
            yield CHUNK

    async def aclose(self) -> None:
        self.was_closed = True


class Transport(httpx.AsyncBaseTransport):
    """Answers every request with the same body."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        length = str(CHUNKS * len(CHUNK))
        return httpx.Response(200, headers={"Content-Length": length}, stream=self.body)


def finished() -> Run:
    outputs = [{"url": URL}]
    told = {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": outputs}
    return Run.model_validate(told)


def test_a_body_is_read_by_one_task(tmp_path: Path, backend: str) -> None:
    """One task reads the complete body, so that a transport can close what it opened."""
    body, target = Body(), tmp_path / "result.bin"

    async def main() -> None:
        async with AsyncDcipher(KEY, transport=Transport(body)) as client:
            await client.runs.download(finished(), target)

    anyio.run(main, backend=backend)
    assert target.read_bytes() == CHUNK * CHUNKS
    assert body.was_closed
    assert len(body.tasks) == 1


def test_a_cancelled_download_closes_its_response(tmp_path: Path, backend: str) -> None:
    """A cancellation ends a silent body: its response is closed, and no thread remains."""
    body = Body(silent=True)

    async def main() -> None:
        async with AsyncDcipher(KEY, transport=Transport(body)) as client:
            with anyio.fail_after(HANG):
                async with anyio.create_task_group() as group:
                    group.start_soon(client.runs.download, finished(), tmp_path / "result.bin")
                    await body.is_silent.wait()
                    group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert body.was_closed
    assert at_work() == []


def test_a_natively_cancelled_download_closes_its_response(tmp_path: Path, backend: str) -> None:
    """Asyncio's own cancellation does the same: the request runs in a task that anyio cancels."""
    if backend == "trio":
        pytest.skip("asyncio's own")
    body = Body(silent=True)

    async def main() -> None:
        async with AsyncDcipher(KEY, transport=Transport(body)) as client:
            call = client.runs.download(finished(), tmp_path / "result.bin")
            task = asyncio.ensure_future(call)
            await body.is_silent.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert body.was_closed
    assert at_work() == []


def test_an_error_of_the_transport_is_raised_in_the_thread(tmp_path: Path, backend: str) -> None:
    """A failure between two chunks is retried like any other, and then reported."""

    class Failing(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield CHUNK
            raise httpx.ReadError("cut off")

    async def main() -> None:
        transport = Transport(Failing())
        async with AsyncDcipher(KEY, transport=transport, max_retries=0) as client:
            with pytest.raises(Exception, match="cut off"):
                await client.runs.download(finished(), tmp_path / "result.bin")

    anyio.run(main, backend=backend)


def test_a_cancellation_between_two_chunks_drops_no_generator(tmp_path: Path, backend: str) -> None:
    """Trio warns of a dropped generator: a cancelled body ends where it waits for the network."""
    body = Body()

    async def main() -> None:
        async with AsyncDcipher(KEY, transport=Transport(body)) as client:
            with anyio.fail_after(HANG):
                async with anyio.create_task_group() as group:
                    is_slow = anyio.Event()

                    async def progress(_done: int, _total: int | None) -> None:
                        is_slow.set()
                        await anyio.sleep_forever()

                    async def download() -> None:
                        path = tmp_path / "result.bin"
                        await client.runs.download(finished(), path, on_progress=progress)

                    group.start_soon(download)
                    await is_slow.wait()
                    await anyio.wait_all_tasks_blocked()
                    group.cancel_scope.cancel()

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        anyio.run(main, backend=backend)
        gc.collect()
    assert [str(one.message) for one in found] == []
    assert body.was_closed
