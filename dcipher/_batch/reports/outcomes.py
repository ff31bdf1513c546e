"""The outcome of a row: its run, its result, or its error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, cast

import dcipher
from dcipher import errors
from dcipher.errors import BatchError, DcipherError, RunError

if TYPE_CHECKING:
    from dcipher._batch.journal.states import Row

__all__ = ["Outcome", "OutcomeStatus", "error_text", "stored_error"]

T = TypeVar("T")

OutcomeStatus: TypeAlias = Literal["done", "failed", "cancelled", "unknown", "expired", "rejected"]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The outcome of one row."""

    key: str
    """The key of the row: from its column, or the SHA-256 of its params."""
    index: int
    """The number of the row in the input, from 0."""
    status: OutcomeStatus
    """`done`: the result is validated, saved, or both, as requested. `failed`: the run failed,
    or the service rejected its params. `cancelled`: the run was cancelled. `expired`: the run
    succeeded, but its result can no longer be fetched. `rejected`: the result does not match the type.
    `unknown`: it is not known whether the run was started."""
    run: dcipher.Run | None = None
    """The run as last reported, or `None`."""
    value: T | None = None
    """The result, with `read`."""
    files: tuple[Path, ...] = ()
    """The saved files, with `save`."""
    error: dcipher.DcipherError | None = None
    """The error, if the row is not `done`."""
    reused: bool = False
    """Whether it comes from the journal: nothing was sent for it."""

    def unwrap(self) -> T:
        """Returns the value. Raises the error of a row that is not `done`."""
        if self.status == "done":
            return cast("T", self.value)
        raise self.error or BatchError(f"Row {self.index} (key {self.key!r}) is {self.status}.")


def error_text(error: Exception) -> str:
    """Returns an error as text for the journal: its class and its message."""
    return json.dumps({"type": type(error).__name__, "message": str(error)})


def stored_error(row: Row, run: dcipher.Run | None) -> DcipherError | None:
    """Returns the error of a row from its text in the journal."""
    if row.error is None:
        return None
    told = json.loads(row.error)
    class_: object = getattr(errors, str(told.get("type")), None)
    message = str(told.get("message", ""))
    if not (isinstance(class_, type) and issubclass(class_, DcipherError)):
        return DcipherError(message)
    if issubclass(class_, RunError):
        return class_(message, run=run or dcipher.Run(flow_id="", task_id=""))
    try:
        return class_(message)
    except TypeError:  # it needs more than a message
        return DcipherError(message)
