"""Errors of batches."""

from __future__ import annotations

import dcipher

from ._base import DcipherError

__all__ = [
    "BatchError",
    "JournalBusyError",
    "JournalConflictError",
    "JournalError",
    "TooManyFailuresError",
]


class BatchError(DcipherError):
    """A batch of `flows.map` cannot continue. Started runs continue."""

    def __init__(self, message: str = "", *, report: dcipher.BatchReport | None = None) -> None:
        super().__init__(message)
        self.report = report
        """The outcomes of the rows so far, or `None` if the batch failed before its first row."""


class TooManyFailuresError(BatchError):
    """More rows failed than `max_failures` allows."""


class JournalError(BatchError):
    """The journal cannot be opened, read or written."""


class JournalConflictError(JournalError):
    """The journal contradicts this call: other params for a key, or another base URL or API key."""


class JournalBusyError(JournalError):
    """Another process is using the journal."""
