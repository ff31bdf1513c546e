"""Calls what cannot be told how long it may take: it is cancelled, where there is something to cancel."""

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
    """What `function` returns. Raises TimeoutError when it takes longer."""
    if seconds == math.inf:
        return await function(*args, **kwargs)
    from anyio import move_on_after

    with move_on_after(seconds):
        return await function(*args, **kwargs)
    # Only what was cancelled comes here: what was done by then is returned.
    raise TimeoutError


def within(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns: a thread that waits cannot be cancelled."""
    _ = seconds
    return function(*args, **kwargs)
