"""Calls a function of the user: in the async client, it may be async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction, signature
from typing import Any, TypeAlias, TypeVar

from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint
from dcipher.models import Run

__all__ = [
    "AsyncAttempt",
    "AsyncProgressCallback",
    "AsyncStatusCallback",
    "Attempt",
    "ProgressCallback",
    "StatusCallback",
    "async_call_back",
    "async_check_callback",
    "call_back",
    "check_arguments",
    "check_callback",
]


T = TypeVar("T")

AsyncAttempt: TypeAlias = Callable[[], Awaitable[T]]
Attempt: TypeAlias = Callable[[], T]

AsyncStatusCallback: TypeAlias = Callable[[Run], Awaitable[object]] | Callable[[Run], object]
StatusCallback: TypeAlias = Callable[[Run], object]

AsyncProgressCallback: TypeAlias = (
    Callable[[int, int | None], Awaitable[object]] | Callable[[int, int | None], object]
)
ProgressCallback: TypeAlias = Callable[[int, int | None], object]


_ARGUMENTS = {
    "on_status": ("run",),
    "on_progress": ("received", "total"),
    "progress": ("progress",),
}


def check_arguments(name: str, function: Callable[..., object]) -> None:
    """Raises `InvalidParamsError` for a function that takes other arguments than the callback has."""
    arguments = _ARGUMENTS[name]
    try:  # a wrapper may take other arguments than what it wraps
        taken = signature(function, follow_wrapped=False)
    except ValueError:  # some functions of C have none
        return
    try:
        taken.bind(*arguments)
    except TypeError:
        raise InvalidParamsError(
            f"{name} is called with ({', '.join(arguments)}), and takes {taken}."
        ) from None


def async_check_callback(name: str, function: object) -> None:
    """Raises `InvalidParamsError` for a value that cannot be called with the callback's arguments."""
    if function is None:
        return
    if not callable(function):
        raise InvalidParamsError(f"{name} must be a function, not {type(function).__name__}.")
    check_arguments(name, function)


def check_callback(name: str, function: object) -> None:
    """Raises `InvalidParamsError` as the other does, and for an async function."""
    async_check_callback(name, function)
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        raise with_hint(
            InvalidParamsError(f"{name} must not be an async function."),
            "Use AsyncDcipher for that.",
        )


async def async_call_back(function: Callable[..., Any] | None, *args: object) -> None:
    """Calls a callback of the user, if there is one: a function or a coroutine function."""
    if function is not None:
        result = function(*args)
        if isawaitable(result):
            await result


def call_back(function: Callable[..., Any] | None, *args: object) -> None:
    """Calls a callback of the user, if there is one."""
    if function is not None:
        function(*args)
