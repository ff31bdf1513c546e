"""Where 0.3.5 had its blocking client: an import of a name raises an error with its replacement."""

from __future__ import annotations

from dcipher._legacy.replacements import legacy_name

__all__: list[str] = []


def __getattr__(name: str) -> object:
    raise legacy_name(__name__, name)
