"""The iterables that a client accepts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from typing_extensions import TypeIs

from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

__all__ = ["async_is_streamed", "is_streamed"]


def async_is_streamed(rows: object) -> TypeIs[AsyncIterable[object]]:
    """Returns whether these are iterated over on the event loop."""
    return isinstance(rows, AsyncIterable)


def is_streamed(rows: object) -> TypeIs[Iterable[object]]:
    """Returns False: this client has no event loop. Raises `InvalidParamsError` for an async iterable."""
    if isinstance(rows, AsyncIterable):
        raise with_hint(
            InvalidParamsError("rows is an async iterator."),
            "Pass a plain iterator, or use AsyncDcipher.",
        )
    return False
