"""What the results of a run need that is the same in async and sync code.

Where from, which format, which error.
"""

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

from dcipher._files import storage_errors
from dcipher._masking.text import clean
from dcipher._results.downloads.transfers.sources import Problem, Source, TransferError
from dcipher._results.downloads.transfers.transfer import FRESH, Transfer
from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.compression import opened
from dcipher._results.parsing.row_errors import ResultReadError
from dcipher._results.rows.documents import detect_format
from dcipher._wire.errors.run_names import new_key
from dcipher.errors import (
    IntegrityError,
    InvalidParamsError,
    ResultChangedError,
    ResultError,
    ResultExpiredError,
    ResultParseError,
)

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
"""Bytes that are looked at where nothing else says which format a result has."""


class Rewindable:
    """A temporary file, or memory, as a place where a download goes; nothing of it outlives us."""

    def __init__(self, file: BinaryIO, run: Run, index: int) -> None:
        self._file = file
        # Where that is, Python finds out only when a file is made there; or finds no place at all.
        self.storage_errors: Callable[[], AbstractContextManager[None]] = partial(
            storage_errors, Path(tempfile.tempdir or "the temporary folder"), run, index
        )

    def writelines(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Append."""
        with self.storage_errors():
            self._file.writelines(chunks)

    def restart(self) -> None:
        """Forget what was written."""
        with self.storage_errors():
            self._file.seek(0)
            self._file.truncate()

    def rewound(self, head: int) -> bytes:
        """The first bytes of what was written, which is whole; the file is at its beginning."""
        with self.storage_errors():
            self._file.seek(0)
            beginning = self._file.read(head)
            self._file.seek(0)
            return beginning

    def opened(self) -> Readable:
        """What was written, decompressed, from its beginning."""
        with self.storage_errors():
            self._file.seek(0)
            return opened(self._file)

    def take_up(self) -> Transfer:
        """A new transfer."""
        return Transfer()

    def written(self, _start: int, _end: int, /) -> Iterable[bytes]:
        """Nothing was taken up."""
        return ()

    def go_to(self, _: int, /) -> None:
        """It is there."""

    def reserve(self, _: int, /) -> bool:
        """It is written from its beginning to its end."""
        return False

    def write_at(self, _place: int, _chunk: bytes | memoryview, /) -> None:
        """Never asked for: there was no room to reserve."""
        raise NotImplementedError

    def keep(self, _: Transfer, /) -> bool:
        """It cannot."""
        return False

    def discard(self) -> None:
        """Nothing."""

    def prepare(self) -> None:
        """Nothing."""

    def commit(self) -> None:
        """Nothing: its owner reads it now."""

    def close(self) -> None:
        """Nothing: its owner does."""


def source_of(
    run: Run,
    index: int,
    *,
    allow_insecure: bool,
    may_lead_here: bool,
    require_integrity: bool,
    keeps_encoded: bool = False,
) -> Source:
    """Where a result is fetched from. Raises `ResultError` where its URL is not known."""
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
    """The same for each download of one result; no secret, for it is written to the disk."""
    parts = (run.flow_id, run.task_id, str(index), url.partition("?")[0])
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def format_of(run: Run, index: int, transfer: Transfer, sink: Rewindable) -> Format:
    """JSON, NDJSON, CSV, Parquet or none of them; what was fetched is at its beginning.

    By Content-Type, then by the name in the URL, then by the first bytes.
    """
    url = run.outputs[index].url
    name = None if url is None else urlsplit(url.get_secret_value()).path.rpartition("/")[2]
    found = detect_format(transfer.content_type, name, sink.rewound(HEAD), sink.opened)
    _ = sink.rewound(0)
    return found


def take(rows: Iterator[Any], count: int) -> list[Any]:
    """The next `count` rows; none at the end.

    An error stands in its place, after the rows before it.
    """
    taken: list[Any] = []
    try:
        taken.extend(islice(rows, count))
    except ResultReadError as error:
        taken.append(error)
    return taken


def check_type(type_: Any) -> None:
    """Raises `InvalidParamsError` for what Pydantic cannot validate as."""
    with type_errors():
        adapter_for(type_)


@contextmanager
def type_errors() -> Generator[None]:
    """Turns what Pydantic says of a type that it cannot validate as into an `InvalidParamsError`."""
    try:
        yield
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise InvalidParamsError(
            f"Pydantic knows no way to validate as that type: {clean(str(error))}"
        ) from None


@contextmanager
def parse_errors(run: Run, index: int) -> Generator[None]:
    """Turns what the parser raises into a `ResultParseError`, which holds no values of the document."""
    try:
        with type_errors():
            yield
    except ResultReadError as error:
        raise ResultParseError(
            f"Result {index} of run {run.task_id} does not fit: {error}. Check the type, or read it as bytes.",
            run=run,
            output_index=index,
            location=error.location,
            errors=tuple(dict(detail) for detail in error.errors),
            row=error.row,
            line=error.line,
        ) from None


_CLASSES: dict[Problem, type[ResultError]] = {
    Problem.EXPIRED: ResultExpiredError,
    Problem.CHANGED: ResultChangedError,
    Problem.BROKEN: IntegrityError,
    Problem.INTERRUPTED: IntegrityError,
    Problem.REFUSED: ResultError,
}
_ADVICE = {
    Problem.EXPIRED: "The service gives it only once: run the flow again, {new_key}.",
    Problem.CHANGED: "Nothing was put together from two versions. Download it again.",
    Problem.BROKEN: "Nothing was saved. Download it again, and tell the service's support.",
    Problem.INTERRUPTED: "Nothing was saved. Download it again; the run's result is still there.",
    Problem.REFUSED: "Download it again later; if that does not help, run the flow again, {new_key}.",
}


@contextmanager
def result_errors(run: Run, index: int) -> Generator[None]:
    """Turns a transfer that stopped into the `ResultError` that says so."""
    try:
        yield
    except TransferError as error:
        error.__context__ = None  # httpx's, whose request has the signed URL
        advice = _ADVICE[error.problem].replace("{new_key}", new_key(run))
        if error.kept:
            advice = f"{error.kept} bytes of it are kept: download to the same path, and it goes on there."
        raise _CLASSES[error.problem](
            f"Result {index} of run {run.task_id} could not be fetched: {error}. {advice}",
            run=run,
            output_index=index,
        ) from None
