"""The running emulators of this user: their URLs and keys.

Each has a file in the state folder, named after its port, which is removed at its end. The file of a
killed process is recognized because nothing listens on its port.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dcipher.cli.state.folder import make_state_folder, state_folder, write_private
from dcipher.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

__all__ = [
    "RunningEmulator",
    "env_command",
    "missing_key_advice",
    "registered",
    "rejected_key_advice",
    "running_emulators",
]

_CONNECT_TIMEOUT = 1.0  # seconds for a connection on this machine


@dataclass(frozen=True)
class RunningEmulator:
    """The description of a running emulator, also in its ready file."""

    url: str
    api_key: str
    console: str
    pid: int
    api_secret_file: str | None = None
    """The file with its signing secret. The secret itself is not stored here."""

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(asdict(self)) + "\n"

    @property
    def is_reachable(self) -> bool:
        """Whether the process exists and accepts connections."""
        if os.name == "posix":
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
            except OSError:  # it exists, and belongs to another user
                pass
        parts = urlsplit(self.url)
        try:
            with socket.create_connection(
                (parts.hostname or "", parts.port or 80), _CONNECT_TIMEOUT
            ):
                return True
        except OSError:
            return False


@contextmanager
def registered(emulator: RunningEmulator) -> Generator[None]:
    """Registers an emulator for other commands during the block. Raises `OSError`."""
    folder = make_state_folder() / "emulators"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{urlsplit(emulator.url).port}.json"
    write_private(path, emulator.to_json())
    try:
        yield
    finally:
        if _read(path) == emulator:  # no other emulator has replaced it
            with suppress(OSError):
                path.unlink()


def running_emulators() -> list[RunningEmulator]:
    """Returns the emulators that respond, ordered by port. Removes the files of the others."""
    try:
        paths = sorted((state_folder() / "emulators").glob("*.json"))
    except OSError:
        return []
    found: list[RunningEmulator] = []
    for path in paths:
        emulator = _read(path)
        if emulator is not None and emulator.is_reachable:
            found.append(emulator)
        elif emulator is not None:
            with suppress(OSError):
                path.unlink()
    return found


def _read(path: Path) -> RunningEmulator | None:
    """Returns the content of a file; `None` if it is missing or foreign."""
    try:
        return RunningEmulator(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def missing_key_advice() -> str:
    """Returns the advice for a missing key: use the running emulator, or set a key."""
    running = running_emulators()
    if running:
        return env_command(running[0], running)
    return (
        "export DCIPHER_API_KEY=…, or --env-file .env, or --api-key-file FILE; without an account, "
        "dcipher demo"
    )


def rejected_key_advice(error: BaseException | None) -> str | None:
    """Returns the advice if an emulator rejected the key; `None` for another service.

    An emulator without a state folder has a new key after each start.
    """
    # No other service mentions one.
    if not isinstance(error, AuthenticationError) or "emulator" not in str(error):
        return None
    requested = "" if error.request is None else error.request.url
    running = running_emulators()
    for one in running:
        if requested.startswith(f"{one.url}/"):
            return env_command(one, running)
    return "export DCIPHER_API_KEY=…, the api_key of that emulator"


def env_command(emulator: RunningEmulator, running: Sequence[RunningEmulator]) -> str:
    """Returns the line that sets the variables of a running emulator in a shell."""
    which = f" --base-url {shlex.quote(emulator.url)}" * (len(running) > 1)
    return f'eval "$(dcipher emulator env{which})"'
