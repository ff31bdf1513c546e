"""Reads settings from the environment and `.env`. `checks.py` validates them."""

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
    """Returns our settings by name. Names are case-insensitive, as in pydantic-settings."""
    lowered = {name.lower(): value for name, value in variables.items()}
    return {name: lowered.get(_PREFIX + name) for name in CHECKS}


def dotenv(path: Path) -> dict[str, object]:
    """Returns our settings in a `.env` file; nothing if it does not exist."""
    return ours(dotenv_variables(path))
