"""Validates the arguments of an emulator. Errors have the name of an argument, and no secret."""

from __future__ import annotations

import math
import sys

from dcipher._urls.hosts import is_this_machine

__all__ = ["flag", "listening_host", "number", "secret", "whole"]


MOST = sys.float_info.max


def flag(name: str, value: object) -> bool:
    """Returns True or False. Raises TypeError for anything else: the text "false" counts as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}.")
    return value


def number(name: str, value: object, *, least: float = 0.0, above: bool = False) -> float:
    """Returns a finite number from `least` on, or `above` it. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}.")
    # Compared as it is, because a float cannot represent every int.
    if not abs(value) <= MOST or value < least or (above and value == least):
        bound = f"{'more than' if above else 'at least'} {least:g}"
        allowed = "finite" if least == -math.inf else f"{bound}, and finite"
        raise ValueError(f"{name} must be {allowed}, not {value}.")
    return float(value)


def whole(name: str, value: object, *, least: int | None = None, most: int | None = None) -> int:
    """Returns an integer within its limits. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}.")
    if least is not None and value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}.")
    if most is not None and value > most:
        raise ValueError(f"{name} must be {most} or less, not {value}.")
    return value


def secret(name: str, value: object, *, needed: bool) -> str | None:
    """Returns a non-empty text, or None. Raises TypeError or ValueError."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}.")
    if needed and not value:
        raise ValueError(f"require_signature needs an {name}.")
    if value == "":
        raise ValueError(f"{name} is empty.")
    return value


def listening_host(host: object, *, allow_remote: bool) -> str:
    """Returns a host to listen on: loopback, unless others may connect. Raises TypeError or ValueError."""
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {type(host).__name__}.")
    if not (allow_remote or is_this_machine(host)):
        raise ValueError(
            f"The host {host!r} is not a loopback address. Pass allow_remote=True if others may connect."
        )
    return host
