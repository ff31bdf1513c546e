"""What became of a row: its run, its result, or its error."""

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
    """What became of one row."""

    key: str
    """By which the row is known: its column, or the SHA-256 of its params."""
    index: int
    """Its number in the input, from 0."""
    status: OutcomeStatus
    """`done`: the result is validated, saved, or both, as it was asked for. `failed`: the run failed,
    or the service refused its params. `cancelled`: the run was cancelled. `expired`: the run went
    well, and its result can no longer be fetched. `rejected`: the result does not fit the type.
    `unknown`: nobody knows whether the run was started."""
    run: dcipher.Run | None = None
    """The run as it was last seen; `None` where none is known."""
    value: T | None = None
    """The result, where `read` was asked for."""
    files: tuple[Path, ...] = ()
    """Where it was saved, where `save` was asked for."""
    error: dcipher.DcipherError | None = None
    """Why it is not `done`."""
    reused: bool = False
    """Whether the journal had it already: nothing was sent for it."""

    def unwrap(self) -> T:
        """Returns the value. Raises the error of a row that is not `done`."""
        if self.status == "done":
            return cast("T", self.value)
        raise self.error or BatchError(f"Row {self.index} (key {self.key!r}) is {self.status}.")


def error_text(error: Exception) -> str:
    """Returns an error as the journal keeps it: its class and its text."""
    return json.dumps({"type": type(error).__name__, "message": str(error)})


def stored_error(row: Row, run: dcipher.Run | None) -> DcipherError | None:
    """Returns the error that the journal has of a row."""
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
    except TypeError:  # it takes more than a text
        return DcipherError(message)
