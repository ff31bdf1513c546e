"""The rows of a result that did not fit: what was wrong with each, without its values.

`client.runs.records(run, Model, on_invalid="collect")` fills one of these while it is read.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

from typing_extensions import override

__all__ = ["Reason", "Reject", "Rejects"]


class Reason(NamedTuple):
    """One thing that does not fit in a row."""

    location: str
    """Where inside the row, such as `score` or `topics[3].name`; empty for the row itself."""
    type: str
    """Which kind, in Pydantic's words: `missing`, `float_parsing`, …"""
    message: str
    """What is wrong, without the value."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that did not fit."""

    row: int
    """Its number in its result, from 0."""
    errors: tuple[Reason, ...]
    """What does not fit, at most a hundred."""
    raw: Any = field(default=None, repr=False)
    """The row as it was read, with `keep_raw=True`; `None` otherwise."""
    output_index: int = 0
    """Which result of the run it is of, from 0."""
    line: int | None = None
    """The line of the file that it begins in, from 1, in NDJSON and CSV; `None` elsewhere."""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values; `line` only where there are lines, `raw` where it was kept."""
        errors = [reason._asdict() for reason in self.errors]
        line = {} if self.line is None else {"line": self.line}
        raw = {} if self.raw is None else {"raw": self.raw}
        place = {"output_index": self.output_index, "row": self.row, **line}
        return {**place, "errors": errors, **raw}

    def _line(self) -> bytes:
        """The same as a line of NDJSON."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, default=str)
        return text.encode("utf-8", "backslashreplace") + b"\n"


class Rejects(Sequence[Reject]):
    """Rows that did not fit, in the order in which they were read.

    It grows while the rows are read. Where they are dropped, and not collected, it holds none of
    them, but their `total` and `counts()`.
    """

    def __init__(self) -> None:
        self._kept: list[Reject] = []
        self._counts: Counter[str] = Counter()
        self.total: int = 0
        """How many rows did not fit."""
        self.read: int = 0
        """How many rows were looked at, those that fit included.

        Up to date at each row that does not fit, and at the end.
        """

    @override
    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int, /) -> Reject: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[Reject]: ...

    @override
    def __getitem__(self, index: int | slice, /) -> Reject | list[Reject]:
        return self._kept[index]

    @override
    def __iter__(self) -> Iterator[Reject]:
        return iter(self._kept)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rejects):
            return NotImplemented
        return (self._kept, self._counts, self.read) == (other._kept, other._counts, other.read)

    @override
    def __repr__(self) -> str:
        kinds = "".join(f", {kind}: {number}" for kind, number in list(self.counts().items())[:5])
        return f"<Rejects: {self.total} of {self.read} rows{kinds}>"

    def counts(self) -> dict[str, int]:
        """How many errors of each type there are, the most frequent first."""
        return dict(self._counts.most_common())

    def to_list(self) -> list[dict[str, Any]]:
        """Each reject as plain values, for a data frame or a log."""
        return [reject.to_dict() for reject in self._kept]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one JSON object a line for each reject; gives the path.

        A file that is there is replaced at once and whole. Raises `LocalStorageError` for a folder,
        or a place that cannot be written to.
        """
        from ._files import check_target, path_of, replacing, storage_errors

        target = path_of(path)
        with storage_errors(target):
            check_target(target, overwrite=True)
            with replacing(target) as file:
                file.writelines(reject._line() for reject in self._kept)  # noqa: SLF001 - ours
        return target

    def _add(self, reject: Reject, *, keep: bool) -> None:
        self.total += 1
        self._counts.update(reason.type for reason in reject.errors)
        if keep:
            self._kept.append(reject)
