"""Saves results and runs to files, a folder, or standard output."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dcipher.cli.runs.named_formats import as_named, check_format
from dcipher.cli.state.private_files import write_private
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError
from dcipher.cli.terminal.output import unwritable
from dcipher.cli.terminal.progress import progress

if TYPE_CHECKING:
    from typing import BinaryIO

    from dcipher import Dcipher
    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["STDOUT", "check_output", "check_run_file", "save_results", "save_run"]

STDOUT = Path("-")


def check_output(path: Path | None, output: Output, *, overwrite: bool) -> None:
    """Checks the target of results before anything is started. Raises `CommandError`."""
    if path is None:
        return
    if path != STDOUT:
        from dcipher._results.outputs.targets import check_targets

        check_targets(path, overwrite=overwrite)
        check_format(path)
    elif output.structured or output.quiet:
        raise CommandError(
            "-o - writes only the result to stdout: remove --json, --jsonl and --quiet.",
            ExitCode.USAGE,
        )
    elif sys.stdout is None:
        raise CommandError("-o -: there is no standard output.", ExitCode.USAGE)


def save_results(
    client: Dcipher, run: Run, path: Path, output: Output, *, overwrite: bool
) -> tuple[Path, ...]:
    """Downloads the results of `run`. Returns the files; none for stdout."""
    if path != STDOUT:
        with progress(output) as shown:
            files = client.runs.download(run, path, overwrite=overwrite, on_progress=shown.bytes)
        for file in files:
            as_named(file, output)
        return files
    _one_only(run)
    with tempfile.TemporaryDirectory(prefix="dcipher-") as folder:
        file = Path(folder, "result")
        with progress(output) as shown:
            client.runs.download(run, file, on_progress=shown.bytes)
        # After the progress bar, which clears the line of the cursor.
        _to_stdout(file, run)
    return ()


def _one_only(run: Run) -> None:
    if len(run.outputs) > 1:
        raise CommandError(
            f"Run {run.task_id} has {len(run.outputs)} results, but -o - writes only one.",
            next_step=_with_a_file(run),
        )


def _with_a_file(run: Run) -> str:
    key = run.idempotency_key
    same = f" --idempotency-key {shlex.quote(key)} (it starts no second run)" if key else ""
    return f"repeat the command with -o FILE{same}"


def _to_stdout(file: Path, run: Run) -> None:
    try:
        with file.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
            if sys.stdout.isatty() and not _ends_a_line(source):
                sys.stdout.buffer.write(b"\n")  # for the prompt that follows
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error, _with_a_file(run)) from None


def _ends_a_line(file: BinaryIO) -> bool:
    if file.tell() == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def check_run_file(path: Path | None, *, overwrite: bool) -> None:
    """Checks the target of --save-run before the run is started. Raises `CommandError`."""
    if path == STDOUT:
        raise CommandError(
            "--save-run needs a file: its content gives access to the results.", ExitCode.USAGE
        )
    if path is not None:
        from dcipher._files.paths import check_target
        from dcipher._files.replacement import check_folder

        try:
            check_folder(path.parent)
            check_target(path, overwrite=overwrite)
        except OSError as error:
            why = error.strerror or str(error)
            raise CommandError(
                f"--save-run: {path} cannot be written: {why}.", ExitCode.USAGE
            ) from None


def save_run(run: Run, path: Path) -> None:
    """Writes `run` with its signed URLs to a private file, atomically."""
    write_private(path, run.to_json(reveal=True) + "\n")
