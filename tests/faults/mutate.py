"""Breaks the product on purpose, one behaviour at a time, and reports which test fails.

``python -m tests.faults.mutate [WORD …]`` runs the mutations of `mutations.py` that contain one of the words,
without a word all of them. Two run at the same time, each in a copy of the repository. The exit status is 1
if a mutation survives, which means that no test fails, or if its old text does not exist any more. It is 2
if a test fails without a mutation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.faults.mutations import MUTATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.mutations import Mutation

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
LIMIT = 1_800
"""Seconds for the tests of one mutation. A mutation that makes them hang is killed, too."""
SUITE = (
    "client",
    "masking",
    "results",
    "settings",
    "signing",
    "urls",
    "wire",
    "faults",
    "test_logs.py",
    "test_settings.py",
    "test_http.py",
)
"""What runs if the tests that a mutation names do not fail."""
LEFT_OUT = shutil.ignore_patterns(".git", ".hypothesis", "__pycache__", ".*_cache", "site", "dist")


def main(words: list[str]) -> int:
    """Run the mutations, print the outcome of each, and return the exit status."""
    chosen = [one for one in MUTATIONS if not words or any(word in str(one) for word in words)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as workers:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(WORKERS):
            copies.put(Path(shutil.copytree(ROOT, Path(folder, str(number)), ignore=LEFT_OUT)))
        unbroken = copies.get()
        if failed := _killed_by(unbroken, SUITE, "-n", "2", "--sample", "20"):
            _print(f"before anything is broken: {failed}")
            return 2
        copies.put(unbroken)
        outcomes = list(workers.map(lambda one: _run(one, copies), chosen))
    survivors = [outcome for outcome in outcomes if not outcome.startswith("killed")]
    _print(f"{len(chosen)} mutations, {len(survivors)} not killed")
    return 1 if survivors else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run(mutation: Mutation, copies: SimpleQueue[Path]) -> str:
    copy = copies.get()
    try:
        outcome = _outcome(mutation, copy)
    finally:
        copies.put(copy)
    _print(f"{mutation.subject} | {mutation.behaviour} | {mutation.file} | {outcome}")
    return outcome


def _outcome(mutation: Mutation, copy: Path) -> str:
    source = copy / "dcipher" / mutation.file
    text = source.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        return f"LOST: its old text is there {text.count(mutation.old)} times"
    try:
        source.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        _print_twins(mutation, copy)
        return _killed_by(copy, _tests_of(mutation, copy)) or _killed_by(copy, SUITE) or "SURVIVED"
    finally:
        source.write_text(text, encoding="utf-8")
        _print_twins(mutation, copy)


def _tests_of(mutation: Mutation, copy: Path) -> list[str]:
    own = f"faults/test_{mutation.subject}.py"
    return [*mutation.tests, *([own] if (copy / "tests" / own).exists() else [])]


def _print_twins(mutation: Mutation, copy: Path) -> None:
    if mutation.file.endswith("_async.py"):
        command = [sys.executable, "scripts/unasync.py"]
        subprocess.run(command, cwd=copy, check=True, capture_output=True)  # noqa: S603 - our own script


def _killed_by(copy: Path, tests: Iterable[str], *options: str) -> str | None:
    """Return the first test that fails, or `None` if all pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "120",
    ]
    command += ["-m", "not thorough", *options, *(f"tests/{name}" for name in tests)]
    # Python compares a .pyc with its source by time and size, which a mutation may not change.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    try:
        done = subprocess.run(  # noqa: S603 - our own tests
            command, cwd=copy, env=environment, timeout=LIMIT, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return "killed: the tests hang"
    if done.returncode == 0:
        return None
    if done.returncode != 1:  # not a test that failed: they could not be run
        return f"NOT RUN: {(done.stdout + done.stderr)[-300:]!r}"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    line = failed[0] if failed else (done.stdout + done.stderr)[-200:]
    return f"killed by {line.partition(' - ')[0].removeprefix('FAILED ')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
