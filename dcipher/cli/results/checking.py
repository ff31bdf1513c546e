"""`dcipher results head` and `validate`."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from click.exceptions import Exit

from dcipher._files.paths import check_target
from dcipher._files.replacement import replacing
from dcipher._files.storage_errors import storage_errors
from dcipher._results.local_files import LocalResult
from dcipher._results.outputs.failures import check_type
from dcipher._results.parsing.row_errors import InvalidRow
from dcipher._results.rows.reading import Format
from dcipher.cli.app.imports import import_name
from dcipher.cli.results.row_bytes import VALUE, plain_value
from dcipher.cli.results.validation import Validation, parse_limit
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError
from dcipher.cli.terminal.output import Form, Output
from dcipher.cli.terminal.text import is_terminal
from dcipher.errors import ResultParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dcipher.cli.app.invocation import Invocation

__all__ = ["ANY", "Checks", "head", "opened", "type_named", "validate"]

ANY = cast("type[object]", Any)
"""Rows without a model."""


@contextmanager
def opened(file: str, format_: str | None) -> Generator[LocalResult]:
    """Opens a result file, or standard input for `-`. Raises `CommandError`."""
    with _binary(file) as source:
        name = "standard input" if file == "-" else file
        result = LocalResult(source, name, None if format_ is None else Format(format_))
        try:
            yield result
        finally:
            result.close()


def _binary(file: str) -> Any:
    if file == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise CommandError("There is no standard input.", ExitCode.USAGE)
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        said = getattr(error, "strerror", None) or error
        raise CommandError(f"{file} cannot be read: {said}.", ExitCode.USAGE) from None


def type_named(model: str) -> Any:
    """Returns the type of `--model`. Raises `CommandError` or `InvalidParamsError`."""
    found = import_name(model, "--model")
    check_type(found)
    return found


def head(call: Invocation, file: str, count: int, format_: str | None) -> None:
    """Prints the first rows."""
    output = call.output
    if output.form is Form.IDS or (output.form is Form.TEXT and not is_terminal(sys.stdout)):
        output = Output(Form.JSONL)  # rows have no ids
    refused: list[InvalidRow] = []
    with opened(file, format_) as source:
        rows = _fitting(islice(source.rows(ANY), count), refused)
        named = output.form is Form.TEXT
        output.data(cast("Any", (_named(row) if named else plain_value(row) for row in rows)))
    for row in refused:
        call.output.warn(f"{file}: {row.error()}.")
    if refused:
        raise Exit(ExitCode.INVALID_ROWS)


def _fitting(rows: Iterator[object | InvalidRow], refused: list[InvalidRow]) -> Iterator[object]:
    for row in rows:
        if isinstance(row, InvalidRow):
            refused.append(row)
        else:
            yield row


def _named(row: object) -> dict[str, Any]:
    plain = plain_value(row)
    return cast("dict[str, Any]", plain) if isinstance(plain, dict) else {VALUE: plain}


@dataclass(frozen=True)
class Checks:
    """The options of the validation."""

    on_invalid: str
    max_invalid: str | None
    rejects: Path | None
    keep_raw: bool
    overwrite: bool

    def __post_init__(self) -> None:
        """Rejects contradicting options, as `runs.records` does."""
        if self.max_invalid is not None and self.on_invalid == "raise":
            raise _usage("--max-invalid needs --on-invalid collect or drop.")
        for option in ("rejects", "keep_raw"):
            if getattr(self, option) and self.on_invalid != "collect":
                raise _usage(f"--{option.replace('_', '-')} needs --on-invalid collect.")
        if str(self.rejects) == "-":
            raise _usage("--rejects needs a file: the counts are printed to standard output.")


def _usage(message: str) -> CommandError:
    return CommandError(message, ExitCode.USAGE)


def validate(
    call: Invocation, file: str, model: str, checks: Checks, format_: str | None
) -> ExitCode:
    """Validates each row, and prints the result. Returns the exit code."""
    found = Validation(parse_limit(checks.max_invalid), keep_raw=checks.keep_raw)
    type_ = type_named(model)
    broken: ResultParseError | None = None
    with opened(file, format_) as source, _rejects(checks) as keep:
        try:
            _check(source.rows(type_), found, checks, keep)
        except ResultParseError as error:  # the earlier rows are reported
            broken = error
    _report(call.output, file, found, counts_alone=checks.on_invalid == "drop")
    if broken is not None:
        raise broken
    return found.code


def _check(
    rows: Iterator[Any], found: Validation, checks: Checks, keep: Callable[[bytes], object]
) -> None:
    for row in rows:
        found.rows += 1
        if not isinstance(row, InvalidRow):
            continue
        keep(found.reject(row)._line())  # noqa: SLF001 - ours
        if checks.on_invalid == "raise" or found.too_many():
            return


@contextmanager
def _rejects(checks: Checks) -> Generator[Callable[[bytes], object]]:
    path = checks.rejects
    if path is None:
        yield len  # nothing is stored
        return
    with storage_errors(path):
        check_target(path, overwrite=checks.overwrite)
        with replacing(path) as file:
            yield file.write


def _report(output: Output, file: str, found: Validation, *, counts_alone: bool) -> None:
    record = found.record(file)
    if counts_alone:
        record["first"] = []
    if output.structured or output.quiet:
        output.data(record, key="invalid")
        return
    output.data({name: record[name] for name in ("file", "rows", "invalid")})
    if found.invalid:
        output.data([{"error": kind, "times": n} for kind, n in record["errors"].items()])
    if record["first"]:
        output.data(found.first)
