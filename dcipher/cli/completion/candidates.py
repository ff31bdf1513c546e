"""What a shell may complete a command line with.

From a table that scripts/cli.py prints of all commands: to import typer, and every command, takes
longer than whoever presses Tab should wait.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, cast
else:  # typing would be most of what completion imports

    def cast(_kind: str, value: Any) -> Any:
        """For type checkers alone."""
        return value


__all__ = ["TABLE", "VARIABLE", "candidates", "complete"]

VARIABLE = "_DCIPHER_COMPLETE"
"""Set by the scripts of `dcipher completion`."""
TABLE = Path(__file__).with_name("completions.json")


def complete(words: Sequence[str]) -> list[str]:
    """The candidates for the last word, or for what PowerShell gives beside the words."""
    before, word = list(words), os.environ.get("_DCIPHER_WORD")
    if word is None:
        word = before.pop() if before else ""
    return candidates(json.loads(TABLE.read_bytes()), before, word)


def candidates(table: dict[str, Any], before: Sequence[str], word: str) -> list[str]:
    """What `word` may become behind these words. Nothing where a file's name may follow."""
    node = table
    found: Sequence[str]
    expected: Any = None
    for previous in before:
        if previous == "--":  # what follows is another program's
            return []
        if expected is not None:
            expected = None
        elif previous in node["options"]:
            expected = node["options"][previous]
        elif previous in node["commands"]:
            node = node["commands"][previous]
    if expected is not None:
        found = _choices(expected)
    elif word.startswith("-"):
        found = node["options"]
    else:
        found = node["commands"] or _arguments(node)
    return [name for name in found if name.startswith(word)]


def _choices(value: Any) -> Sequence[str]:
    """The words that a value may be; where it has another kind, that is text."""
    return cast("list[str]", value) if isinstance(value, list) else ()


def _arguments(node: dict[str, Any]) -> Sequence[str]:
    """The arguments of a command: choices, or what the list of runs knows."""
    argument = node["argument"]
    if _choices(argument):
        return _choices(argument)
    name = {"TASK": "task_id", "FLOW": "flow_id"}.get(argument)
    if name is None:
        return []
    from dcipher.cli.state.ledger import Ledger

    try:
        return list(dict.fromkeys(str(entry[name]) for entry in Ledger().runs()[:100]))
    except OSError:
        return []
