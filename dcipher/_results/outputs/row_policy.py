"""The policy for invalid rows: raise, drop or collect, and how many are too many."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from pydantic_core import from_json

from dcipher._masking.text import clean
from dcipher._results.parsing.row_errors import JSONText, ResultReadError, path_of
from dcipher.errors import InvalidParamsError, TooManyInvalidRowsError
from dcipher.errors._hints import with_hint
from dcipher.rejects import Reason, Reject, Rejects

if TYPE_CHECKING:
    from dcipher._results.parsing.row_errors import InvalidRow
    from dcipher.models import Run

__all__ = ["OnInvalid", "RowPolicy", "exceeds", "reject_of"]

OnInvalid: TypeAlias = Literal["raise", "drop", "collect"]

ENOUGH = 100
"""Rows from which a share of them is meaningful."""

ROWS = 256
"""Rows of one call in a thread: each such call costs as much as parsing some rows."""


class RowPolicy:
    """Counts rows, records the invalid ones, and decides when to stop.

    Raises `InvalidParamsError` for invalid arguments.
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

    def batch_size(self) -> int:
        """Returns how many rows to read next: a share is checked as soon as there are enough."""
        missing = ENOUGH - self.rejects.read
        return missing if isinstance(self._limit, float) and missing > 0 else ROWS

    def next_result(self) -> None:
        """Starts counting the rows of another result."""
        self._before = self.rejects.read

    def count(self, rows: int) -> None:
        """Sets how many rows were read in all, valid or not."""
        self.rejects.read = rows

    def raise_if_fatal(self, row: InvalidRow | ResultReadError) -> None:
        """Raises the error that ends reading: a malformed document, or an invalid row with on_invalid='raise'."""
        if isinstance(row, ResultReadError):
            raise row
        if self.on_invalid == "raise":
            raise row.error()

    def reject(self, row: InvalidRow, index: int) -> None:
        """Records an invalid row of result `index`; it counts as read."""
        self.rejects.read = self._before + row.number + 1
        self.rejects._add(  # noqa: SLF001 - nobody else adds to it
            reject_of(row, index, keep_raw=self._keep_raw), keep=self.on_invalid == "collect"
        )

    def check(self, source: Run | str, index: int | None = None, *, at_end: bool = False) -> None:
        """Raises `TooManyInvalidRowsError` if more rows are invalid than permitted.

        `source`: the run, or the name of the file.
        """
        found, limit = self.rejects, self._limit
        if limit is not None and exceeds(found.total, found.read, limit, at_end=at_end):
            run = None if isinstance(source, str) else source
            name = clean(source) if isinstance(source, str) else f"run {source.task_id}"
            error = TooManyInvalidRowsError(
                f"{found.total} of {found.read} rows of {name} are invalid, more than "
                f"max_invalid={limit} allows ({_most(found)}).",
                run=run,
                output_index=index,
                rejects=found,
            )
            raise with_hint(error, "See error.rejects, then change the type or the limit.")


def reject_of(row: InvalidRow, index: int = 0, *, keep_raw: bool = False) -> Reject:
    """Returns the reject of an invalid row of result `index`."""
    reasons = tuple(
        Reason(path_of(e["loc"]).removeprefix("."), e["type"], e["msg"]) for e in row.errors
    )
    return Reject(row.number, reasons, _plain(row.raw) if keep_raw else None, index, row.line)


def exceeds(invalid: int, read: int, limit: float, *, at_end: bool) -> bool:
    """Returns whether more rows are invalid than permitted: a number of rows, or a share (a float).

    A share of few rows is meaningless: it is checked from a hundred rows on, and at the end.
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
    except ValueError:  # nested more deeply than the parser supports
        return str(raw)
