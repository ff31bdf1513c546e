"""Saves results and runs to files, a folder, or standard output."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dcipher._results.outputs.failures import HEAD
from dcipher._results.rows.documents import detect_format
from dcipher._results.rows.reading import Format
from dcipher.cli.app.explanations import repeat_with
from dcipher.cli.state.folder import write_private
from dcipher.cli.terminal.errors import CommandError, UsageError
from dcipher.cli.terminal.output import unwritable
from dcipher.cli.terminal.progress import progress
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from dcipher import Dcipher
    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.terminal.output import Output
    from dcipher.models import Run

__all__ = ["STDOUT", "check_output", "check_run_file", "download_all", "save_results", "save_run"]

PACKED = {".gz": b"\x1f\x8b", ".gzip": b"\x1f\x8b", ".zst": b"\x28\xb5", ".zstd": b"\x28\xb5"}
"""Suffix → the first bytes of such a file."""
FOREIGN = frozenset(
    {".arrow", ".avro", ".feather", ".orc", ".tsv", ".xls", ".xlsx", ".xml", ".zip"}
)
"""Suffixes of formats that a result may have, but that cannot be written here."""

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
        raise UsageError(
            "-o - writes only the result to stdout: remove --json, --jsonl and --quiet."
        )
    elif sys.stdout is None:
        raise UsageError("-o -: there is no standard output.")


def save_results(
    client: Dcipher, run: Run, path: Path, output: Output, *, overwrite: bool
) -> tuple[Path, ...]:
    """Downloads the results of `run`. Returns the files; none for stdout."""
    if path != STDOUT:
        with progress(output) as display:
            files = client.runs.download(run, path, overwrite=overwrite, on_progress=display.bytes)
        for file in files:
            as_named(file, output)
        return files
    _one_only(run)
    with tempfile.TemporaryDirectory(prefix="dcipher-") as folder:
        file = Path(folder, "result")
        with progress(output) as display:
            client.runs.download(run, file, on_progress=display.bytes)
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
    return repeat_with(key, "-o FILE") if key else "repeat the command with -o FILE"


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
        raise UsageError("--save-run needs a file: its content gives access to the results.")
    if path is not None:
        from dcipher._files.paths import check_target
        from dcipher._files.replacement import check_folder

        try:
            check_folder(path.parent)
            check_target(path, overwrite=overwrite)
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError(f"--save-run: {path} cannot be written: {why}.") from None


def save_run(run: Run, path: Path) -> None:
    """Writes `run` with its signed URLs to a private file, atomically."""
    write_private(path, run.to_json(reveal=True) + "\n")


def download_all(call: Invocation, runs: Sequence[Run], output: Path, *, overwrite: bool) -> None:
    """Saves the results of each run. The first failure ends the command."""
    for run in runs:
        _require_urls(run)
    targets = _targets(runs, output)
    for target in targets:
        check_output(target, call.output, overwrite=overwrite)
    records: list[dict[str, str]] = []
    with call.client() as client:
        for run, target in zip(runs, targets, strict=True):
            files = save_results(client, run, target, call.output, overwrite=overwrite)
            records += [
                {"task_id": run.task_id, "flow_id": run.flow_id, "file": str(file)}
                for file in files
            ]
    if output != STDOUT:
        call.output.data(records, key="file", text=_file)


def _file(record: Mapping[str, object]) -> str:
    return str(record["file"])


def _targets(runs: Sequence[Run], output: Path) -> list[Path]:
    if len(runs) == 1:
        return [output]
    if output == STDOUT or not output.is_dir():
        raise UsageError(f"-o {output}: for the results of several runs, pass an existing folder.")
    return [output / _name(run.task_id) for run in runs]


def _name(task_id: str) -> str:
    """Returns an id as a file name in the folder: a service may send `/etc/x`."""
    quoted = quote(task_id, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def _require_urls(run: Run) -> None:
    if run.outputs and all(output.url is not None for output in run.outputs):
        return
    key = run.idempotency_key
    known = shlex.quote(key) if key else "and the key of the first start"
    raise CommandError(
        f"The URLs of the results of run {run.task_id} are not known here. The service sends them "
        "once, in the response to the start, and only `flows run --save-run FILE` or `--keep-urls` "
        "stores them.",
        next_step=f"repeat `dcipher flows run` with -o FILE --idempotency-key {known} (it starts no "
        "second run)",
    )


def check_format(path: Path) -> None:
    """Checks whether the format of a name can be written here. Raises `CommandError`."""
    if path.suffix.lower() == ".parquet":
        from dcipher.cli.results.converting import parquet_library

        parquet_library()


def as_named(file: Path, output: Output) -> None:
    """Converts a result whose file has the name of another format, as `results convert` does.

    Raises `CommandError` if it has no rows to convert. The original file then remains beside it. If
    the format cannot be written, the file is unchanged, and a warning is printed.
    """
    with file.open("rb") as source:
        head = source.read(HEAD)
    found, wanted = detect_format(None, None, head), detect_format(None, file.name, b"")
    is_to_pack = file.suffix.lower() in PACKED and not head.startswith(PACKED[file.suffix.lower()])
    if not (is_to_pack or _differ(found, wanted)):
        if found is not Format.BINARY and file.suffix.lower() in FOREIGN:
            _warn(file, found, output)
        return
    from dcipher.cli.results.converting import Target, write_rows

    try:
        target = Target.of(str(file), None, overwrite=True)
    except CommandError:  # .json.zst, .parquet.gz
        _warn(file, found, output)
        return
    if not _differ(found, wanted):
        with file.open("rb") as source, target.opened() as packed:
            shutil.copyfileobj(source, packed)
        return
    try:
        if found is Format.BINARY:
            raise CommandError("It has no rows.")  # noqa: TRY301 - as if they were not readable
        write_rows([str(file)], target, None, found.value)
    except BaseException as error:  # the format matches the name, also after Ctrl-C
        kept = file.with_name(f"{file.name}.{found.value}")
        file.replace(kept)
        if not isinstance(error, DcipherError):
            raise
        raise CommandError(
            f"The result is {_words(found)} and was not written as {wanted.value}; it is kept as "
            f"{kept}. {error.message}"
        ) from error


def _warn(file: Path, found: Format, output: Output) -> None:
    output.warn(
        f"warning: {file} is {_words(found)}, despite its name: -o writes .json, .ndjson, .csv, each also "
        "with .gz, and .parquet"
    )


def _words(found: Format) -> str:
    return "text or bytes" if found is Format.BINARY else found.value


def _differ(found: Format, wanted: Format) -> bool:
    if found is Format.BINARY and wanted is Format.PARQUET:  # its own first bytes are certain
        return True
    if Format.BINARY in {found, wanted}:  # no format in the name, or no rows
        return False
    # Text that looks like CSV may be prose: it remains unchanged.
    return found is not wanted and (found is not Format.CSV or wanted is Format.PARQUET)
