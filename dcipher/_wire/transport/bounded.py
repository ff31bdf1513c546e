"""Calls a function within the time limit of a request, async and sync side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from typing_extensions import ParamSpec

    from dcipher._wire.transport.deadlines import Limit

    P = ParamSpec("P")

__all__ = ["async_bounded", "async_following", "bounded", "following"]


T = TypeVar("T")


async def async_bounded(
    limit: Limit, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `function` gives. Raises TimeoutError when it takes longer than the limit."""
    from anyio import CancelScope, current_time

    with CancelScope(deadline=current_time() + limit.left) as scope, limit():

        def begun() -> None:
            scope.deadline = current_time() + limit.left

        limit.on_begin = begun
        try:
            return await function(*args, **kwargs)
        finally:
            limit.on_begin = None  # it knows its event loop, which is not to be kept
    # Not `fail_after`: it asks whether the deadline has passed, and one that was moved in the turn of
    # the loop in which it came has not. What has cancelled cannot be taken back.
    raise TimeoutError


def bounded(limit: Limit, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` gives. What it waits for on the network times out when it takes longer."""
    with limit():
        return function(*args, **kwargs)


async def async_following(iterator: AsyncIterator[T], limit: Limit) -> T | None:
    """The next of them within the limit; `None` at the end."""
    return await async_bounded(limit, anext, iterator, None)


def following(iterator: Iterator[T], limit: Limit) -> T | None:
    """The next of them within the limit; `None` at the end."""
    return bounded(limit, next, iterator, None)
