"""The commands of a shell block, and their checks before they run."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from dcipher import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHECKED: Final = ("make", "pip", "pipx", "uv")
"""What installs or builds: it is not run, but what it names has to be there."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OURS = re.compile(r"(?:\.|[\w./~-]*/checkout|dcipher)(?:\[([\w,-]*)\])?(?:[=<>~!].*)?")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def split(script: str) -> Iterator[str]:
    """Returns the commands of a script: its lines, with continued ones joined."""
    for line in re.sub(r"\\\n\s*", "", script).split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def words(command: str) -> list[str]:
    """Returns the words of a command, without its variables; none if it is syntax."""
    try:
        found = shlex.split(command, comments=True)
    except ValueError:  # a quote goes on in the next line
        return []
    while found and (_ASSIGNMENT.match(found[0]) or found[0] == "env"):
        del found[0]
    return found[2:] if found[:2] == ["python", "-m"] and found[2:3] == ["pip"] else found


def is_ours(command: str) -> bool:
    """Whether it calls `dcipher`, by itself or in a pipe."""
    return re.search(r"(?<![\w./\[-])dcipher\s+[\w-]", command) is not None


def starts_server(command: str) -> bool:
    """Returns whether it runs until it is ended."""
    return words(command)[:3] == ["dcipher", "emulator", "start"] and not command.endswith("&")


def is_checked(command: str) -> bool:
    """Returns whether it is not executed: it installs, builds, or has a placeholder for the reader."""
    return words(command)[:1] in [[name] for name in CHECKED] or "…" in command


def check(command: str, root: Path) -> str | None:
    """Returns the error of a command that is not executed."""
    found = words(command)
    if found[:1] == ["make"]:
        return _unknown_targets(found[1:], root)
    if found[:1] and found[0] in CHECKED:
        return _unknown_extras(found[1:], root)
    if found[:1] == ["export"]:
        return unknown_settings(word.partition("=")[0] for word in found[1:])
    return "it holds a value that is left out, and so it cannot be run"


def unknown_settings(names: Iterable[str]) -> str | None:
    """Returns the error for a name that is not the variable of a setting."""
    settings = {f"DCIPHER_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted({name.strip() for name in names if not name.startswith("#")} - settings)
    return f"no settings: {', '.join(unknown)}" if unknown else None


def _unknown_targets(found: list[str], root: Path) -> str | None:
    named = {word for word in found if not word.startswith("-") and "=" not in word}
    there = set(_TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))
    return f"no targets: {', '.join(sorted(named - there))}" if named - there else None


def _unknown_extras(found: list[str], root: Path) -> str | None:
    project = _table(root, "project.optional-dependencies")
    groups = _table(root, "dependency-groups")
    matches = [match for word in found if (match := _OURS.fullmatch(word))]
    extras = {extra for match in matches for extra in (match[1] or "").split(",") if extra}
    asked = {after for word, after in pairwise(found) if word == "--group"}
    unknown = (extras - project) | (asked - groups)
    return f"no extras or groups: {', '.join(sorted(unknown))}" if unknown else None


def _table(root: Path, name: str) -> set[str]:
    """The keys of a table of pyproject.toml."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for part in name.split("."):
        table = table[part]
    return set(table)
