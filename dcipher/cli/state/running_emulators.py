"""The emulators of this user that run: where, and with which key.

A file for each in the state folder, named by its port and removed at its end. A process that was
killed leaves its file; nobody answers there any more, which is how that is recognised.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dcipher.cli.state.folder import make_state_folder, state_folder
from dcipher.cli.state.private_files import write_private

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["RunningEmulator", "registered", "running_emulators"]

_PATIENCE = 1.0  # seconds for a connection on this machine


@dataclass(frozen=True)
class RunningEmulator:
    """What is told of a running emulator, in its ready file, too."""

    url: str
    api_key: str
    console: str
    pid: int
    api_secret_file: str | None = None
    """Where its signing secret is read from; the secret itself is nowhere."""

    def to_json(self) -> str:
        """The document of the file, with a line's end."""
        return json.dumps(asdict(self)) + "\n"

    @property
    def answers(self) -> bool:
        """Whether somebody listens there, and the process lives."""
        if os.name == "posix":
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
            except OSError:  # somebody else's: it is there
                pass
        parts = urlsplit(self.url)
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 80), _PATIENCE):
                return True
        except OSError:
            return False


@contextmanager
def registered(emulator: RunningEmulator) -> Generator[None]:
    """Let other commands find it, for as long as the block takes. Raises `OSError`."""
    folder = make_state_folder() / "emulators"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{urlsplit(emulator.url).port}.json"
    write_private(path, emulator.to_json())
    try:
        yield
    finally:
        if _read(path) == emulator:  # nobody has taken the port since
            with suppress(OSError):
                path.unlink()


def running_emulators() -> list[RunningEmulator]:
    """Those that answer, in the order of their ports; the files of dead ones are removed."""
    try:
        paths = sorted((state_folder() / "emulators").glob("*.json"))
    except (OSError, RuntimeError):
        return []
    found: list[RunningEmulator] = []
    for path in paths:
        emulator = _read(path)
        if emulator is not None and emulator.answers:
            found.append(emulator)
        elif emulator is not None:
            with suppress(OSError):
                path.unlink()
    return found


def _read(path: Path) -> RunningEmulator | None:
    """What a file says; None for one that is gone, or not ours."""
    try:
        return RunningEmulator(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
