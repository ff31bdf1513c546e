"""`dcipher runs download`: the results of runs whose signed URLs were kept."""

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
    """Save the results of each; the first that fails ends the command."""
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
            f"-o {output}: for the results of several runs, name a folder that is there.",
            ExitCode.USAGE,
        )
    return [output / _name(run.task_id) for run in runs]


def _name(task_id: str) -> str:
    """An id as the name of a file in the folder that was named: a service may answer `/etc/x`."""
    quoted = quote(task_id, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def _require_urls(run: Run) -> None:
    if run.outputs and all(output.url is not None for output in run.outputs):
        return
    key = (
        f" --idempotency-key {shlex.quote(run.idempotency_key)}"
        if run.idempotency_key
        else " --idempotency-key and the key of the first time"
    )
    raise CommandError(
        f"The URLs of the results of run {run.task_id} are not known here: the service gives them "
        "once, in the answer to the start, and they are kept only by `flows run --save-run FILE` or "
        "`--keep-urls`.",
        next_step=f"the same `dcipher flows run` again, with -o FILE{key} (it starts no second run)",
    )
