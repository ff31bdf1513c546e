"""What is wrong with a command line, in the same words with every typer."""

from __future__ import annotations

import re
import shlex
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from dcipher.cli.app.explanations import Explanation
from dcipher.cli.terminal.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["nearest", "usage"]

# What other programs call it.
_ELSEWHERE = {"get": ("status",), "show": ("get", "status"), "ls": ("list",), "start": ("run",)}


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The command that was meant, if one can be thought of."""
    near = get_close_matches(name, names, 1)
    elsewhere = [one for one in _ELSEWHERE.get(name, ()) if one in names]
    return next(iter([*elsewhere, *near]), None)


def usage(error: Any) -> Explanation:
    """The words for what typer says of a command line that it cannot use."""
    ctx: Any = error.ctx
    path: str = ctx.command_path if ctx is not None else "dcipher"
    message = _plain(error.format_message())
    if path.endswith("flows run"):
        message += _as_param(message)
    return Explanation(ExitCode.USAGE, message, f"{path} --help")


# Newer typers give Pydantic's words, older ones their own.
_PLAIN = (
    (r"(?<=': ).*\binteger\b.*", "it takes a whole number"),
    (r"(?<=': ).*\bvalid (number|float)\b.*", "it takes a number"),
    (r"(?<=': ).*(greater than or equal to |\bx>=)(\S+?)\.?$", r"it takes \2 or more"),
    (r"\bValue error, ", ""),
)


def _plain(message: str) -> str:
    for pattern, replacement in _PLAIN:
        message = re.sub(pattern, replacement, message)
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _as_param(message: str) -> str:
    found = re.search(r"unexpected extra arguments?(?:\(s\))? \((.*)\)\.$", message)
    if found is None:
        return ""
    words: str = found[1]
    name, equals, _ = words.partition("=")
    if not equals or " " in name:
        return ""
    # Of several, typer does not say where each ends.
    param = f"{name}=…" if " " in words else shlex.quote(words)
    return f" A param is given with -p: -p {param}."
