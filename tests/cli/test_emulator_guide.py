"""The guide to the emulator at the shell: each of its blocks, in its order, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if sys.platform == "win32":
    pytest.skip("the guide speaks to a POSIX shell", allow_module_level=True)
pytest.importorskip("typer", reason="the command line is an extra")
pytest.importorskip("fastapi", reason="the emulator is an extra")

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "emulator.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE = 60.0


def run(code: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, str, int]:
    done = subprocess.run(  # noqa: S603 (our own document)
        ["/bin/sh", "-ec", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout, done.stderr, done.returncode


def served(code: str, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A block that serves until it is ended; the fixed port may be somebody's here."""
    process = subprocess.Popen(  # noqa: S603 (our own document)
        ["/bin/sh", "-ec", "exec " + code.strip() + " --port 0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE
    while run("dcipher emulator env", folder, environment)[2]:
        assert time.monotonic() < deadline
        assert process.poll() is None
    return process


@pytest.mark.thorough
def test_the_guide_does_what_it_says(tmp_path: Path) -> None:
    """Commands that serve are served, the others succeed, and print what their text promises."""
    folder, programs = tmp_path / "empty", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    program = programs / "dcipher"
    program.write_text(f"#!{sys.executable}\nfrom dcipher.__main__ import *\nsys.exit(main())\n")
    program.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DCIPHER_STATE_DIR": str(tmp_path / "state"),
    }
    serving: list[subprocess.Popen[bytes]] = []
    shown: list[str] = []
    try:
        for language, code in BLOCK.findall(GUIDE.read_text("utf-8")):
            if language == "python":
                (folder / code.partition("\n")[0].removeprefix("# ")).write_text(code)
            elif code.startswith("dcipher emulator start"):
                end(serving)
                serving.append(served(code, folder, environment))
            else:
                out, err, status = run(code, folder, environment)
                assert status == 0, err
                shown.append(out)
    finally:
        end(serving)
    assert (folder / "output.json").exists()
    assert '["Rivers","flow"]' in shown[1]
    assert "SUCCEEDED" in shown[2]
    assert '"status": 503' in shown[3]


def end(serving: list[subprocess.Popen[bytes]]) -> None:
    """End what serves."""
    while serving:
        process = serving.pop()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
