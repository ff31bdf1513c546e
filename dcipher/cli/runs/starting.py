"""`dcipher flows run`: checks the target, starts the run, stores it, waits, saves the results."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcipher.cli.app.explanations import repeat_with
from dcipher.cli.app.signals import deferred
from dcipher.cli.runs.run_records import COLUMNS, run_record
from dcipher.cli.runs.saving import STDOUT, check_output, check_run_file, save_results, save_run
from dcipher.cli.runs.waiting import wait_for
from dcipher.cli.terminal.errors import UsageError
from dcipher.cli.terminal.text import printable
from dcipher.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher import Dcipher
    from dcipher._wire.messages.operations import Operation
    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Run

__all__ = ["Start", "as_curl", "dry_run", "run_flow"]

LONGEST = 8_000
"""Bytes of a body within the command. On Linux, an argument may have 128 KiB."""


@dataclass(frozen=True)
class Start:
    """The arguments of `flows run`."""

    flow: str
    params: dict[str, Any]
    wait: bool
    timeout: int | None
    output: Path | None
    idempotency_key: str
    overwrite: bool
    save_run: Path | None
    reveal_urls: bool


def run_flow(call: Invocation, start: Start) -> None:
    """Runs the flow as requested."""
    check_output(start.output, call.output, overwrite=start.overwrite)
    check_run_file(start.save_run, overwrite=start.overwrite)
    if start.save_run is not None and start.save_run == start.output:
        raise UsageError("-o and --save-run name the same file.")
    call.followed.saving = start.output is not None
    with call.client() as client:
        run = _started(call, client, start)
        try:
            if start.wait:
                run = wait_for(call, client, run, start.timeout)
        except RunError as error:
            if start.output != STDOUT:
                _show(call, error.run, start, reported=True)
            raise
        files: Sequence[Path] = ()
        if start.output is not None:
            files = save_results(client, run, start.output, call.output, overwrite=start.overwrite)
    if start.output != STDOUT:
        _show(call, run, start, files)
    if _is_lost(call, run, start):
        call.output.note(
            f"The result was not saved. To save it, {repeat_with(start.idempotency_key, '-o FILE')}."
        )


def _is_lost(call: Invocation, run: Run, start: Start) -> bool:
    """Returns whether neither the result of a succeeded run nor its URLs were saved or printed."""
    followed = call.followed
    printed = start.reveal_urls and call.output.structured
    kept = start.output or start.save_run or (followed.urls and followed.is_recorded)
    return run.succeeded and bool(run.outputs) and not (kept or printed)


def _started(call: Invocation, client: Dcipher, start: Start) -> Run:
    """Starts the run, and stores it before anything else can happen."""
    followed = call.followed
    key = start.idempotency_key
    followed.params = start.params
    deferral = _DEFERRED.format(key)
    with deferred(lambda: call.output.warn(deferral)):
        with followed.starting(start.flow, key):
            run = client.flows.start(start.flow, start.params, idempotency_key=key)
        began = "was started before" if followed.is_known(run) else "started"
        followed.record(run)
        if start.save_run is not None:
            # The run is started and paid for: it continues without the file.
            try:
                save_run(run, start.save_run)
            except OSError as error:
                why = f"{start.save_run} cannot be written: {error.strerror}"
                call.output.warn(f"warning: --save-run: {why}. Next: {repeat_with(key)}")
    call.output.note(f"Run {run.task_id} of flow {run.flow_id} {began}.")
    if call.output.quiet:  # at once, so that the id is printed whatever happens
        call.output.data(run_record(run), key="task_id")
    return run


# With the key: a program that does not stop in time is killed.
_DEFERRED = "Stopping after the response to the start (idempotency key {}). Press Ctrl-C again to stop at once."


def _show(
    call: Invocation, run: Run, start: Start, files: Sequence[Path] = (), *, reported: bool = False
) -> None:
    if not call.output.quiet:
        reported = reported and not call.output.structured
        record = run_record(run, reveal=start.reveal_urls, files=files, reported=reported)
        call.output.data(record, columns=COLUMNS, key="task_id")


def dry_run(call: Invocation, start: Start) -> None:
    """Checks the params against the flow, and prints the request. Nothing is started."""
    from dcipher._flow_types.fitting import problems
    from dcipher._wire.messages.operations import start_run

    check_output(start.output, call.output, overwrite=start.overwrite)
    operation = start_run(start.flow, start.params, start.idempotency_key)
    with call.client() as client:
        flow = client.flows.get(start.flow)
    found = problems(flow, start.params)
    if found:
        raise UsageError(
            f"The params do not match flow {flow.id}: {'; '.join(found)}.",
            next_step=f"dcipher flows get {start.flow}",
            details={"problems": found},
        )
    line, file = as_curl(operation, call.configuration.base_url)
    if file is not None:
        call.output.note(f"The body is in {file}.")
    if call.configuration.api_secret is not None:
        call.output.note("curl cannot sign: DCIPHER_API_SECRET is set, and dcipher signs requests.")
    if call.output.structured:
        record = {"flow_id": flow.id, "params": start.params, "curl": line}
        call.output.data(record, key="flow_id")
    else:
        call.output.data(line)


def as_curl(operation: Operation, base_url: str) -> tuple[str, Path | None]:
    """Returns the command, and the file with the body if that is long or cannot be printed."""
    content = operation.content or b"{}"
    file = (
        None
        if len(content) <= LONGEST and _can_be_printed(content.decode())
        else _in_a_file(content)
    )
    # --data-binary sends the bytes unchanged. @ begins a file name; no JSON begins with it.
    body = f"@{file}" if file else content.decode()
    words = [
        *("curl", "--fail-with-body", "--silent", "--show-error", "--globoff", "--request", "POST"),
        shlex.quote(f"{base_url}{operation.target}"),
        *("--header", '"Authorization: Api-Key $DCIPHER_API_KEY"'),
        *("--header", shlex.quote("Content-Type: application/json")),
        *("--header", shlex.quote("Accept: application/json")),
        *("--header", shlex.quote(f"Idempotency-Key: {operation.idempotency_key}")),
        *("--data-binary", shlex.quote(body)),
    ]
    return " ".join(words), file


def _can_be_printed(text: str) -> bool:
    """Returns whether the text is printed unchanged: some characters are escaped on stdout."""
    try:
        _ = text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return printable(text) == text


def _in_a_file(content: bytes) -> Path:
    # mkstemp creates a private file.
    handle, name = tempfile.mkstemp(prefix="dcipher-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(name)
