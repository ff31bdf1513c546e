"""Which journal of a folder has a row: a batch of other shards, or of more rows, resumes, too."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import finalize

from dcipher.errors import JournalError

from .reading import read_keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Owners"]

_RANK: Final = "CASE ? WHEN 'done' THEN 3 WHEN 'planned' THEN 0 WHEN 'sent' THEN 1 ELSE 2 END"
"""Of several journals that have a row, the one that knows most of it."""


class Owners:
    """The keys of one flow in the journals of a folder, in a temporary database: there may be millions."""

    def __init__(self, folder: Path, flow_id: str) -> None:
        self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        finalize(self, self._connection.close)
        self._connection.execute(
            "CREATE TABLE owned (key TEXT PRIMARY KEY, journal TEXT, rank INTEGER) WITHOUT ROWID"
        )
        for path in sorted(folder.glob("*.db")):
            with suppress(JournalError):  # whoever needs it meets the error
                self._add(path.name, read_keys(path, flow_id))

    def _add(self, journal: str, rows: Iterable[tuple[str, str]]) -> None:
        self._connection.executemany(
            f"INSERT INTO owned VALUES (?, ?, {_RANK}) ON CONFLICT DO UPDATE SET "  # noqa: S608 - ours
            "journal = excluded.journal, rank = excluded.rank WHERE excluded.rank > rank",
            ((key, journal, state) for key, state in rows),
        )

    def journal_of(self, key: str) -> str | None:
        """Returns the name of the journal that has this row; `None`: it is a new one."""
        found = self._connection.execute(
            "SELECT journal FROM owned WHERE key = ?", (key,)
        ).fetchone()
        return None if found is None else found[0]
