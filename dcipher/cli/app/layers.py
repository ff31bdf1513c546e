"""The sources of the settings of the command line.

The `.env` of the working directory is not one of them: only a file that `--env-file` names.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dcipher._settings.checks import DOTENV, is_blank
from dcipher._settings.environment import dotenv, ours
from dcipher.cli.terminal.errors import CommandError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dcipher.cli.app.options import Options

__all__ = ["Layered", "loaders"]


def loaders(
    options: Options, read: Callable[[Path, str], str]
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yields each source, in order of precedence, and a function that returns its settings or raises."""
    log = "debug" if options.verbose else None
    yield "argument", lambda: {"base_url": options.base_url, "log": log}
    if (key_file := options.api_key_file) is not None:
        yield "argument", lambda: {"api_key": _key(key_file, read)}
    yield "environment", lambda: ours(os.environ)
    if (env_file := options.env_file) is not None:
        yield DOTENV, lambda: _variables(env_file)


def _key(path: Path, read: Callable[[Path, str], str]) -> str:
    key = read(path, "--api-key-file").strip()
    if not key:
        raise CommandError(f"--api-key-file: {path} is empty.", ExitCode.AUTHENTICATION)
    return key


def _variables(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"--env-file: there is no file {path}.")
    return dotenv(path)


class Layered:
    """Settings for the client, from layers: a value by name, and its `source`.

    Importing `Settings` takes longer than a whole command.
    """

    def __init__(self, found: tuple[tuple[str, dict[str, Any]], ...]) -> None:
        self._layers = found

    def __getattr__(self, name: str) -> Any:
        return self._found(name)[1]

    def source(self, name: str) -> str:
        """Returns `argument`, `environment`, `.env` or `default`."""
        return self._found(name)[0]

    def _found(self, name: str) -> tuple[str, Any]:
        values = ((source, layer.get(name)) for source, layer in self._layers)
        return next(((s, v) for s, v in values if not is_blank(v)), ("default", None))
