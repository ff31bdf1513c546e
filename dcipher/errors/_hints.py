"""Advice for errors, as data: for Python, and for the command line."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

__all__ = ["Hint", "add_note", "with_hint", "without_hint"]


class Hint(str):
    """Advice for an error. It is a part of the message of the error."""

    __slots__: tuple[str, ...] = ("cli",)

    cli: str
    """The same for the command line. Empty: the command line has its own advice."""

    def __new__(cls, text: str = "", cli: str | None = None) -> Hint:  # noqa: PYI034 - no subclasses
        """Takes the text, and another one for the command line where that differs."""
        hint = super().__new__(cls, text)
        hint.cli = text if cli is None else cli
        return hint

    def __reduce__(self) -> tuple[Any, ...]:
        return (Hint, (str(self), self.cli))


class _Hinted(Protocol):
    message: str
    hint: Hint
    args: tuple[Any, ...]


E = TypeVar("E", bound=_Hinted)


def with_hint(error: E, hint: str, cli: str | None = None) -> E:
    """Adds advice to an error whose message says only what happened. Returns the error."""
    error.hint = Hint(hint, cli)
    error.message = f"{error.message} {hint}".strip()
    error.args = (error.message, *error.args[1:])
    return error


def without_hint(error: _Hinted) -> str:
    """Returns the message of an error without its hint."""
    return error.message.removesuffix(error.hint).rstrip()


def add_note(error: BaseException, text: str) -> None:
    """Adds a note (PEP 678), as `add_note` does from Python 3.11 on."""
    notes: list[str] = vars(error).setdefault("__notes__", [])
    if text not in notes:
        notes.append(text)
