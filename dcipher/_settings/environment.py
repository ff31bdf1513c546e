"""Reads the places that settings come from: the environment and `.env`.

What the values mean is decided in `checks.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .checks import CHECKS
from .dotenv import dotenv_variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


__all__ = ["dotenv", "ours"]


_PREFIX = "dcipher_"


def ours(variables: Mapping[str, str | None]) -> dict[str, object]:
    """Name of a setting → value, for the variables that are ours, in any case, as pydantic-settings reads them."""
    lowered = {name.lower(): value for name, value in variables.items()}
    return {name: lowered.get(_PREFIX + name) for name in CHECKS}


def dotenv(path: Path) -> dict[str, object]:
    """What a `.env` file says of our settings; nothing where there is none."""
    return ours(dotenv_variables(path))
