# Generated from dcipher/_batch/engine/results_async.py by scripts/unasync.py: edit that, not this.
"""The result of a row: fetched, validated, saved."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dcipher._batch.inputs.names import stem_of, suffix_of
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._files.storage_errors import storage_errors
from dcipher._results.outputs.failures import parse_errors
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._results.results import Results
from dcipher._results.rows.documents import detect_format, parse_document
from dcipher._results.rows.reading import Format
from dcipher.errors import ResultExpiredError, ResultParseError
from dcipher.errors._hints import with_hint

from .failures import advised

if TYPE_CHECKING:
    from dcipher._batch.journal.states import Row
    from dcipher._wire.api import API
    from dcipher.models import Run

    from .plan import Plan

__all__ = ["Fetched", "RowResults"]

SMALL: Final = 65_536
"""Bytes up to which a result is validated on the event loop: a thread would cost more."""
_HEAD: Final = 65_536


@dataclass
class Fetched:
    """The result of a row."""

    value: Any = None
    files: tuple[Path, ...] = ()
    columns: dict[str, Any] | None = None
    """The columns of the journal for it."""


class RowResults:
    """Fetches the results of the rows of one batch.

    `read`: the type; `None` if they are only saved.
    """

    def __init__(self, api: API, plan: Plan, read: Any) -> None:
        self._results = Results(api)
        self._plan = plan
        self._read = read
        # For the next call. A saved result is in its file.
        self._keeps = plan.journal is not None and plan.save is None

    def fetch(self, run: Run, key: str) -> Fetched:
        """Fetches the result of a run that has succeeded. Raises a `ResultError`."""
        if not run.outputs:
            raise without_outputs(run)
        if self._read is not None and len(run.outputs) > 1:
            raise _several(run)
        if self._plan.save is not None:
            return self._saved(run, key, self._plan.save)
        body, format_ = self._results.document(run, 0)
        kept = {"result": body, "format": format_.value} if self._keeps else {}
        try:
            return Fetched(self._parsed(run, body, format_), columns=kept)
        except ResultParseError as error:
            raise RejectedError(error, kept) from None

    def _saved(self, run: Run, key: str, folder: Path) -> Fetched:
        count, stem = len(run.outputs), stem_of(key)
        names = [
            (stem if count == 1 else f"{stem}_{i}") + suffix_of(output)
            for i, output in enumerate(run.outputs)
        ]
        paths = [folder / name for name in names]
        self._results.save_all(
            run, paths, overwrite=True, on_progress=None, require_integrity=False, max_connections=1
        )
        paths, known = in_thread(_named_and_digested, run, paths)
        files, columns = tuple(paths), {"files": json.dumps(known)}
        if self._read is None:
            return Fetched(None, files, columns)
        try:
            return Fetched(self._from_file(run, paths[0]), files, columns)
        except ResultParseError as error:
            raise RejectedError(error, columns, files) from None

    def _from_file(self, run: Run, path: Path) -> Any:
        with storage_errors(path, run, 0):
            body = in_thread(path.read_bytes)
        return self._parsed(run, body, detect_format(None, path.name, body[:_HEAD]))

    def _parsed(self, run: Run, body: bytes, format_: Format) -> Any:
        with parse_errors(run, 0):
            if len(body) <= SMALL:
                return parse_document(body, self._read, format_)
            return in_thread(parse_document, body, self._read, format_)

    def again(self, row: Row, run: Run) -> Fetched:
        """Returns the result of a row of an earlier call, from the journal or its files.

        Raises `ResultExpiredError` if it is no longer there, and `ResultParseError`.
        """
        if row.files:
            files = in_thread(_unchanged, row.files)
            if files is not None and (self._read is None or len(files) == 1):
                value = None if self._read is None else self._from_file(run, files[0])
                return Fetched(value, files)
        if self._plan.save is None and self._read is None:
            return Fetched()
        if self._plan.save is None and row.result is not None:
            return Fetched(self._parsed(run, row.result, Format(row.format)))
        error = ResultExpiredError(
            f"The result of run {run.task_id} is no longer available, neither in the journal nor as a file.",
            run=run,
        )
        raise advised(error)


class RejectedError(Exception):
    """A result that does not match the type, with its columns of the journal."""

    def __init__(
        self, error: ResultParseError, columns: dict[str, Any], files: tuple[Path, ...] = ()
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.columns = columns
        self.files = files


def _several(run: Run) -> ResultParseError:
    return with_hint(
        ResultParseError(
            f"Run {run.task_id} has {len(run.outputs)} results, but read=… accepts only one.",
            run=run,
        ),
        "Save them: pass save=….",
    )


def _named_and_digested(run: Run, paths: list[Path]) -> tuple[list[Path], list[list[Any]]]:
    """Adds the suffix of the format to a file without one; returns path, size and SHA-256 of each."""
    named = [_with_suffix(run, index, path) for index, path in enumerate(paths)]
    known: list[list[Any]] = []
    for path in named:
        with storage_errors(path, run), path.open("rb") as file:
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            known.append([str(path), file.tell(), digest.hexdigest()])
    return named, known


def _with_suffix(run: Run, index: int, path: Path) -> Path:
    if suffix_of(run.outputs[index]):
        return path
    with storage_errors(path, run, index):
        with path.open("rb") as file:
            format_ = detect_format(None, None, file.read(_HEAD))
        if format_ is Format.BINARY:
            return path
        target = path.with_name(f"{path.name}.{format_.value}")
        os.replace(path, target)  # noqa: PTH105 - as everywhere
        return target


def _unchanged(files: str) -> tuple[Path, ...] | None:
    """Returns the files, or `None` if one of them is missing or has another size."""
    known = [(Path(path), size) for path, size, _ in json.loads(files)]
    for path, size in known:
        if not path.is_file() or path.stat().st_size != size:
            return None
    return tuple(path for path, _ in known)
