"""`@pytest.mark.dcipher(…)`: what a test, its class and its module say of the emulator."""

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
    """For the emulator."""
    unmatched: str
    unconsumed: str


def options(node: pytest.Item) -> Options:
    """What the marks of a test say together, the nearest first; a wrong one fails it."""
    merged: dict[str, Any] = {}
    known = (*_CHECKS, *inspect.signature(Emulator).parameters)
    for mark in reversed(list(node.iter_markers(NAME))):
        _check(mark, known)
        merged.update(mark.kwargs)
    checks = {name: merged.pop(name, _CHOICES[0]) for name in _CHECKS}
    for name, value in checks.items():
        if value not in _CHOICES:
            refuse(f"{name} is 'fail' or 'allow', not {value!r}.")
    return Options(merged, **checks)


def refuse(message: str) -> NoReturn:
    """Fail with what is wrong with a mark, without a traceback: it has no line of the test's."""
    pytest.fail(f"@pytest.mark.{NAME}: {message}", pytrace=False)


def _check(mark: pytest.Mark, known: tuple[str, ...]) -> None:
    if mark.args:
        refuse(f"it takes keyword arguments only, not {', '.join(map(repr, mark.args))}.")
    for name in mark.kwargs:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            refuse(f"there is no argument {name!r}; {hint}")
