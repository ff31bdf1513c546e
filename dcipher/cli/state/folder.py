"""The state folder of the command line, and private files."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

__all__ = ["make_state_folder", "state_folder", "write_private"]


def state_folder() -> Path:
    """Returns `DCIPHER_STATE_DIR`, else `$XDG_STATE_HOME/dcipher`, else the folder of the platform.

    Raises `OSError` if there is no home directory.
    """
    chosen = os.environ.get("DCIPHER_STATE_DIR")
    if chosen:
        return Path(chosen)
    # A relative path is ignored: XDG Base Directory Specification 0.8, "Basics".
    shared = os.environ.get("XDG_STATE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else _of_platform()) / "dcipher"


def _of_platform() -> Path:
    try:
        home = Path.home()
    except RuntimeError as error:
        raise FileNotFoundError(f"{error}: set DCIPHER_STATE_DIR") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return home / ".local" / "state"


def make_state_folder() -> Path:
    """Returns the folder, and creates it with mode 0700 if necessary. Raises `OSError`."""
    folder = state_folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_private(path: Path, text: str) -> None:
    """Writes or replaces a file with the mode 0600, atomically. Raises `OSError`.

    A device or a pipe is not replaced: root would remove /dev/null.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    from dcipher._files.replacement import replacing

    with replacing(path, is_private=True) as file:
        file.write(text.encode())
