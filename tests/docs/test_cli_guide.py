"""The examples of the guide to the command line run as its reader would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("typer", reason="the command line needs typer")
pytest.importorskip("fastapi", reason="documents and examples run against the emulator")

from tests.docs.test_examples import PACKAGE, ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator

GUIDE = ROOT / "docs" / "guides" / "cli.md"


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell")
def test_every_line_of_the_guide_runs(
    hosted: Emulator, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each block runs in a shell, in its order and in one folder; no command in it fails."""
    programs = tmp_path_factory.mktemp("programs")
    program = programs / "dcipher"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dcipher "$@"\n')
    program.chmod(0o700)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": str(PACKAGE),
        "DCIPHER_STATE_DIR": str(tmp_path / "state"),
    }
    said = ""
    found = [block for block in blocks(GUIDE.read_text("utf-8")) if block.language == "sh"]
    for block in found:
        done = subprocess.run(  # noqa: S603
            ["bash", "-euo", "pipefail", "-c", block.code],  # noqa: S607
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{block.code}\n{done.stderr}"
        said += done.stdout
    assert len(found) > 6
    assert "rivers" in (tmp_path / "topics.json").read_text()
    assert "topics.json is there" in said
    assert "curl" in said
    assert {run.status for run in hosted.runs} == {"SUCCEEDED"}
