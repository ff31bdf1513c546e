"""A property that is computed once for each object, without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used as a decorator, as `property` is
    """Computes a property at its first read, and stores it in the object.

    `functools.cached_property` holds one lock for all objects before Python 3.12: what one object
    computes, all others wait for, and a child that is forked during that waits forever. Here, two
    threads that read at once may both compute the value.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name: str = compute.__name__
        self.__doc__: str | None = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object, owner: type) -> T | Self:
        if instance is None:
            return self
        # Not a data descriptor: from now on, the value in the object's dict takes precedence.
        value = vars(instance)[self._name] = self._compute(instance)
        return value
