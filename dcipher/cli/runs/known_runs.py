"""Finds the run of a task id, by `--flow`, `--run` or the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher.cli.state.ledger import Ledger
from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Run

__all__ = ["known_runs"]


def known_runs(
    call: Invocation, tasks: Sequence[str], flow: str | None, document: Path | None
) -> list[Run]:
    """Returns the given runs, as far as they are known here. Raises `CommandError`."""
    if document is not None:
        return [_from_document(call, document, tasks, flow)]
    if not tasks:
        raise UsageError("Pass a TASK, or --run FILE.")
    return [_from_ledger(call, task, flow) for task in dict.fromkeys(tasks)]


def _from_document(call: Invocation, path: Path, tasks: Sequence[str], flow: str | None) -> Run:
    from pydantic import ValidationError

    from dcipher.models import Run

    try:
        run = Run.from_json(call.read(path, "--run"))
    except ValidationError:
        raise UsageError(
            f"--run: {path} is not a run as --save-run, --json or run.to_json() write it."
        ) from None
    if set(tasks) - {run.task_id} or flow not in {None, run.flow_id}:
        raise UsageError(
            f"--run: {path} is run {run.task_id} of flow {run.flow_id}, which differs from TASK or --flow."
        )
    return run


def _from_ledger(call: Invocation, task: str, flow: str | None) -> Run:
    from dcipher.models import Run

    try:
        entry = Ledger().find(task, flow)
    except OSError as error:
        call.output.note(f"warning: the list of runs cannot be read: {error}.")
        entry = None
    if entry is not None:
        return _run(entry)
    if flow is None:
        raise UsageError(
            f"The flow of run {task} is not known: the run is not in the list of runs.",
            next_step="the same command with --flow FLOW, the id of its flow",
        )
    return Run(flow_id=flow, task_id=task)


def _run(entry: dict[str, Any]) -> Run:
    """Returns the run of an entry, without its status, which the service has."""
    from dcipher.models import Run

    names = ("flow_id", "task_id", "idempotency_key", "created_at")
    known = {name: entry[name] for name in names}
    return Run.model_validate({**known, "outputs": entry["outputs"] or ()})
