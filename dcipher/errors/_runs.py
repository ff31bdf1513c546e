"""Errors of runs, and of waiting for them."""

from __future__ import annotations

import dcipher

from ._base import DcipherError

__all__ = [
    "PollingInterruptedError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "WaitTimeoutError",
]


class RunError(DcipherError):
    """A run failed, was cancelled, or could not be waited for."""

    def __init__(self, message: str = "", *, run: dcipher.Run) -> None:
        super().__init__(message)
        self.run = run
        """The run as last reported. `client.runs.wait(error.run)` resumes waiting for it."""


class RunFailedError(RunError):
    """The run failed: its status is FAILED or CANCELFAILED."""


class RunCancelledError(RunError):
    """The run was cancelled: its status is CANCELLED."""


class WaitTimeoutError(RunError, TimeoutError):
    """The timeout of the wait has passed. The run continues."""


class PollingInterruptedError(RunError):
    """The API was unreachable for too long. The run may continue."""
