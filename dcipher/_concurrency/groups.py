"""Unpacks exception groups."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


__all__ = ["ungrouped"]


@contextmanager
def ungrouped() -> Generator[None]:
    """Returns the exception of a group, if all exceptions in it are of one kind.

    trio raises a group for any exception of a nursery, also for Ctrl-C and a cancellation.
    """
    try:
        yield
    except BaseException as error:
        leaves = _leaves(error)
        if leaves[0] is error or len({type(leaf) for leaf in leaves}) > 1:
            raise
        raise leaves[0] from None


def _leaves(error: BaseException) -> list[BaseException]:
    within: Sequence[BaseException] | None = getattr(error, "exceptions", None)
    return [error] if within is None else [leaf for inner in within for leaf in _leaves(inner)]
