"""Reads the places that settings come from: the environment and `.env`.

What the values mean is decided in `_core`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._core.configuration import ARGUMENT, CHECKS, DOTENV, ENVIRONMENT, Configuration, resolve
from ._dotenv import dotenv_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

__all__ = ["configuration", "dotenv", "ours"]

_PREFIX = "dcipher_"


def configuration(
    arguments: Mapping[str, object], settings: Settings | None = None
) -> Configuration:
    """The settings of one client.

    `arguments`, then `settings`, or the environment and `.env` where there are none.
    """
    if settings is not None:
        return resolve([(ARGUMENT, arguments), *_layers(settings)])
    environ = ours(os.environ)
    return resolve([(ARGUMENT, arguments), (ENVIRONMENT, environ), (DOTENV, dotenv(Path(DOTENV)))])


def _layers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    return [(settings.source(name), {name: getattr(settings, name)}) for name in CHECKS]


def ours(variables: Mapping[str, str | None]) -> dict[str, object]:
    """Name of a setting → value, for the variables that are ours, in any case, as pydantic-settings reads them."""
    lowered = {name.lower(): value for name, value in variables.items()}
    return {name: lowered.get(_PREFIX + name) for name in CHECKS}


def dotenv(path: Path) -> dict[str, object]:
    """What a `.env` file says of our settings; nothing where there is none."""
    return ours(dotenv_variables(path))
