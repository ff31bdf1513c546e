"""The limit of concurrent callers: in order, and no permit is lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio
import pytest

from dcipher._concurrency.limiting import AsyncLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def run(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    pytest.importorskip(backend)
    anyio.run(main, backend=backend)


def test_callers_are_served_in_order(backend: str) -> None:
    """Each waits for the one before it, and no more than two are served at a time."""
    served: list[int] = []
    at_once: list[int] = []

    async def main() -> None:
        limiter, active = AsyncLimiter(2), [0]

        async def caller(number: int) -> None:
            permit = await limiter.acquire(None)
            active[0] += 1
            at_once.append(active[0])
            served.append(number)
            await anyio.lowlevel.checkpoint()
            active[0] -= 1
            permit.release()

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(caller, number)
                await anyio.wait_all_tasks_blocked()

    run(backend, main)
    assert served == [*range(20)]
    assert max(at_once) <= 2


def test_a_caller_times_out(backend: str) -> None:
    """It raises TimeoutError, and the permit that is released later is for the next caller."""

    async def main() -> None:
        limiter = AsyncLimiter(1)
        permit = await limiter.acquire(0)
        with pytest.raises(TimeoutError):
            await limiter.acquire(0.01)
        with pytest.raises(TimeoutError):
            await limiter.acquire(0)
        permit.release()
        permit.release()  # does nothing
        again = await limiter.acquire(0)
        with pytest.raises(TimeoutError):
            await limiter.acquire(0.01)
        again.release()

    run(backend, main)


@pytest.mark.parametrize("order", ["release first", "cancel first"])
def test_a_cancelled_caller_keeps_no_permit(backend: str, order: str) -> None:
    """Cancelled in the same turn of the loop in which it would get the permit, it passes it on."""

    async def main() -> None:
        limiter = AsyncLimiter(1)
        permit = await limiter.acquire(None)
        scope = anyio.CancelScope()

        async def cancelled() -> None:
            with scope:
                (await limiter.acquire(None)).release()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            steps = [permit.release, scope.cancel]
            for step in steps if order == "release first" else steps[::-1]:
                step()
        with anyio.fail_after(30):
            (await limiter.acquire(None)).release()

    run(backend, main)


def test_the_next_caller_gets_the_permit_of_one_that_left(backend: str) -> None:
    """Those that timed out or were cancelled while they waited are passed over."""
    served: list[str] = []

    async def main() -> None:
        limiter = AsyncLimiter(1)
        permit = await limiter.acquire(None)
        scope, timed_out = anyio.CancelScope(), anyio.Event()

        async def caller(name: str, patience: float | None) -> None:
            try:
                (await limiter.acquire(patience)).release()
            except TimeoutError:
                served.append(f"{name} timed out")
                timed_out.set()
            else:
                served.append(name)

        async def cancelled() -> None:
            with scope:
                await caller("cancelled", math.inf)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(caller, "first", 0.01)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(caller, "second", None)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await timed_out.wait()
            permit.release()

    run(backend, main)
    assert served == ["first timed out", "second"]
