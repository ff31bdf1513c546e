"""Event loops that continue when a test tool stops the clock of the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, final

from typing_extensions import override

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run"]

T = TypeVar("T")


@final
class _Loop(asyncio.SelectorEventLoop):
    """An event loop with our clock. asyncio reads `time.monotonic`, which a test tool may have stopped."""

    @override
    def time(self) -> float:
        return monotonic()


def run(main: Coroutine[object, object, T]) -> T:
    """Runs a coroutine, as `asyncio.run` does, on its own loop."""
    # Not asyncio.Runner, which is new in Python 3.11, nor a policy, which would apply to the process.
    loop = _Loop()
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(main)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                _ = task.cancel()
            _ = loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
