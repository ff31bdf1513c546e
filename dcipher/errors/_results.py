"""Errors of results."""

from __future__ import annotations

from typing import Any

import dcipher

from ._base import DcipherError

__all__ = [
    "IntegrityError",
    "LocalStorageError",
    "ResultChangedError",
    "ResultError",
    "ResultExpiredError",
    "ResultParseError",
    "TooManyInvalidRowsError",
]


class ResultError(DcipherError):
    """A result could not be fetched, read or saved."""

    def __init__(
        self, message: str = "", *, run: dcipher.Run | None = None, output_index: int | None = None
    ) -> None:
        super().__init__(message)
        self.run = run
        """The run, or `None` if the error was raised before its start."""
        self.output_index = output_index
        """The index in `run.outputs`, or `None` if the error is about all results."""


class ResultExpiredError(ResultError):
    """The signed URL has expired. The service issues it only once: run the flow again."""


class ResultChangedError(ResultError):
    """The result changed during the download. An existing file is intact."""


class IntegrityError(ResultError):
    """The received bytes do not match the announced length or digest. An existing file is intact."""


class ResultParseError(ResultError):
    """The result is malformed, or does not match the requested type."""

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        location: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        row: int | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message, run=run, output_index=output_index)
        self.location = location
        """The location in the result, such as `[17].score`."""
        self.errors = errors
        """The validation errors: `loc`, `type` and `msg` of each, without the values."""
        self.row = row
        """The number of the row in its result, from 0, or `None` if the error is not about a row."""
        self.line = line
        """The line in which the row begins, from 1, in NDJSON and CSV; otherwise `None`."""


class TooManyInvalidRowsError(ResultParseError):
    """More rows are invalid than `max_invalid` allows. Earlier rows were returned."""

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        location: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        rejects: dcipher.Rejects,
    ) -> None:
        super().__init__(
            message, run=run, output_index=output_index, location=location, errors=errors
        )
        self.rejects = rejects
        """The invalid rows: their number and the reasons; with `on_invalid="collect"`, each row."""


class LocalStorageError(ResultError, OSError):
    """A result cannot be saved. An existing file is intact, unless the message says otherwise.

    `errno` and `filename` are those of `OSError`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        errno: int | None = None,
        filename: str | None = None,
    ) -> None:
        super().__init__(message, run=run, output_index=output_index)
        self.errno = errno
        self.filename = filename

    # OSError keeps these two outside __dict__.
    def _state(self) -> dict[str, Any]:
        return {**vars(self), "errno": self.errno, "filename": self.filename}
