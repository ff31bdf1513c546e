"""What becomes of rows that do not fit, and when there are too many of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from pydantic_core import from_json

from dcipher._results.parsing.row_errors import JSONText, ResultReadError, path_of
from dcipher.errors import InvalidParamsError, TooManyInvalidRowsError
from dcipher.rejects import Reason, Reject, Rejects

if TYPE_CHECKING:
    from dcipher._results.parsing.row_errors import InvalidRow
    from dcipher.models import Run

__all__ = ["Judge", "OnInvalid", "exceeds", "reject_of"]

OnInvalid: TypeAlias = Literal["raise", "drop", "collect"]

ENOUGH = 100
"""Rows after which a share of them says something."""

ROWS = 256
"""Rows that are read at once: each hop to a thread costs as much as parsing some."""


class Judge:
    """Counts the rows of one reading, keeps those that do not fit, and says when to stop.

    Raises `InvalidParamsError` for arguments that make no sense.
    """

    def __init__(self, on_invalid: OnInvalid, max_invalid: float | None, *, keep_raw: bool) -> None:
        if on_invalid not in {"raise", "drop", "collect"}:
            raise InvalidParamsError(
                f"on_invalid must be 'raise', 'drop' or 'collect', not {on_invalid!r}."
            )
        if max_invalid is not None and not _is_limit(max_invalid):
            raise InvalidParamsError(
                "max_invalid must be a number of rows (an int, 0 or more) or a share of them "
                f"(a float from 0.0 to 1.0), not {max_invalid!r}."
            )
        if max_invalid is not None and on_invalid == "raise":
            raise InvalidParamsError("max_invalid needs on_invalid='drop' or 'collect'.")
        if keep_raw and on_invalid != "collect":
            raise InvalidParamsError("keep_raw needs on_invalid='collect'.")
        self.on_invalid: OnInvalid = on_invalid
        self.rejects: Rejects = Rejects()
        self._limit = max_invalid
        self._keep_raw = keep_raw
        self._before = 0  # rows of the results before this one

    def step(self) -> int:
        """How many rows to read next, so that a share is judged when there are just enough."""
        missing = ENOUGH - self.rejects.read
        return missing if isinstance(self._limit, float) and missing > 0 else ROWS

    def next_result(self) -> None:
        """The rows of another result follow."""
        self._before = self.rejects.read

    def passed(self, rows: int) -> None:
        """So many rows were read and given, or refused, in all."""
        self.rejects.read = rows

    def spare(self, row: InvalidRow | ResultReadError) -> None:
        """Raises what ends the reading: a document that breaks, a row if that is what was asked for."""
        if isinstance(row, ResultReadError):
            raise row
        if self.on_invalid == "raise":
            raise row.error()

    def reject(self, row: InvalidRow, index: int) -> None:
        """A row of result `index` does not fit; it counts as read."""
        self.rejects.read = self._before + row.number + 1
        self.rejects._add(  # noqa: SLF001 - nobody else adds to it
            reject_of(row, index, keep_raw=self._keep_raw), keep=self.on_invalid == "collect"
        )

    def check(self, run: Run, index: int | None, *, at_end: bool = False) -> None:
        """Raises `TooManyInvalidRowsError` where more rows do not fit than permitted."""
        found, limit = self.rejects, self._limit
        if limit is not None and exceeds(found.total, found.read, limit, at_end=at_end):
            raise TooManyInvalidRowsError(
                f"Of {found.read} rows of run {run.task_id} that were read, {found.total} do not fit, "
                f"more than max_invalid={limit} permits ({_most(found)}). Look at what error.rejects says, "
                "then change the type or the limit.",
                run=run,
                output_index=index,
                rejects=found,
            )


def reject_of(row: InvalidRow, index: int = 0, *, keep_raw: bool = False) -> Reject:
    """What is kept of a row of result `index` that does not fit."""
    reasons = tuple(
        Reason(path_of(e["loc"]).removeprefix("."), e["type"], e["msg"]) for e in row.errors
    )
    return Reject(row.number, reasons, _plain(row.raw) if keep_raw else None, index, row.line)


def exceeds(invalid: int, read: int, limit: float, *, at_end: bool) -> bool:
    """Whether more rows do not fit than permitted: a number of them, or a share, a float.

    A share says nothing of few rows: it is judged from a hundred on, and at the end.
    """
    if isinstance(limit, float):
        return (at_end or read >= ENOUGH) and invalid > limit * read
    return invalid > limit


def _is_limit(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return not math.isnan(value) and 0.0 <= value <= 1.0
    return isinstance(value, int) and value >= 0


def _most(rejects: Rejects) -> str:
    return ", ".join(f"{kind}: {number}" for kind, number in list(rejects.counts().items())[:5])


def _plain(raw: object) -> object:
    if not isinstance(raw, JSONText):
        return raw
    try:
        return cast("object", from_json(raw))
    except ValueError:  # nested more deeply than that parser goes
        return str(raw)
