"""Where 0.3.5 had its errors: each name says what to write instead."""

from __future__ import annotations

from ._former import former_name

__all__: list[str] = []


def __getattr__(name: str) -> object:
    raise former_name(__name__, name)
