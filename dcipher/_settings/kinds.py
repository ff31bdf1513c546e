"""Checks the type of arguments."""

from __future__ import annotations

from dcipher.errors import ConfigurationError, DcipherError

__all__ = ["check_flag", "check_kind"]


def check_kind(name: str, value: object, kind: type, called: str) -> None:
    """Raises `ConfigurationError`, without the value, unless it is `None` or of the type `kind`."""
    if value is not None and not isinstance(value, kind):
        other = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise ConfigurationError(f"{name} must be {called}, not {other}.")


def check_flag(name: str, value: object, error: type[DcipherError] = ConfigurationError) -> None:
    """Raises `error` unless it is True or False: the texts "false" and "no" count as true."""
    if not isinstance(value, bool):
        raise error(f"{name} must be True or False, not {type(value).__name__}.")
