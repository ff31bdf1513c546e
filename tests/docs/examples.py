"""Runs the fenced blocks of a document: sybil finds them, and their language determines how.

Python runs as its reader who pastes it would run it, tests as files of their own by pytest, shell by
bash; data is parsed. All of it happens in the working directory, against the service that the
environment names: the fixture `hosted` provides both.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from sybil import Sybil
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer, RawFencedCodeBlockLexer

import dcipher
from tests.docs import commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sybil import Document, Example, Region

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = Path(dcipher.__file__).resolve().parents[1]
PLUGIN: Final = "dcipher.pytest_plugin"
TIMEOUT: Final = 180.0

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "docs/guides/tables.md": ("pyarrow", "pandas", "polars", "duckdb"),
    "docs/guides/orchestrators.md": ("airflow", "dagster", "prefect", "celery", "taskiq"),
    "docs/guides/many-machines.md": ("dask.distributed", "ray", "pyspark", "pandas"),
}
"""The libraries of others that a document is about: without one of them it is skipped."""

NOT_RUN: Final[Mapping[str, str]] = {}
"""Every command that is not run, as it stands in its block, and why: it needs the hosted service."""

_NAMED = re.compile(r"# (\w+\.py)\n")
_FENCES = FencedCodeBlockLexer(language=r"\S[^\n]*")
_NAMELESS = RawFencedCodeBlockLexer()


def examples(path: Path) -> list[Example]:
    """Every fenced block of a document, those in lists and tabs too."""
    return list(Sybil([_parse], encoding="utf-8").parse(path).examples())


def language(example: Example) -> str:
    return str(example.region.lexemes["language"]).split()[0]


def file_name(example: Example) -> str | None:
    """Returns the file name of a block, if its first line has one."""
    named = _NAMED.match(example.parsed)
    return named[1] if named else None


def _parse(document: Document) -> Iterator[Region]:
    for region in _FENCES(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = EVALUATORS.get(region.lexemes["language"].split()[0], _unknown)
        yield region
    for region in _NAMELESS(document):
        region.evaluator = _unknown
        yield region


def _unknown(example: Example) -> str:
    return f"there is nothing that runs it; there are: {', '.join(sorted(EVALUATORS))}"


# ---- Python


def _run_python(example: Example) -> None:
    code = str(example.parsed)
    name = file_name(example)
    is_test = "def test_" in code
    file = Path.cwd() / (name or "test_block.py")
    if name or is_test:
        file.write_text(code, encoding="utf-8")
    if is_test:
        _run_tests(file)
    else:
        # The blank lines give a traceback the numbers of the document.
        _execute("\n" * example.line + code, example.path)


def _execute(code: str, path: str, **names: object) -> None:
    """Run code as its reader who pastes it would: no name of another block is there."""
    # Pydantic and FastAPI look names up in the module that a class is said to be of.
    module = sys.modules["document"] = ModuleType("document")
    vars(module).update(names)
    try:
        exec(compile(code, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - our own document
    finally:
        del sys.modules["document"]
        # A client that a block leaves open is noticed here, by the warning of its sockets.
        vars(module).clear()
        gc.collect()


def _run_tests(file: Path) -> None:
    """Runs a block that is a test as its reader would: as its own file, by pytest."""
    plugin = ("-p", PLUGIN) if find_spec(PLUGIN) else ()
    # Starlette's own test client prefers another library, and says so.
    known = ("-W", "ignore:Using `httpx` with `starlette.testclient`")
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "anyio.pytest_plugin", *known)
    words = (*words, *plugin, "--rootdir", str(file.parent))
    python(*words, str(file), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def python(*words: str, cwd: Path | None = None, **variables: str) -> str:
    """Runs Python with warnings as errors, and this package. Returns the output."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DCIPHER_")}
    environment = {**ours, "PYTHONPATH": str(PACKAGE), "PYTHONUTF8": "1", **variables}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- What is to be changed


