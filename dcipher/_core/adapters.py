"""Pydantic's adapters, kept: building one costs more than validating a row."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import TypeVar, cast

from pydantic import TypeAdapter

__all__ = ["adapter_for"]

T = TypeVar("T")


def adapter_for(type_: type[T]) -> TypeAdapter[T]:
    """The adapter of a type, built once for each of the last 128."""
    try:
        _ = hash(type_)
    except TypeError:  # Annotated with a list, say
        return TypeAdapter(type_)
    # int | str and str | int are equal, and validate "1" differently.
    return cast("TypeAdapter[T]", _cached_adapter(cast("Hashable", type_), repr(type_)))


@lru_cache(maxsize=128)
def _cached_adapter(type_: Hashable, _spelling: str) -> TypeAdapter[object]:
    return TypeAdapter(cast("type[object]", type_))
