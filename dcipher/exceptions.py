"""Where 0.3.5 had its errors: those of today are in `dcipher`, and each name says which."""

from __future__ import annotations

from ._former import EXCEPTIONS

__all__: list[str] = []


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    # An ImportError, for `from dcipher.exceptions import …` would hide the words of another one.
    instead = EXCEPTIONS.get(name, name)
    raise ImportError(f"The errors of dcipher are in dcipher itself: import {instead} from there.")
