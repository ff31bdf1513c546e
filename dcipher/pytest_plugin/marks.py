"""`@pytest.mark.dcipher(…)`: options of the emulator on a test, its class and its module."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from dcipher.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Options", "options"]

NAME: Final = "dcipher"
_CHECKS = ("unmatched", "unconsumed")
_CHOICES = ("fail", "allow")


@dataclass(frozen=True, slots=True)
class Options:
    """The marks of a test, merged."""

    arguments: Mapping[str, Any]
    """The arguments of `Emulator`."""
    unmatched: str
    unconsumed: str


def options(node: pytest.Item) -> Options:
    """Returns the merged options of a test's marks; the nearest takes precedence.

    An invalid mark fails the test.
    """
    merged: dict[str, Any] = {}
    known = (*_CHECKS, *inspect.signature(Emulator).parameters)
    for mark in reversed(list(node.iter_markers(NAME))):
        _check(mark, known)
        merged.update(mark.kwargs)
    checks = {name: merged.pop(name, _CHOICES[0]) for name in _CHECKS}
    for name, value in checks.items():
        if value not in _CHOICES:
            refuse(f"{name} must be 'fail' or 'allow', not {value!r}.")
    return Options(merged, **checks)


def refuse(message: str) -> NoReturn:
    """Fails the test for an invalid mark, without a traceback: it would have no line of the test."""
    pytest.fail(f"@pytest.mark.{NAME}: {message}", pytrace=False)


def _check(mark: pytest.Mark, known: tuple[str, ...]) -> None:
    if mark.args:
        refuse(f"it takes keyword arguments only, not {', '.join(map(repr, mark.args))}.")
    for name in mark.kwargs:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The options are {', '.join(known)}."
            refuse(f"unknown option {name!r}. {hint}")
