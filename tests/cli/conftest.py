"""The command line as it is called: in this process, or as a program."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

pytest.importorskip("click", reason="the command line needs click")

from dcipher._client.waiting import poll_intervals
from dcipher.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dcipher.emulator import Emulator

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """The result of a call of the command line."""

    code: int
    out: str
    err: str


class Call(Protocol):
    """Calls the command line in this process."""

    def __call__(self, *arguments: object) -> Done: ...


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of runs of the test's own."""
    folder = tmp_path_factory.mktemp("state") / "dcipher"
    monkeypatch.setenv("DCIPHER_STATE_DIR", str(folder))
    for name in ("NO_COLOR", "CI", "TERM", "_DCIPHER_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in this process, away from any service."""

    def run(*arguments: object) -> Done:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@pytest.fixture
def dcipher(
    call: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Call:
    """Call the command line in this process, in an empty folder, against the emulator."""
    monkeypatch.setattr(poll_intervals, "FIRST_INTERVAL", 0.02)
    monkeypatch.setattr(poll_intervals, "SHORTEST_INTERVAL", 0.02)
    for name, value in service(emulator).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def loggers() -> Iterator[None]:
    """Restores the loggers that -v changes."""
    logger = logging.getLogger("dcipher")
    before = logger.level, list(logger.handlers)
    yield
    logger.level, logger.handlers = before


def service(emulator: Emulator) -> dict[str, str]:
    return {"DCIPHER_BASE_URL": emulator.url, "DCIPHER_API_KEY": emulator.api_key}


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a program: that of this process, the path of the package, and `variables`."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    return {**os.environ, "PYTHONPATH": path, **(variables or {})}


def program(
    *arguments: object, stdin: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Call the command line as a program, to its end."""
    return subprocess.run(  # noqa: S603 - our own code
        command(*arguments),
        env=environment(variables),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "dcipher", *map(str, arguments)]
