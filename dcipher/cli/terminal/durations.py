"""Parses durations such as `90`, `90s`, `30m`, `2h`, `1h30m`."""

from __future__ import annotations

import re

from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

__all__ = ["seconds"]

_WRITTEN = re.compile(
    r"(?P<plain>[0-9]{1,9})|(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII
)


def seconds(text: str, option: str) -> int:
    """Returns the seconds of a duration. Raises `CommandError` for an invalid one."""
    match = _WRITTEN.fullmatch(text)
    if match is None or not text:
        raise CommandError(
            f"{option}: {text[:40]!r} is not a duration. Write 90, 90s, 30m, 2h or 1h30m.",
            ExitCode.USAGE,
        )
    plain, *parts = match.groups()
    if plain:
        return int(plain)
    hours, minutes, rest = (int(part or 0) for part in parts)
    return 3600 * hours + 60 * minutes + rest
