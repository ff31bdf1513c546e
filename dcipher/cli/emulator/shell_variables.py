"""Prints the variables of an emulator for a shell."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcipher.cli.state.running_emulators import RunningEmulator

__all__ = ["assignments"]


def assignments(emulator: RunningEmulator, shell: str) -> str:
    """Returns the lines for a shell (`sh`, `fish` or `powershell`), which evaluates them.

    The shell reads the secret from its file. A secret of another service is unset.
    """
    lines = [_UNSET[shell].format(name) for name in _in_other_letters()]
    lines += [
        _SET[shell].format("DCIPHER_BASE_URL", _quoted(emulator.url, shell)),
        _SET[shell].format("DCIPHER_API_KEY", _quoted(emulator.api_key, shell)),
    ]
    if emulator.api_secret_file is not None:
        read = _READ[shell].format(_quoted(emulator.api_secret_file, shell))
        lines.append(_SET[shell].format("DCIPHER_API_SECRET", read))
    elif os.environ.get("DCIPHER_API_SECRET"):
        lines.append(_UNSET[shell].format("DCIPHER_API_SECRET"))
    return "\n".join(lines)


def _in_other_letters() -> list[str]:
    """Returns other spellings of our variables: settings are case-insensitive."""
    return [name for name in os.environ if name.upper() in _OURS and name != name.upper()]


_OURS = frozenset(("DCIPHER_BASE_URL", "DCIPHER_API_KEY", "DCIPHER_API_SECRET"))
_SET = {"sh": "export {}={}", "fish": "set -gx {} {};", "powershell": "$env:{} = {}"}
_UNSET = {"sh": "unset {}", "fish": "set -e {};", "powershell": "Remove-Item Env:{}"}
_READ = {
    "sh": '"$(cat {})"',
    "fish": "(string collect < {})",
    "powershell": "(Get-Content -Raw -LiteralPath {}).Trim()",
}


def _quoted(text: str, shell: str) -> str:
    if shell == "sh":
        return shlex.quote(text)
    if shell == "fish":  # fishshell.com/docs/current/language.html#quotes
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + text.replace("'", "''") + "'"
