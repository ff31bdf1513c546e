"""Reads a `.env` file, for `Settings` and for the clients."""

from __future__ import annotations

import os
import stat
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher.errors import ConfigurationError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["dotenv_text", "dotenv_variables"]

LARGEST = 1_048_576
"""The largest size in bytes; a file of settings has some hundred."""


def dotenv_variables(
    path: str | os.PathLike[str], encoding: str | None = None
) -> Mapping[str, str | None]:
    """Returns the variables of a `.env` file; none if it does not exist.

    `${NAME}` is not expanded: the author of the file must not get values of the environment.
    """
    text = dotenv_text(path, encoding)
    if not text:
        return {}
    # pydantic-settings uses the same parser.
    from dotenv import dotenv_values

    return dotenv_values(stream=StringIO(text), interpolate=False)


def dotenv_text(path: str | os.PathLike[str], encoding: str | None = None) -> str:
    """Returns the text of a `.env` file; nothing if it does not exist or is a folder.

    Raises `ConfigurationError` for a file in another encoding, and for what is not a regular file,
    such as a pipe, which might block.
    """
    try:
        content = _content(Path(path).expanduser())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:  # the path contains NUL, or the file is too large
        raise ConfigurationError(f"{path!s} cannot be read: {error}.") from None
    return _decoded(content, str(path), encoding)


def _content(path: Path) -> bytes:
    found = path.stat()
    # A virtual environment may have that name, and /dev/null is often used for no file.
    if stat.S_ISDIR(found.st_mode) or os.path.samestat(found, Path(os.devnull).stat()):
        return b""
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a regular file")
    with open(path, "rb", opener=_without_waiting) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    return content


def _without_waiting(path: str, flags: int) -> int:
    # If it has become a pipe in the meantime: opening it must not wait for a writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decoded(content: bytes, path: str, encoding: str | None) -> str:
    named = "UTF-8" if (encoding or "utf-8").lower() in {"utf-8", "utf8"} else str(encoding)
    try:
        # Editors on Windows put a byte order mark before UTF-8.
        text = content.decode(named).removeprefix("\ufeff")
        position = content.find(b"\0") if "\0" in text else None
    except UnicodeDecodeError as error:
        text, position = "", error.start
    except LookupError:
        raise ConfigurationError(f"{path} cannot be read: unknown encoding {named!r}.") from None
    if position is None:
        return text
    line = content.count(b"\n", 0, position) + 1
    raise with_hint(
        ConfigurationError(f"{path} is not {named} text (byte {position}) in line {line}."),
        f"Save it as {named}.",
    )
