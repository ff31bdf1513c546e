"""The invalid rows of a result, and the reasons, without the values.

`client.runs.records(run, Model, on_invalid="collect")` collects them during iteration.
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
    """A reason why a row is invalid."""

    location: str
    """The location in the row, such as `score` or `topics[3].name`; empty for the row itself."""
    type: str
    """The type of the error, as in Pydantic: `missing`, `float_parsing`, …"""
    message: str
    """What is wrong, without the value."""


@dataclass(frozen=True, slots=True)
class Reject:
    """An invalid row."""

    row: int
    """The number of the row in its result, from 0."""
    errors: tuple[Reason, ...]
    """The reasons, at most a hundred."""
    raw: Any = field(default=None, repr=False)
    """The row itself with `keep_raw=True`; otherwise `None`."""
    output_index: int = 0
    """The index of the result in `run.outputs`."""
    line: int | None = None
    """The line in which the row begins, from 1, in NDJSON and CSV; otherwise `None`."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as plain values. `line` and `raw` are included if they are not `None`."""
        errors = [reason._asdict() for reason in self.errors]
        line = {} if self.line is None else {"line": self.line}
        raw = {} if self.raw is None else {"raw": self.raw}
        place = {"output_index": self.output_index, "row": self.row, **line}
        return {**place, "errors": errors, **raw}

    def _line(self) -> bytes:
        """Returns the same as a line of NDJSON."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, default=str)
        return text.encode("utf-8", "backslashreplace") + b"\n"


class Rejects(Sequence[Reject]):
    """The invalid rows of a run's results, in the order of the file: a sequence of `Reject`.

    It grows during iteration. With `on_invalid="drop"`, it is empty, and has only `total` and
    `counts()`.
    """

    def __init__(self) -> None:
        self._kept: list[Reject] = []
        self._counts: Counter[str] = Counter()
        self.total: int = 0
        """The number of invalid rows."""
        self.read: int = 0
        """The number of rows that were read, valid rows included.

        It is current at each invalid row and at the end.
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

    def _repr_html_(self) -> str:
        from dcipher._html.cards import rejects_card

        return rejects_card(self)

    def counts(self) -> dict[str, int]:
        """Returns how many errors of each type there are, the most frequent first."""
        return dict(self._counts.most_common())

    def to_list(self) -> list[dict[str, Any]]:
        """Returns each invalid row as plain values, for a dataframe or a log."""
        return [reject.to_dict() for reject in self._kept]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Saves the invalid rows as NDJSON: one JSON object a line.

        Args:
            path: The file. An existing file is replaced atomically.

        Returns:
            The path.

        Raises:
            LocalStorageError: The path is a folder, or cannot be written to.
        """
        from dcipher._files.paths import check_target, path_of
        from dcipher._files.replacement import replacing
        from dcipher._files.storage_errors import storage_errors

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
