"""Generates each `x.py` from the `x_async.py` beside it, so that the two cannot diverge.

python scripts/unasync.py           writes every twin
python scripts/unasync.py --check   exits with 1 if one of them is not up to date

Both list every pair, and exit with 1 for an unused rule, or a generated file without a source. It needs
ruff in the environment of its Python.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
DIFF_LINES = 20
SUFFIX = "_async.py"
GENERATED = "# Generated from "

# Regular expressions of whole words, applied in this order, to code, docstrings and comments alike:
# specific rules before general ones. Add a rule if a file needs it; an unused rule is an error.
RULES: dict[str, str] = {
    r"async (def|with|for)": r"\1",
    r"await ": r"",
    r"__a(enter|exit|iter|next)__": r"__\1__",
    r"StopAsyncIteration": r"StopIteration",
    r"AsyncByteStream": r"SyncByteStream",
    r"Async(\w+)": r"\1",  # AsyncDcipher, httpx.AsyncClient, AsyncRetrying, AsyncIterator
    r"async_(\w+)": r"\1",  # async_sleep
    r"(\w+)_async_(\w+)": r"\1_\2",  # handle_async_request, set_async_httpx_client
    r"(\w+)_async": r"\1",  # the modules: api_async
    r"aclose": r"close",
    r"aclosing": r"closing",
    r"aread": r"read",
}


class Printer:
    """Converts async source to sync source, and records the unused rules."""

    def __init__(self, root: Path, rules: Mapping[str, str]) -> None:
        self.root = root
        self.unused = dict(rules)
        # A whole word at the start; at the end too, unless the rule ends in a blank or a bracket.
        end = r"(?:\b|(?<=\W))"
        self._rules = [(re.compile(rf"\b{old}{end}"), old, new) for old, new in rules.items()]

    def print(self, source: Path, target: Path) -> str:
        """Returns the complete content of `target`; exits if it would not be valid Python."""
        code = f"{GENERATED}{self.name(source)} by scripts/unasync.py: edit that, not this.\n"
        # ``async for`` knows neither ``list`` nor ``yield from``.
        code += "# ruff: noqa: C416, UP028\n"
        code += self._replace(source.read_text(encoding="utf-8"))
        try:
            # A parser accepts an `await` outside a coroutine, a compiler does not.
            compile(code, self.name(target), "exec", dont_inherit=True)
        except SyntaxError as error:
            sys.exit(f"{self.name(source)}: its twin is not Python, is a rule missing? {error}")
        # Sorts the imports, and removes imports and `noqa` comments that only the coroutines needed.
        code = self._ruff(code, target, "check", "--fix-only")
        return self._ruff(code, target, "format")

    def name(self, path: Path) -> str:
        """Returns the path for messages, the same on every system."""
        return path.relative_to(self.root).as_posix()

    def _replace(self, code: str) -> str:
        for pattern, old, new in self._rules:
            code, count = pattern.subn(new, code)
            if count:
                self.unused.pop(old, None)
        return code

    def _ruff(self, code: str, target: Path, command: str, *options: str) -> str:
        # By the name of the file and the working directory, ruff finds the settings of this project.
        words = [sys.executable, "-m", "ruff", command, "--quiet", *options]
        words += ["--stdin-filename", str(target), "-"]
        done = subprocess.run(  # noqa: S603 - every word is written above
            words, input=code.encode(), capture_output=True, cwd=self.root, check=False
        )
        if done.returncode:
            sys.exit(f"{self.name(target)}: ruff {command} failed\n{done.stderr.decode()}")
        return done.stdout.decode()


def difference(old: str, new: str) -> Iterator[str]:
    """Yields the first lines of a unified diff, then the number of further lines."""
    lines = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), "is", "should be", "", "")
    )
    yield from (line.rstrip() for line in lines[:DIFF_LINES])
    if len(lines) > DIFF_LINES:
        yield f"({len(lines) - DIFF_LINES} more lines)"


def compare(name: str, old: str | None, new: str) -> Iterator[str]:
    """Yields the problems of the file `name` with the content `old`, or None if it is missing."""
    if old != new:
        yield f"{name} is {'missing' if old is None else 'stale'}: run `make unasync`"
    if old is not None:
        yield from difference(old, new)


def orphans(printer: Printer, folder: Path, known: Iterable[Path]) -> Iterator[str]:
    """Yields a line for each generated file in `folder` that is not `known`."""
    for path in sorted(set(folder.rglob("*.py")).difference(known)):
        if path.read_text(encoding="utf-8").startswith(GENERATED):
            name = printer.name(path)
            yield f"{name} is an orphan, nothing prints it: run `git rm -f {name}`"


def unasync(root: Path, rules: Mapping[str, str], *, check: bool) -> list[str]:
    """Generates every twin under `root`, or compares it with `check`; returns all problems."""
    package = root / "dcipher"
    sources = sorted(package.rglob(f"*{SUFFIX}"))
    pairs = {path: path.with_name(path.name.removesuffix(SUFFIX) + ".py") for path in sources}
    printer = Printer(root, rules)
    wrong: list[str] = []
    for path, twin in pairs.items():
        print(f"{printer.name(path)} -> {twin.name}")
        new = printer.print(path, twin)
        if check:
            # Not read_text: universal newlines would hide other line ends.
            old = twin.read_bytes().decode() if twin.exists() else None
            wrong += compare(printer.name(twin), old, new)
        else:
            twin.write_bytes(new.encode())
    wrong += orphans(printer, package, pairs.values())
    for old, new in printer.unused.items():
        wrong.append(f"nothing used the rule {old!r}: {new!r}, take it out of scripts/unasync.py")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Generates each x.py from x_async.py.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    wrong = unasync(ROOT, RULES, check=parser.parse_args(arguments).check)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
