"""`dcipher runs download`: saves the results of runs whose signed URLs were stored."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote

from dcipher.cli.runs.saving import STDOUT, check_output, save_results
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Run

__all__ = ["download_all"]


def download_all(call: Invocation, runs: Sequence[Run], output: Path, *, overwrite: bool) -> None:
    """Saves the results of each run. The first failure ends the command."""
    for run in runs:
        _require_urls(run)
    places = _places(runs, output)
    for place in places:
        check_output(place, call.output, overwrite=overwrite)
    records: list[dict[str, str]] = []
    with call.client() as client:
        for run, place in zip(runs, places, strict=True):
            files = save_results(client, run, place, call.output, overwrite=overwrite)
            records += [
                {"task_id": run.task_id, "flow_id": run.flow_id, "file": str(file)}
                for file in files
            ]
    if output != STDOUT:
        call.output.data(records, key="file", text=_file)


def _file(record: Mapping[str, object]) -> str:
    return str(record["file"])


def _places(runs: Sequence[Run], output: Path) -> list[Path]:
    if len(runs) == 1:
        return [output]
    if output == STDOUT or not output.is_dir():
        raise CommandError(
            f"-o {output}: for the results of several runs, pass an existing folder.",
            ExitCode.USAGE,
        )
    return [output / _name(run.task_id) for run in runs]


def _name(task_id: str) -> str:
    """Returns an id as a file name in the folder: a service may send `/etc/x`."""
    quoted = quote(task_id, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def _require_urls(run: Run) -> None:
    if run.outputs and all(output.url is not None for output in run.outputs):
        return
    key = (
        f" --idempotency-key {shlex.quote(run.idempotency_key)}"
        if run.idempotency_key
        else " --idempotency-key and the key of the first start"
    )
    raise CommandError(
        f"The URLs of the results of run {run.task_id} are not known here. The service sends them "
        "once, in the response to the start, and only `flows run --save-run FILE` or `--keep-urls` "
        "stores them.",
        next_step=f"repeat `dcipher flows run` with -o FILE{key} (it starts no second run)",
    )
