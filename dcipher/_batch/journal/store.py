"""The journal of a batch: plans rows, and records what becomes of each."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from dcipher._files.databases import transaction
from dcipher._masking.text import clean
from dcipher.errors import JournalConflictError, JournalError
from dcipher.errors._hints import with_hint

from .lock import JournalLock
from .schema import connected, journal_errors, now
from .states import RERUN, Change, Entry, Row, State, may_follow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

__all__ = ["Journal"]

TRANSITIONS: Final = 100_000
"""Transitions that are kept: the last ones."""

_COLUMNS: Final = (
    "id, key, position, state, generation, attempts, idempotency_key, params, secrets, task_id, run, "
    "sent_at, started_at, ended_at, result, format, files, error, resent"
)


class Journal:
    """The rows of one service and one API key, known by flow and key.

    Its methods block, and may be called from any thread. `path=None`: nothing outlives the object.
    """

    def __init__(self, path: Path | None, *, base_url: str = "", fingerprint: str = "") -> None:
        self.path = path
        self._pid = os.getpid()
        self._turn = threading.RLock()
        self._lock = None if path is None else JournalLock(path)
        try:
            self._connection = connected(path)
            if path is None:
                finalize(self, self._connection.close)  # a report keeps it for as long as it lives
            with self._writing() as connection:
                self._check_owner(connection, {"base_url": base_url, "key": fingerprint})
                last = connection.execute("SELECT max(session) FROM rows").fetchone()[0]
                self.session: int = (last or 0) + 1
                """Tells the rows of this input from those of others."""
                _prune(connection)
        except BaseException:
            self._release()
            raise

    def _check_owner(self, connection: sqlite3.Connection, owner: dict[str, str]) -> None:
        known = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        for name, value in owner.items():
            if not value:
                continue  # resolving rows sends nothing
            if known.setdefault(name, value) != value:
                theirs = f"the base URL {known[name]}" if name == "base_url" else "another API key"
                raise with_hint(
                    JournalConflictError(
                        f"The journal {self.path} belongs to {theirs}: a run is accessible only at one "
                        "base URL, with one API key."
                    ),
                    "Choose another path for journal=…, or use the client that created it.",
                    "Choose another path for --journal, or use that base URL and API key.",
                )
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._reading() as connection, transaction(connection):
            yield connection

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        # sqlite.org/howtocorrupt.html, section 2.6: a connection is not carried over a fork.
        if os.getpid() != self._pid:
            raise with_hint(
                JournalError(
                    "A journal belongs to the process that opened it, not to a forked child."
                ),
                "Call flows.map in the child.",
            )
        with self._turn, journal_errors(self.path):
            yield self._connection

    def recall(self, name: str) -> str | None:
        """Returns what `remember` wrote under this name."""
        with self._reading() as connection:
            found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            return None if found is None else found[0]

    def remember(self, name: str, value: str) -> None:
        """Stores a text for the next process that opens the journal."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def plan(
        self,
        flow: str,
        entries: Sequence[Entry],
        key_of: Callable[[Entry, int], str],
        *,
        targets: Callable[[Entry], str] | None = None,
        retry_failed: bool = False,
    ) -> None:
        """Records rows of the input: new ones are planned, others stay as they are.

        `key_of` returns the idempotency key of an entry and a generation, `targets` the name that no
        two rows may save to. Raises `JournalConflictError` for a key that comes twice, or with other
        params than before.
        """
        with self._writing() as connection:
            for entry in entries:
                known = connection.execute(
                    "SELECT id, digest, session, position, state, generation FROM rows "
                    "WHERE flow = ? AND key = ?",
                    (flow, entry.key),
                ).fetchone()
                target = targets(entry) if targets else None
                if known is None:
                    self._insert(connection, flow, entry, key_of(entry, 0), target)
                else:
                    self._revisit(connection, entry, known, key_of, target, retry_failed)

    def _insert(
        self, connection: sqlite3.Connection, flow: str, entry: Entry, key: str, target: str | None
    ) -> None:
        _refuse_collision(connection, entry, target)
        secrets = json.dumps(entry.secrets) if entry.secrets else None
        connection.execute(
            "INSERT INTO rows (flow, key, digest, params, secrets, idempotency_key, session, position, "
            "target) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(flow, entry.key, entry.digest, entry.params, secrets, key),
                *(self.session, entry.position, target),
            ),
        )

    def _revisit(
        self,
        connection: sqlite3.Connection,
        entry: Entry,
        known: tuple[Any, ...],
        key_of: Callable[[Entry, int], str],
        target: str | None,
        retry_failed: bool,
    ) -> None:
        id_, digest, session, position, state, generation = known
        if session == self.session:
            raise with_hint(
                JournalConflictError(
                    f"Rows {position} and {entry.position} have the same key, {_quoted(entry.key)}."
                ),
                "Choose a key that differs in every row: key=….",
                "Choose a key that differs in every row: --key.",
            )
        if digest != entry.digest:
            raise with_hint(
                JournalConflictError(
                    f"Row {entry.position} (key {_quoted(entry.key)}) has different params in the "
                    f"journal {self.path}."
                ),
                "Give it another key, or choose another journal.",
            )
        _refuse_collision(connection, entry, target, id_)
        connection.execute(
            "UPDATE rows SET session = ?, position = ?, target = coalesce(?, target) WHERE id = ?",
            (self.session, entry.position, target, id_),
        )
        if retry_failed and state in RERUN:
            self._again(connection, id_, state, key_of(entry, generation + 1))

    def _again(self, connection: sqlite3.Connection, id_: int, state: str, key: str) -> None:
        """Plans another run of a row that has ended, under a key of its own."""
        emptied = "task_id, run, files, result, format, error, sent_at, started_at, ended_at"
        blank = ", ".join(f"{name} = NULL" for name in emptied.split(", "))
        connection.execute(
            f"UPDATE rows SET generation = generation + 1, idempotency_key = ?, attempts = 0, {blank} "  # noqa: S608 - names of columns
            "WHERE id = ?",
            (key, id_),
        )
        self._transition(connection, Change(id_, state, "planned"))

    def page(self, after: int, limit: int) -> list[Row]:
        """Returns the next rows of this input, in its order, from the one after position `after`."""
        return self._rows("session = ? AND position > ? ORDER BY position LIMIT ?", after, limit)

    def _rows(self, where: str, *values: object) -> list[Row]:
        with self._reading() as connection:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM rows WHERE {where}",  # noqa: S608 - ours
                (self.session, *values),
            ).fetchall()
        return [_row(columns) for columns in found]

    def find(self, key: str, flow: str | None) -> list[tuple[int, str, State]]:
        """Returns number, flow and state of the rows with this key, of any input."""
        with self._reading() as connection:
            return connection.execute(
                "SELECT id, flow, state FROM rows WHERE key = :key AND (:flow IS NULL OR flow = :flow)",
                {"key": key, "flow": flow},
            ).fetchall()

    def apply(self, changes: Iterable[Change]) -> None:
        """Records transitions, all or none; on disk when it returns.

        Raises `JournalError` where a row is not in the state that its change begins with.
        """
        with self._writing() as connection:
            for change in changes:
                self._transition(connection, change)

    def _transition(self, connection: sqlite3.Connection, change: Change) -> None:
        if not may_follow(change.old, change.new):
            raise JournalError(f"A row cannot go from {change.old} to {change.new}.")
        columns = "".join(f", {name} = ?" for name in change.values)
        done = connection.execute(
            f"UPDATE rows SET state = ?{columns} WHERE id = ? AND state = ?",  # noqa: S608 - ours
            (change.new, *change.values.values(), change.id, change.old),
        )
        if done.rowcount != 1:
            raise with_hint(
                JournalError(
                    f"Another program changed the journal {self.path}: a row is no longer "
                    f"{change.old}."
                ),
                "Run the same line again: it resumes from what the journal has.",
            )
        if self.path is not None:
            connection.execute(
                "INSERT INTO transitions (row, at, old, new) VALUES (?, ?, ?, ?)",
                (change.id, now(), change.old, change.new),
            )

    def connection(self) -> sqlite3.Connection:
        """The connection, for reading when nothing is written any more."""
        with self._reading() as connection:
            return connection

    def close(self) -> None:
        """Writes everything into the one file, and releases the lock. Closing twice does nothing."""
        with self._turn:
            try:
                if self._pid == os.getpid() and self._lock is not None:
                    with journal_errors(self.path):
                        _prune(self._connection)
                        # What was removed is in the WAL still: it is emptied.
                        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._release()

    def _release(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and self._pid == os.getpid():
            connection.close()
        if self._lock is not None:
            self._lock.release()


def _refuse_collision(
    connection: sqlite3.Connection, entry: Entry, target: str | None, id_: int = -1
) -> None:
    if target is None:
        return
    other = connection.execute(
        "SELECT key FROM rows WHERE target = ? AND id <> ?", (target, id_)
    ).fetchone()
    if other is not None:
        raise with_hint(
            JournalConflictError(
                f"The keys {_quoted(other[0])} and {_quoted(entry.key)} would be saved to the same file."
            ),
            "Use keys that differ in more than upper and lower case.",
        )


def _prune(connection: sqlite3.Connection) -> None:
    connection.execute(
        "DELETE FROM transitions WHERE id <= (SELECT max(id) FROM transitions) - ?", (TRANSITIONS,)
    )


def _row(columns: tuple[Any, ...]) -> Row:
    values = dict(zip(_COLUMNS.split(", "), columns, strict=True))
    values["secrets"] = tuple(json.loads(values["secrets"])) if values["secrets"] else ()
    return Row(**values)


def _quoted(key: str) -> str:
    return repr(clean(key, 80))