def _run_diff(example: Example) -> None:
    """Runs the unchanged and the new lines, with a client as in the old code."""
    lines = str(example.parsed).splitlines(keepends=True)
    code = "".join("\n" if line.startswith("-") else line[1:] for line in lines)
    with dcipher.Dcipher() as client:
        _execute("\n" * example.line + code, example.path, Dcipher=dcipher.Dcipher, client=client)


# ---- Shell


def _run_shell(example: Example) -> str | None:
    return _run_script(str(example.parsed))


def _run_console(example: Example) -> str | None:
    """Runs the commands after the prompts."""
    lines = str(example.parsed).splitlines()
    return _run_script("\n".join(line[2:] for line in lines if line.startswith("$ ")))


def _run_script(script: str) -> str | None:
    """Checks the commands that install and build, and runs all others. Returns the error."""
    left: list[str] = []
    for command in commands.split(script):
        if command in NOT_RUN:
            continue
        if commands.is_checked(command):
            wrong = commands.check(command, ROOT)
            if wrong:
                return f"{command}: {wrong}"
        elif commands.starts_server(command):
            return _run_bash("\n".join(left)) or _run_server(command)
        elif _can_be_run(command):
            left.append(command)
    return _run_bash("\n".join(left))


def _can_be_run(command: str) -> bool:
    return not commands.is_ours(command) or all(map(find_spec, ("dcipher.cli", "click")))


def _run_bash(script: str) -> str | None:
    """Runs a script that ends with the first failing command. Returns its output if it fails."""
    if not script.strip():
        return None
    done = subprocess.run(  # noqa: S603 - our own document
        [_bash(), "-euo", "pipefail", "-c", script],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout + done.stderr + f"exit code {done.returncode}" if done.returncode else None


def _run_server(command: str) -> str | None:
    """Starts a server, waits for the line that it is ready, and ends it."""
    if not _can_be_run(command):
        return None
    # Another one may listen at the usual port of this machine.
    script = f"exec {command}" if "--port" in command else f"exec {command} --port 0"
    with subprocess.Popen(  # noqa: S603 - our own document
        [_bash(), "-c", script],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as server:
        assert server.stdout is not None
        patience = threading.Timer(TIMEOUT, server.kill)
        patience.start()
        ready = server.stdout.readline()
        server.send_signal(signal.SIGTERM)  # a test run in the background has them ignore Ctrl-C
        _, errors = server.communicate()
        patience.cancel()
    return (
        None
        if ready and server.returncode in {143, -signal.SIGTERM}
        else errors or "it never was ready"
    )


def _bash() -> str:
    return shutil.which("bash") or "bash"


def _environment() -> Mapping[str, str]:
    """The environment of the reader: `dcipher` and `python` are commands, curl fails for an error response."""
    home = Path.cwd().parent / f"{Path.cwd().name}-home"
    home.mkdir(exist_ok=True)
    (home / ".curlrc").write_text("fail\nsilent\nshow-error\n", encoding="utf-8")
    for name, words in {
        "dcipher": (sys.executable, "-m", "dcipher"),
        "python": (sys.executable,),
    }.items():
        shim = home / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(home), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "CURL_HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(PACKAGE),
        "PYTHONUTF8": "1",
    }


# ---- Data


def _read_json(example: Example) -> None:
    json.loads(example.parsed)


def _read_toml(example: Example) -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    tomllib.loads(example.parsed)


def _read_yaml(example: Example) -> None:
    if find_spec("yaml"):  # it comes with MkDocs, not with the tests
        import yaml

        yaml.safe_load(example.parsed)


def _read_dotenv(example: Example) -> str | None:
    """A `.env` file sets settings that there are."""
    names = [line.partition("=")[0] for line in str(example.parsed).split("\n") if "=" in line]
    return commands.unknown_settings(names)


def _show(example: Example) -> None:
    """Does nothing: text is not executed."""


EVALUATORS: Final[Mapping[str, Callable[[Example], str | None]]] = {
    "console": _run_console,
    "diff": _run_diff,
    "ini": _read_dotenv,
    "json": _read_json,
    "python": _run_python,
    "sh": _run_shell,
    "text": _show,
    "toml": _read_toml,
    "yaml": _read_yaml,
}
"""By language, what runs a block: it raises, or gives what is wrong, or nothing."""
