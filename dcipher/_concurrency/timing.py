"""Calls a function with a timeout: an async one is cancelled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["async_within", "within"]

T = TypeVar("T")


async def async_within(
    seconds: float, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Returns the result of `function`. Raises TimeoutError if it takes longer."""
    if seconds == math.inf:
        return await function(*args, **kwargs)
    from anyio import move_on_after

    with move_on_after(seconds):
        return await function(*args, **kwargs)
    # Reached only after a cancellation: a result that was ready by then is returned.
    raise TimeoutError


def within(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns the result of `function`: a waiting thread cannot be cancelled."""
    _ = seconds
    return function(*args, **kwargs)
