"""Libraries that an extra brings, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["library"]


def library(name: str, extra: str) -> Any:
    """The module `name`, or an ImportError that says which extra brings it.

    It is Any: pyarrow has no types of its own, and pandas has its types elsewhere.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"This needs {error.name or name}: pip install 'dcipher[{extra}]'", name=error.name
        ) from error
