"""The settings of one client: arguments, then `Settings`, or the environment and `.env`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcipher._settings.checks import ARGUMENT, CHECKS, DOTENV, ENVIRONMENT, Configuration, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcipher.settings import Settings
from dcipher._settings.environment import dotenv, ours

__all__ = ["configuration"]


def configuration(
    arguments: Mapping[str, object], settings: Settings | None = None
) -> Configuration:
    """Returns the settings of one client: `arguments`, then `settings`, else environment and `.env`."""
    if settings is not None:
        return resolve([(ARGUMENT, arguments), *_layers(settings)])
    environ = ours(os.environ)
    return resolve([(ARGUMENT, arguments), (ENVIRONMENT, environ), (DOTENV, dotenv(Path(DOTENV)))])


def _layers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    return [(settings.source(name), {name: getattr(settings, name)}) for name in CHECKS]
