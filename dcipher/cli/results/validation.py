"""Counts the invalid rows of a file, by error type, and keeps the first locations."""

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
"""The number of errors whose locations are stored."""


def parse_limit(text: str | None) -> float | None:
    """Parses `12`, a number of rows (int), or `5%`, a share of them (float from 0.0 to 1.0)."""
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
    """The result of a validation. Its memory use is constant."""

    def __init__(self, limit: float | None = None, *, keep_raw: bool = False) -> None:
        self.rows: int = 0
        self.invalid: int = 0
        self.counts: Counter[str] = Counter()
        self.first: list[dict[str, Any]] = []
        self._limit = limit
        self._keep_raw = keep_raw

    def reject(self, row: InvalidRow) -> Reject:
        """Counts an invalid row, and returns its reject."""
        self.invalid += 1
        found = reject_of(row, keep_raw=self._keep_raw)
        self.counts.update(reason.type for reason in found.errors)
        if len(self.first) < SHOWN:
            self.first += _places(found)[: SHOWN - len(self.first)]
        return found

    def too_many(self, *, at_end: bool = False) -> bool:
        """Returns whether more rows are invalid than permitted. Without a limit, any number is."""
        limit = self._limit
        return limit is not None and exceeds(self.invalid, self.rows, limit, at_end=at_end)

    @property
    def code(self) -> ExitCode:
        """The exit code: 0 if no more rows are invalid than permitted."""
        passed = not self.too_many(at_end=True) if self._limit is not None else not self.invalid
        return ExitCode.OK if passed else ExitCode.INVALID_ROWS

    def record(self, file: str) -> dict[str, Any]:
        """Returns the result as a JSON object."""
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
