"""The parts of reading results that async and sync code share: source, format, errors."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from dcipher._files.storage_errors import storage_errors
from dcipher._masking.text import clean
from dcipher._results.downloads.transfers.sources import Problem, Source, TransferError
from dcipher._results.downloads.transfers.transfer import FRESH, Transfer
from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.compression import opened
from dcipher._results.parsing.row_errors import ResultReadError
from dcipher._results.rows.documents import detect_format
from dcipher._wire.errors.run_names import anew
from dcipher.errors import (
    IntegrityError,
    InvalidParamsError,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
    ResultParseError,
)
from dcipher.errors._hints import with_hint

from .missing_outputs import without_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractContextManager

    from dcipher._results.parsing.compression import Readable
    from dcipher._results.rows.reading import Format
    from dcipher.models import Run

__all__ = [
    "HEAD",
    "Rewindable",
    "check_type",
    "format_of",
    "parse_errors",
    "result_errors",
    "source_of",
    "take",
    "type_errors",
]


HEAD = 64 * 1024
"""Bytes from which the format of a result is detected, if nothing else tells it."""


class Rewindable:
    """A temporary file, or memory, as the target of a download. Nothing of it is kept."""

    def __init__(self, file: BinaryIO, run: Run, index: int) -> None:
        self._file = file
        # Python determines the folder only when it creates a file; there may be none.
        self.storage_errors: Callable[[], AbstractContextManager[None]] = partial(
            storage_errors, Path(tempfile.tempdir or "the temporary folder"), run, index
        )

    def writelines(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Appends the chunks."""
        with self.storage_errors():
            self._file.writelines(chunks)

    def restart(self) -> None:
        """Removes the content."""
        with self.storage_errors():
            self._file.seek(0)
            self._file.truncate()

    def rewound(self, head: int) -> bytes:
        """Returns the first bytes of the complete content. The file is at its beginning."""
        with self.storage_errors():
            self._file.seek(0)
            beginning = self._file.read(head)
            self._file.seek(0)
            return beginning

    def opened(self) -> Readable:
        """Returns a reader of the decompressed content, from its beginning."""
        with self.storage_errors():
            self._file.seek(0)
            return opened(self._file)

    def resume(self) -> Transfer:
        """Returns a new transfer: there is nothing to resume."""
        return Transfer()

    def read(self, _start: int, _end: int, /) -> Iterable[bytes]:
        """Returns nothing: nothing was resumed."""
        return ()

    def seek(self, _: int, /) -> None:
        """Does nothing: the file is at the position."""

    def reserve(self, _: int, /) -> bool:
        """Returns False: the file is written from its beginning to its end."""
        return False

    def write_at(self, _place: int, _chunk: bytes | memoryview, /) -> None:
        """Is never called: nothing can be reserved."""
        raise NotImplementedError

    def persist(self, _: Transfer, /) -> bool:
        """Returns False: nothing is kept."""
        return False

    def discard(self) -> None:
        """Does nothing."""

    def prepare(self) -> None:
        """Does nothing."""

    def commit(self) -> None:
        """Does nothing: the owner of the file reads it now."""

    def close(self) -> None:
        """Does nothing: the owner of the file closes it."""


def source_of(
    run: Run,
    index: int,
    *,
    allow_insecure: bool,
    may_lead_here: bool,
    require_integrity: bool,
    keeps_encoded: bool = False,
) -> Source:
    """Returns the source of a result. Raises `ResultError` if its URL is not known."""
    output = run.outputs[index]
    if output.url is None:
        raise without_outputs(run, index)
    url = output.url.get_secret_value()
    return Source(
        url=url,
        identity=_identity(run, index, url),
        expires_at=output.expires_at.timestamp() if output.expires_at is not None else None,
        fresh_until=(run.finished_at or datetime.now(timezone.utc)).timestamp() + FRESH,
        allow_insecure=allow_insecure,
        may_lead_here=may_lead_here,
        require_integrity=require_integrity,
        keeps_encoded=keeps_encoded and not require_integrity,
    )


def _identity(run: Run, index: int, url: str) -> str:
    """Returns an id of the result for all its downloads. It is stored on disk, so it has no secret."""
    parts = (run.flow_id, run.task_id, str(index), url.partition("?")[0])
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def format_of(run: Run, index: int, transfer: Transfer, sink: Rewindable) -> Format:
    """Detects the format: JSON, NDJSON, CSV, Parquet or none of them. Rewinds the file.

    It uses the Content-Type, then the file name in the URL, then the first bytes.
    """
    url = run.outputs[index].url
    name = None if url is None else urlsplit(url.get_secret_value()).path.rpartition("/")[2]
    found = detect_format(transfer.content_type, name, sink.rewound(HEAD), sink.opened)
    _ = sink.rewound(0)
    return found


def take(rows: Iterator[Any], count: int) -> list[Any]:
    """Returns the next `count` rows; none at the end.

    An error is an item of the list, after the rows before it.
    """
    taken: list[Any] = []
    try:
        taken.extend(islice(rows, count))
    except ResultReadError as error:
        taken.append(error)
    return taken


def check_type(type_: Any) -> None:
    """Raises `InvalidParamsError` for a type that Pydantic does not support."""
    with type_errors():
        adapter_for(type_)


@contextmanager
def type_errors() -> Generator[None]:
    """Converts errors of Pydantic for an unsupported type to an `InvalidParamsError`."""
    try:
        yield
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise InvalidParamsError(
            f"Pydantic does not support this type: {clean(str(error))}"
        ) from None


@contextmanager
def parse_errors(run: Run, index: int) -> Generator[None]:
    """Converts errors of the parser to a `ResultParseError`, which has no values of the document."""
    try:
        with type_errors():
            yield
    except ResultReadError as error:
        failure = ResultParseError(
            f"Result {index} of run {run.task_id} is invalid: {error}.",
            run=run,
            output_index=index,
            location=error.location,
            errors=tuple(dict(detail) for detail in error.errors),
            row=error.row,
            line=error.line,
        )
        raise with_hint(failure, "Check the type, or read it as bytes.") from None


_CLASSES: dict[Problem, type[ResultError]] = {
    Problem.EXPIRED: ResultExpiredError,
    Problem.CHANGED: ResultChangedError,
    Problem.BROKEN: IntegrityError,
    Problem.INTERRUPTED: IntegrityError,
    Problem.REFUSED: ResultError,
}
_ADVICE = {
    Problem.EXPIRED: "The service issues it only once: run the flow again, {new_key}.",
    Problem.CHANGED: "Nothing was saved, because that would mix two versions. Download it again.",
    Problem.BROKEN: "Nothing was saved. Download it again, and report this to the service's support.",
    Problem.INTERRUPTED: "Nothing was saved. Download it again: the result still exists.",
    Problem.REFUSED: "Download it again later. If that fails, too, run the flow again, {new_key}.",
}


@contextmanager
def result_errors(run: Run, index: int) -> Generator[None]:
    """Converts the error of a transfer to a `ResultError`."""
    try:
        yield
    except TransferError as error:
        error.__context__ = None  # httpx's, whose request has the signed URL
        advice = anew(run, error.advice or _ADVICE[error.problem])
        if error.kept:
            kept = f"{error.kept} bytes of it are kept: to resume, download to the same path."
            advice = kept, kept
        failure = _CLASSES[error.problem](
            f"Result {index} of run {run.task_id} could not be fetched: {error}.",
            run=run,
            output_index=index,
        )
        raise with_hint(failure, *advice) from None
