"""Where 0.3.5 had its async client: an import of a name raises an error with its replacement."""

from __future__ import annotations

from dcipher._legacy.replacements import legacy_name

# So that `from … import *` raises it, too.
__all__ = ["*"]  # noqa: F822  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    raise legacy_name(__name__, name)
