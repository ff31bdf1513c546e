"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from dcipher.cli.app.commands import argument
from dcipher.cli.app.options import PATH
from dcipher.cli.terminal.failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FLOW",
    "FLOW_OPTION",
    "KEEP_URLS",
    "NO_LEDGER",
    "OUTPUT",
    "OVERWRITE",
    "REVEAL_URLS",
    "RUN_FILE",
    "TASKS",
    "TIMEOUT",
]


def _from_ledger(name: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes an id from the list of runs: `task_id` or `flow_id`."""

    def ids(ctx: click.Context, param: click.Parameter, word: str) -> list[str]:
        del ctx, param
        from dcipher.cli.state.ledger import Ledger

        try:
            found = dict.fromkeys(str(entry[name]) for entry in Ledger().runs(100))
        except OSError:
            return []
        return [one for one in found if one.startswith(word)]

    return ids


FLOW = argument(
    "flow", metavar="FLOW", help="The id of the flow.", shell_complete=_from_ledger("flow_id")
)
TASKS = argument(
    "tasks",
    metavar="TASK",
    nargs=-1,
    help="The ids of one or more runs.",
    shell_complete=_from_ledger("task_id"),
)
FLOW_OPTION = click.option(
    "--flow",
    metavar="FLOW",
    help="The flow of the runs. Not needed for runs that were started on this machine.",
    shell_complete=_from_ledger("flow_id"),
)
RUN_FILE = click.option(
    "--run",
    "run_file",
    metavar="FILE|-",
    type=PATH,
    help="A run written by --save-run or run.to_json(), from a file or standard input.",
)


def _as_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    del ctx, param
    return None if value is None else seconds(value, "--timeout")


TIMEOUT = click.option(
    "--timeout",
    metavar="DURATION",
    callback=_as_seconds,
    help="How long to wait: 90, 90s, 30m, 2h, 1h30m. Default: until the run has ended.",
)
OUTPUT: dict[str, Any] = {
    "metavar": "FILE|-",
    "type": PATH,
    "help": "Save the result to FILE. Several results are saved as FILE_0, FILE_1, … before the "
    "suffix. The suffix determines the format of rows: .json, .ndjson, .csv or .parquet. With -, "
    "only the bytes of a single result are written to stdout.",
}
"""The settings of -o, which some commands require."""
OVERWRITE = click.option(
    "--overwrite/--no-overwrite", default=True, help="Whether a file may be replaced."
)
KEEP_URLS = click.option(
    "--keep-urls",
    is_flag=True,
    help="Store the signed URLs of the results in the list of runs (mode 0600), for `dcipher "
    "runs download TASK`. Whoever reads them can read the results.",
)
REVEAL_URLS = click.option(
    "--reveal-urls", is_flag=True, help="Print signed URLs in --json and --jsonl, instead of null."
)
NO_LEDGER = click.option(
    "--no-ledger",
    is_flag=True,
    help="Do not store the run in `dcipher runs list` (DCIPHER_NO_LEDGER).",
)


_WRITTEN = re.compile(
    r"(?P<plain>[0-9]{1,9})|(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII
)


def seconds(text: str, option: str) -> int:
    """Returns the seconds of a duration. Raises `CommandError` for an invalid one."""
    match = _WRITTEN.fullmatch(text)
    if match is None or not text:
        raise UsageError(
            f"{option}: {text[:40]!r} is not a duration. Write 90, 90s, 30m, 2h or 1h30m."
        )
    plain, *parts = match.groups()
    if plain:
        return int(plain)
    hours, minutes, rest = (int(part or 0) for part in parts)
    return 3600 * hours + 60 * minutes + rest
