"""The emulator of one test, and the environment of the test."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from dcipher._client import configuration
from dcipher._client.waiting import poll_intervals
from dcipher.emulator import Emulator
from dcipher.pytest_plugin.marks import refuse
from dcipher.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from dcipher import AsyncDcipher

__all__ = ["close", "running", "surround"]

_FIRST_INTERVAL = 0.05  # seconds; flows in tests end at once, and half a second each adds up
_IDENTITY = ("API_KEY", "API_SECRET", "BASE_URL")


@contextmanager
def running(arguments: Mapping[str, Any]) -> Generator[Emulator]:
    """Starts an emulator. Invalid arguments or missing libraries fail the test."""
    try:
        emulator = Emulator(**arguments)
    except ImportError as error:
        pytest.fail(str(error), pytrace=False)
    except (TypeError, ValueError) as error:
        refuse(str(error))
    with emulator:
        yield emulator


def surround(patch: pytest.MonkeyPatch, emulator: Emulator, *, api_secret: str | None) -> None:
    """Makes each `Dcipher()` of this process and of its child processes connect to the emulator."""
    # The names of settings are read case-insensitively, and the last one takes precedence.
    for name in [name for name in os.environ if name.upper() in _VARIABLES]:
        patch.delenv(name)
    patch.setenv("DCIPHER_BASE_URL", emulator.url)
    patch.setenv("DCIPHER_API_KEY", emulator.api_key)
    if api_secret is not None:
        patch.setenv("DCIPHER_API_SECRET", api_secret)
    # The developer's .env is for the real service: it may have a secret, or a timeout.
    patch.setattr(configuration, "DOTENV", os.devnull)
    patch.setitem(Settings.model_config, "env_file", None)
    patch.setattr(poll_intervals, "FIRST_INTERVAL", _FIRST_INTERVAL)


def close(client: AsyncDcipher) -> None:
    """Closes a client whose event loop may have ended, or belongs to another plugin.

    Connections belong to their event loop, which closes them when it ends. Closing the client needs
    any event loop, in a thread of its own: in this thread, another plugin may have set a current
    loop, or may be running trio.
    """
    with start_blocking_portal() as portal:
        portal.call(client.aclose)


_VARIABLES = frozenset(f"DCIPHER_{name}" for name in _IDENTITY)
