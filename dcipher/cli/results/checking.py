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
from dcipher._results.outputs.row_policy import exceeds, reject_of
from dcipher._results.parsing.row_errors import InvalidRow
from dcipher._results.rows.reading import Format
from dcipher.cli.app.imports import import_name
from dcipher.cli.results.row_bytes import VALUE, plain_value
from dcipher.cli.terminal.errors import ExitCode, UsageError
from dcipher.cli.terminal.output import Form, Output
from dcipher.cli.terminal.text import is_terminal
from dcipher.errors import ResultParseError
from dcipher.rejects import Rejects

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dcipher.cli.app.invocation import Invocation
    from dcipher.rejects import Reject

__all__ = ["ANY", "Checks", "head", "opened", "parse_limit", "type_named", "validate"]

ANY = cast("type[object]", Any)
"""Rows without a model."""
SHOWN = 10
"""The number of errors whose locations are printed."""


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
            raise UsageError("There is no standard input.")
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file} cannot be read: {reason}.") from None


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
            raise UsageError("--max-invalid needs --on-invalid collect or drop.")
        for option in ("rejects", "keep_raw"):
            if getattr(self, option) and self.on_invalid != "collect":
                raise UsageError(f"--{option.replace('_', '-')} needs --on-invalid collect.")
        if str(self.rejects) == "-":
            raise UsageError("--rejects needs a file: the counts are printed to standard output.")


def validate(
    call: Invocation, file: str, model: str, checks: Checks, format_: str | None
) -> ExitCode:
    """Validates each row, and prints the result. Returns the exit code. Memory use is constant."""
    limit = parse_limit(checks.max_invalid)
    type_ = type_named(model)
    found = Rejects()
    broken: ResultParseError | None = None
    with opened(file, format_) as source, _rejects(checks) as keep:
        try:
            for row in source.rows(type_):
                found.read += 1
                if isinstance(row, InvalidRow):
                    reject = reject_of(row, keep_raw=checks.keep_raw)
                    keep(reject._line())  # noqa: SLF001 - ours
                    found._add(reject, keep=len(found) < SHOWN)  # noqa: SLF001 - ours
                    if checks.on_invalid == "raise" or _exceeds(found, limit):
                        break
        except ResultParseError as error:  # the earlier rows are reported
            broken = error
    _report(call.output, file, found, counts_alone=checks.on_invalid == "drop")
    if broken is not None:
        raise broken
    failed = _exceeds(found, 0 if limit is None else limit, at_end=True)
    return ExitCode.INVALID_ROWS if failed else ExitCode.OK


def _exceeds(found: Rejects, limit: float | None, *, at_end: bool = False) -> bool:
    return limit is not None and exceeds(found.total, found.read, limit, at_end=at_end)


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


def _report(output: Output, file: str, found: Rejects, *, counts_alone: bool) -> None:
    counts = {"file": file, "rows": found.read, "invalid": found.total}
    places = [place for reject in found for place in _places(reject)]
    first = [] if counts_alone else places[:SHOWN]
    if output.structured or output.quiet:
        output.data({**counts, "errors": found.counts(), "first": first}, key="invalid")
        return
    output.data(counts)
    if found.total:
        output.data([{"error": kind, "times": n} for kind, n in found.counts().items()])
    if first:
        output.data(first)


def parse_limit(text: str | None) -> float | None:
    """Parses `12`, a number of rows (int), or `5%`, a share of the rows (float from 0.0 to 1.0)."""
    if text is None:
        return None
    number = text.removesuffix("%")
    try:
        limit = int(text) if number == text else float(number) / 100
    except ValueError:
        limit = -1
    if not limit >= 0 or (isinstance(limit, float) and limit > 1):
        raise UsageError(
            f"--max-invalid is a number of rows, or a share of them such as 5%, not {text!r}."
        )
    return limit


def _places(reject: Reject) -> list[dict[str, Any]]:
    raw = {} if reject.raw is None else {"raw": reject.raw}
    line = {} if reject.line is None else {"line": reject.line}
    return [
        {
            "place": f"[{reject.row}]{_joined(reason.location)}",
            "type": reason.type,
            "message": reason.message,
            "row": reject.row,
            **line,
            **raw,
        }
        for reason in reject.errors
    ]


def _joined(location: str) -> str:
    return location if not location or location.startswith("[") else f".{location}"
