"""Reads the places that settings come from: the environment and `.env`.

What the values mean is decided in `_core`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._core.configuration import CHECKS, DOTENV, Configuration, resolve
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

__all__ = ["configuration", "dotenv", "ours", "unreadable_dotenv"]

_PREFIX = "dcipher_"


def configuration(
    arguments: Mapping[str, object], settings: Settings | None = None
) -> Configuration:
    """The settings of one client.

    `arguments`, then `settings`, or the environment and `.env` where there are none.
    """
    if settings is not None:
        return resolve([("argument", arguments), *_layers(settings)])
    environ = ours(os.environ)
    return resolve(
        [("argument", arguments), ("environment", environ), (DOTENV, dotenv(Path(DOTENV)))]
    )


def _layers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    return [(settings.source(name), {name: getattr(settings, name)}) for name in CHECKS]


def ours(variables: Mapping[str, str | None]) -> dict[str, object]:
    """Name of a setting → value, for the variables that are ours, in any case, as pydantic-settings reads them."""
    lowered = {name.lower(): value for name, value in variables.items()}
    return {name: lowered.get(_PREFIX + name) for name in CHECKS}


def dotenv(path: Path) -> dict[str, object]:
    """What a `.env` file says of our settings; nothing where there is none."""
    if not path.is_file():
        return {}
    # The parser that pydantic-settings uses, too.
    from dotenv import dotenv_values

    try:
        return ours(dotenv_values(path, encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise unreadable_dotenv(str(path), error) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None


def unreadable_dotenv(path: str, error: UnicodeDecodeError) -> ConfigurationError:
    """The error for a `.env` in another encoding."""
    return ConfigurationError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8.")
