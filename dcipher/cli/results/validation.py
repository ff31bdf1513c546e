"""How many rows of a file do not fit, why, and where the first of them are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dcipher._results.outputs.row_policy import exceeds, reject_of
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from dcipher._results.parsing.row_errors import InvalidRow
    from dcipher.rejects import Reject

__all__ = ["Validation", "parse_limit"]

SHOWN = 10
"""Errors whose place is kept; of the others, only their number."""


def parse_limit(text: str | None) -> float | None:
    """`12` is a number of rows, an int; `5%` a share of them, a float from 0.0 to 1.0."""
    if text is None:
        return None
    number = text.removesuffix("%")
    try:
        limit = int(text) if number == text else float(number) / 100
    except ValueError:
        limit = -1
    if not limit >= 0 or (isinstance(limit, float) and limit > 1):
        raise CommandError(
            f"--max-invalid is a number of rows, or a share of them such as 5%, not {text!r}.",
            ExitCode.USAGE,
        )
    return limit


class Validation:
    """What is found out while rows are read; it does not grow with them."""

    def __init__(self, limit: float | None = None, *, keep_raw: bool = False) -> None:
        self.rows: int = 0
        self.invalid: int = 0
        self.counts: Counter[str] = Counter()
        self.first: list[dict[str, Any]] = []
        self._limit = limit
        self._keep_raw = keep_raw

    def reject(self, row: InvalidRow) -> Reject:
        """Take a row into account that does not fit; gives what is kept of it."""
        self.invalid += 1
        found = reject_of(row, keep_raw=self._keep_raw)
        self.counts.update(reason.type for reason in found.errors)
        if len(self.first) < SHOWN:
            self.first += _places(found)[: SHOWN - len(self.first)]
        return found

    def too_many(self, *, at_end: bool = False) -> bool:
        """Whether more rows do not fit than permitted; without a limit, any number is."""
        limit = self._limit
        return limit is not None and exceeds(self.invalid, self.rows, limit, at_end=at_end)

    @property
    def code(self) -> ExitCode:
        """0 where all rows fit, or all but so many as are permitted."""
        fits = not self.too_many(at_end=True) if self._limit is not None else not self.invalid
        return ExitCode.OK if fits else ExitCode.INVALID_ROWS

    def record(self, file: str) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "file": file,
            "rows": self.rows,
            "invalid": self.invalid,
            "errors": dict(self.counts.most_common()),
            "first": self.first,
        }


def _places(reject: Reject) -> list[dict[str, Any]]:
    raw = {} if reject.raw is None else {"raw": reject.raw}
    line = {} if reject.line is None else {"line": reject.line}
    return [
        {
            "place": f"[{reject.row}]{_joined(reason.location)}",
            "type": reason.type,
            "message": reason.message,
            "row": reject.row,
            **line,
            **raw,
        }
        for reason in reject.errors
    ]


def _joined(location: str) -> str:
    return location if not location or location.startswith("[") else f".{location}"
