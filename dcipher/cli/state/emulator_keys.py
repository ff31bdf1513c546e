"""The advice for a missing or rejected key, if an emulator runs on this machine."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from dcipher.cli.state.running_emulators import running_emulators
from dcipher.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher.cli.state.running_emulators import RunningEmulator

__all__ = ["missing_key", "pointing_at", "refused_key"]


def missing_key() -> str:
    """Returns the advice for a missing key: use the running emulator, or set a key."""
    running = running_emulators()
    if running:
        return pointing_at(running[0], running)
    return (
        "export DCIPHER_API_KEY=…, or --env-file .env, or --api-key-file FILE; without an account, "
        "dcipher demo"
    )


def refused_key(error: BaseException | None) -> str | None:
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
            return pointing_at(one, running)
    return "export DCIPHER_API_KEY=…, the api_key of that emulator"


def pointing_at(emulator: RunningEmulator, running: Sequence[RunningEmulator]) -> str:
    """Returns the line that sets the variables of a running emulator in a shell."""
    which = f" --base-url {shlex.quote(emulator.url)}" * (len(running) > 1)
    return f'eval "$(dcipher emulator env{which})"'
