"""If a key is missing or rejected, the next step is the line of the running emulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dcipher.cli.state.running_emulators import RunningEmulator, registered
from tests.cli.conftest import environment
from tests.faulty import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call
    from tests.faulty import FaultyServer

LINE = 'eval "$(dcipher emulator env)"'


def entry(url: str, key: str) -> RunningEmulator:
    return RunningEmulator(url, key, f"{url}/_emulator/", os.getpid())


@pytest.fixture
def known(state: object, emulator: Emulator) -> Iterator[Emulator]:
    """The emulator, registered for other commands."""
    del state
    with registered(entry(emulator.url, emulator.api_key)):
        yield emulator


@pytest.fixture
def stale(known: Emulator, dcipher: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """A shell that has the key of the emulator before this one."""
    del known
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_before")
    return dcipher


@pytest.mark.parametrize("words", ["flows get shout", "whoami"])
def test_an_emulator_that_was_restarted(stale: Call, words: str) -> None:
    """The next step sets the new key in the shell."""
    done = stale(*words.split())
    assert done.code == 4
    assert done.err.endswith(f"Next: {LINE}\n")


def test_the_doctor_with_a_restarted_emulator(stale: Call) -> None:
    """It has the same advice."""
    done = stale("doctor")
    assert done.code == 4
    assert LINE in done.out
    assert "next         dcipher whoami" not in done.out


@pytest.mark.skipif(sys.platform == "win32", reason="the line is for POSIX shells")
def test_the_line_sets_the_key(stale: Call) -> None:
    """Evaluated in a shell, the line makes the emulator accept the key."""
    del stale
    done = subprocess.run(  # noqa: S603 - our own code
        ["sh", "-c", f'dcipher() {{ "$PYTHON" -m dcipher "$@"; }}; {LINE} && dcipher whoami'],  # noqa: S607
        env=environment({"PYTHON": sys.executable}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_several_emulators(
    stale: Call, emulator: Emulator, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the emulator that rejected the key, and works."""
    with ExitStack() as stack:
        stack.enter_context(registered(entry(server.url, "emu_other")))
        line = re.search(r'eval "\$\(dcipher (.*)\)"', stale("flows", "get", "shout").err)
        assert line is not None
        assert emulator.url in line[1]
        monkeypatch.delenv("DCIPHER_API_KEY")
        assert emulator.api_key in stale(*line[1].split()).out


def test_an_unregistered_emulator(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator that a program started has no line. Its key must be set."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_before")
    done = dcipher("flows", "get", "shout")
    assert "Next: export DCIPHER_API_KEY=…, the api_key of that emulator" in done.err
    assert emulator.api_key not in done.err


def test_another_service_that_refuses_the_key(
    known: Emulator, dcipher: Call, server: FaultyServer
) -> None:
    """It is no emulator's matter, though one runs."""
    del known
    server.on("*", Reply(b'{"message": "no"}', 401, {"content-type": "application/json"}))
    assert "Next: dcipher doctor" in dcipher("flows", "get", "f", "--base-url", server.url).err
    assert "Next: dcipher config show" in dcipher("whoami", "--base-url", server.url).err


@pytest.mark.parametrize("words", ["flows get shout", "whoami", "doctor"])
def test_no_key_with_a_running_emulator(
    known: Emulator, call: Call, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Its line is the next step."""
    monkeypatch.delenv("DCIPHER_API_KEY", raising=False)
    monkeypatch.setenv("DCIPHER_BASE_URL", known.url)
    done = call(*words.split())
    assert done.code == 4
    assert LINE in done.out + done.err


def test_no_key_and_no_emulator(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is how to set a key, and the commands that need none."""
    monkeypatch.delenv("DCIPHER_API_KEY", raising=False)
    done = call("flows", "get", "shout")
    assert done.code == 4
    assert "export DCIPHER_API_KEY=…" in done.err
    assert "dcipher demo" in done.err
