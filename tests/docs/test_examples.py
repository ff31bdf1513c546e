"""What the documents say is what happens: each of their blocks, each example and the demo run."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import anyio
import pytest

import dcipher

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PACKAGE = Path(dcipher.__file__).resolve().parents[1]


class Block(NamedTuple):
    """A fenced block, and the line that its code begins at."""

    language: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    return [
        Block(m[1], m[2], text.count("\n", 0, m.start(2)))
        for m in FENCE.finditer(text)
    ]


def run_block(block: Block, document: str, module: ModuleType) -> None:
    """Run a block in the names of `module`; where it awaits, in an event loop of its own."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    # The blank lines give a traceback the numbers of the document.
    code = compile("\n" * block.line + block.code, document, "exec", flags, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        anyio.run(lambda: eval(code, vars(module)))  # noqa: S307 - our own document
    else:
        exec(code, vars(module))  # noqa: S102 - our own document


def run_tests(block: Block, folder: Path) -> None:
    """Run a block that is a test as its reader would: as a file of its own, by pytest."""
    file = folder / "test_block.py"
    file.write_text(block.code, encoding="utf-8")
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(file))


def python(*words: str, cwd: Path | None = None, **variables: str) -> str:
    """Run Python with warnings as errors; what it prints. It has this package, wherever it is."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DCIPHER_")}
    environment = {**ours, "PYTHONPATH": str(PACKAGE), "PYTHONUTF8": "1", **variables}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_blocks_of_a_document_run(
    path: Path, hosted: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python block of a document runs, one after the other, against a Dcipher service."""
    module = ModuleType("document")
    monkeypatch.setitem(sys.modules, "document", module)
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        if "def test_" in block.code:
            run_tests(block, tmp_path)
        else:
            run_block(block, str(path), module)
    assert all(record.status is not None and record.status < 500 for record in hosted.requests)
