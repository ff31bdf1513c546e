"""The completion of command lines by shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dcipher.cli import main
from dcipher.cli.completion import complete as completions
from dcipher.cli.state.ledger import Ledger
from dcipher.models import Run
from tests.cli.conftest import ROOT, Call, environment

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = ("bash", "zsh", "fish", "powershell")


def complete(*words: str) -> list[str]:
    return completions(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fl"], ["flows"]),
        (["flows", ""], ["get", "list", "run", "map", "generate"]),
        (["--json", "flows", "r"], ["run"]),
        (["--base-url", "flows", "ru"], ["runs"]),
        (["flows", "run", "f", "--no-w"], ["--no-wait"]),
        (["runs", "wait", "--ti"], ["--timeout"]),
        (["completion", ""], list(SHELLS)),
        (["flows", "run", "f", "-o", ""], []),
        (["flows", "run", "f", "-p", "x"], []),
        (["emulator", "exec", "--", "fl"], []),
        (["emulator", "env", "--shell", "f"], ["fish"]),
        (["nothing", "x"], []),
        (["version", ""], []),
    ],
)
def test_candidates(words: list[str], expected: list[str]) -> None:
    """Commands, options and choices are completed; nothing where a file name may be."""
    assert complete(*words) == expected


def test_options_are_there_once_a_dash_is(call: Call) -> None:
    """All of them: the command's own, the global ones, and --help."""
    found = complete("flows", "run", "--")
    assert {"--param", "--json", "--base-url", "--help", "--no-overwrite"} <= set(found)
    assert "--api-key" not in found


def test_ids_from_the_list_of_runs(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """Known runs and flows are completed, the newest first; none without the list."""
    assert complete("runs", "wait", "") == []
    for i in range(3):
        Ledger().record(Run(flow_id=f"flow-{i % 2}", task_id=f"task-{i}"))
    assert set(complete("runs", "wait", "task-")) == {"task-0", "task-1", "task-2"}
    assert complete("flows", "run", "flow-1") == ["flow-1"]
    (state / "runs.sqlite3").unlink()
    (state / "runs.sqlite3").mkdir()
    assert complete("runs", "wait", "") == []


def test_the_protocol(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """The shell passes the words up to the cursor. PowerShell passes the last one separately."""
    monkeypatch.setenv("_DCIPHER_COMPLETE", "bash")
    assert call("flows", "") == (0, "get\nlist\nrun\nmap\ngenerate\n", "")
    assert call("nothing", "at", "all") == (0, "", "")
    assert main([]) == 0
    monkeypatch.setenv("_DCIPHER_WORD", "")
    assert "get\n" in call("flows").out


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_printed(call: Call, shell: str) -> None:
    """The script of a shell goes to stdout; nothing is installed."""
    done = call("completion", shell)
    assert done.code == 0
    assert "_DCIPHER_COMPLETE" in done.out
    assert "dcipher" in done.out


def test_the_shell_of_the_user(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """SHELL names the shell. Another one is an argument."""
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "function __dcipher_complete" in call("completion").out
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    done = call("completion")
    assert done.code == 2
    assert "bash, zsh, fish, powershell" in done.err
    assert call("completion", "tcsh").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(call: Call, tmp_path: Path) -> None:
    """A real bash, with the printed script, completes commands and options."""
    fake = tmp_path / "dcipher"
    fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dcipher "$@"\n')
    fake.chmod(0o700)
    script = call("completion", "bash").out
    line = f"""{script}
    COMP_WORDS=(dcipher flows run f --no-); COMP_CWORD=4; _dcipher_complete; echo "${{COMPREPLY[@]}}"
    COMP_WORDS=(dcipher runs ''); COMP_CWORD=2; _dcipher_complete; echo "${{COMPREPLY[@]}}"
    """
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(  # noqa: S603
        ["bash", "-c", line],  # noqa: S607
        env=environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "--no-wait --no-overwrite --no-ledger",
        "status wait watch download list",
    ]


@pytest.mark.skipif(not (ROOT / "scripts" / "cli.py").exists(), reason="needs the source")
def test_the_page_of_the_command_line_is_current() -> None:
    """The page of the documentation equals the help of the commands."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(ROOT / "scripts" / "cli.py"), "--check"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
