"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from dcipher.cli.app.commands import argument
from dcipher.cli.app.options import option
from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

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


FLOW = argument("flow FLOW", "The id of the flow.", shell_complete=_from_ledger("flow_id"))
TASKS = argument(
    "tasks TASK", "The ids of one or more runs.", nargs=-1, shell_complete=_from_ledger("task_id")
)
FLOW_OPTION = option(
    "--flow FLOW",
    "The flow of the runs. Not needed for runs that were started on this machine.",
    shell_complete=_from_ledger("flow_id"),
)
RUN_FILE = option(
    "--run run_file FILE|-",
    "A run written by --save-run or run.to_json(), from a file or standard input.",
)


def _as_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    del ctx, param
    return None if value is None else seconds(value, "--timeout")


TIMEOUT = option(
    "--timeout DURATION",
    "How long to wait: 90, 90s, 30m, 2h, 1h30m. Default: until the run has ended.",
    callback=_as_seconds,
)
OUTPUT = partial(
    option,
    "--output -o FILE|-",
    "Save the result to FILE. Several results are saved as FILE_0, FILE_1, … before the suffix. The "
    "suffix determines the format of rows: .json, .ndjson, .csv or .parquet. With -, only the bytes "
    "of a single result are written to stdout.",
)
"""Some commands require it: `@OUTPUT(required=True)`."""
OVERWRITE = option("--overwrite/--no-overwrite", "Whether a file may be replaced.", default=True)
KEEP_URLS = option(
    "--keep-urls",
    "Store the signed URLs of the results in the list of runs (mode 0600), for `dcipher "
    "runs download TASK`. Anyone who reads them can read the results.",
)
REVEAL_URLS = option("--reveal-urls", "Print signed URLs in --json and --jsonl, instead of null.")
NO_LEDGER = option(
    "--no-ledger", "Do not store the run in `dcipher runs list` (DCIPHER_NO_LEDGER)."
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
