"""Libraries that are imported at their first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["library"]


def library(name: str, extra: str) -> Any:
    """Returns the module `name`. Raises an ImportError with the extra that installs it.

    It is Any: pyarrow has no types, and those of pandas are in another package.
    """
    try:
        return import_module(name)
    except ImportError as error:
        from .installation import install

        raise ImportError(
            f"This needs {error.name or name}: {install(extra)}", name=error.name
        ) from error
