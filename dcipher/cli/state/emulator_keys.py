"""Where a key is missing or refused: what points a shell at an emulator, and gives it its key."""

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
    """The next step where there is no key: the emulator that runs, else how to give a key."""
    running = running_emulators()
    if running:
        return pointing_at(running[0], running)
    return (
        "export DCIPHER_API_KEY=…, or --env-file .env, or --api-key-file FILE; without an account, "
        "dcipher demo"
    )


def refused_key(error: BaseException | None) -> str | None:
    """The next step where an emulator refused the key; None where it was something else.

    An emulator without a state folder has another key after each start.
    """
    # No other service speaks of one.
    if not isinstance(error, AuthenticationError) or "emulator" not in str(error):
        return None
    asked = "" if error.request is None else error.request.url
    running = running_emulators()
    for one in running:
        if asked.startswith(f"{one.url}/"):
            return pointing_at(one, running)
    return "export DCIPHER_API_KEY=…, the api_key of that emulator"


def pointing_at(emulator: RunningEmulator, running: Sequence[RunningEmulator]) -> str:
    """The line that points a shell at one of the emulators that run."""
    which = f" --base-url {shlex.quote(emulator.url)}" * (len(running) > 1)
    return f'eval "$(dcipher emulator env{which})"'
