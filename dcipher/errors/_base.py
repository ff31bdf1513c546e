"""The base class of every error, and the errors of arguments and settings."""

from __future__ import annotations

from typing import Any

from ._hints import Hint

__all__ = ["ConfigurationError", "DcipherError", "InvalidParamsError", "MissingAPIKeyError"]


class DcipherError(Exception):
    """The base class of every error of this package."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What happened, and what to do."""
        self.hint: Hint = Hint()
        """The part of the message that says what to do. Empty if there is none.

        `hint.cli` is the same for the command line.
        """

    def __str__(self) -> str:
        return self.message

    # BaseException pickles by calling the class with `args`, which loses (or cannot rebuild)
    # keyword-only state.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.args, self._state()))

    def _state(self) -> dict[str, Any]:
        return dict(vars(self))


def _restore(cls: type[DcipherError], args: tuple[Any, ...], state: dict[str, Any]) -> DcipherError:
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class ConfigurationError(DcipherError, ValueError):
    """A setting is missing, invalid or unsafe. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """There is no API key in the arguments, the environment or `.env`."""


class InvalidParamsError(DcipherError, ValueError):
    """An argument of a call is invalid. Nothing was sent."""
