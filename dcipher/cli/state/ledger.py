"""The list of the runs that this machine started or fetched: ids, times and last known status.

An SQLite file. It contains no params, and signed URLs only if the user asked for them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from dcipher._files.databases import create_tables, make_private, pragma, transaction
from dcipher.cli.state.folder import make_state_folder, state_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dcipher.models import Run

__all__ = ["Ledger", "is_off"]

MOST = 10_000
"""The number of runs that are stored: the newest ones."""
TIMEOUT = 30.0
"""Seconds to wait for another process that writes."""

_APPLICATION_ID = 0x64634C31
"""`dcL1` in ASCII."""
_VERSION = 1
_TEXTS = ("task_id", "flow_id", "status", "created_at", "finished_at", "seen_at", "idempotency_key")
_COLUMNS: tuple[str, ...] = (*_TEXTS, "outputs")
_TABLES = (
    f"CREATE TABLE runs ({', '.join(_COLUMNS)}, PRIMARY KEY (flow_id, task_id))",
    "CREATE INDEX runs_by_age ON runs (coalesce(created_at, seen_at), seen_at)",
)
# The end is when the status was first fetched. Unknown values are unchanged.
_RECORD = f"""
INSERT INTO runs ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT DO UPDATE SET
    status = coalesce(excluded.status, status),
    created_at = coalesce(excluded.created_at, created_at),
    finished_at = coalesce(finished_at, excluded.finished_at),
    seen_at = coalesce(excluded.seen_at, seen_at),
    idempotency_key = coalesce(excluded.idempotency_key, idempotency_key),
    outputs = coalesce(excluded.outputs, outputs)
"""  # noqa: S608 - our own names
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM runs WHERE task_id IS"  # noqa: S608 - our own names
# A start whose response is not known has no task id yet.
_ANSWERED = "DELETE FROM runs WHERE task_id IS NULL AND idempotency_key = ?"
_NEWEST = "ORDER BY coalesce(created_at, seen_at) DESC, seen_at DESC, rowid DESC"
_PRUNE = f"DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs {_NEWEST} LIMIT -1 OFFSET ?)"  # noqa: S608


def is_off() -> bool:
    """Returns whether `DCIPHER_NO_LEDGER` disables the list."""
    return os.environ.get("DCIPHER_NO_LEDGER", "").strip().lower() not in {"", "0", "false", "no"}


class Ledger:
    """The list. Its methods raise `OSError`: a run must not fail because of it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path: Path = path or state_folder() / "runs.sqlite3"

    def begin(self, flow_id: str, idempotency_key: str) -> None:
        """Stores a start before it is sent: after `kill -9`, only its key leads to its run."""
        entry = {
            "flow_id": flow_id,
            "seen_at": _text(datetime.now(timezone.utc)),
            "idempotency_key": idempotency_key,
        }
        with self._opened() as connection, transaction(connection):
            connection.execute(_ANSWERED, (idempotency_key,))
            connection.execute(_RECORD, _row(entry))

    def forget(self, idempotency_key: str) -> None:
        """Removes a start whose response was an error."""
        with self._opened() as connection, transaction(connection):
            connection.execute(_ANSWERED, (idempotency_key,))

    def record(self, run: Run, *, urls: bool = False) -> None:
        """Stores the state of `run`; with `urls`, also the signed URLs of its results."""
        with self._opened() as connection, transaction(connection):
            connection.execute(_ANSWERED, (run.idempotency_key,))
            connection.execute(_RECORD, _row(_entry(run, urls=urls)))
            connection.execute(_PRUNE, (MOST,))

    def runs(self, most: int = -1) -> list[dict[str, Any]]:
        """Returns the entries of the runs, the newest first."""
        return self._read(f"{_SELECT} NOT NULL {_NEWEST} LIMIT ?", most)

    def starts(self) -> list[dict[str, Any]]:
        """Returns the starts of the last week whose response is not known, the newest first."""
        since = _text(datetime.now(timezone.utc) - timedelta(days=7))
        return self._read(f"{_SELECT} NULL AND seen_at >= ? {_NEWEST}", since)

    def find(self, task_id: str, flow_id: str | None = None) -> dict[str, Any] | None:
        """Returns the entry of a run."""
        where = "? AND flow_id = coalesce(?, flow_id)"
        found = self._read(f"{_SELECT} {where} {_NEWEST} LIMIT 1", task_id, flow_id)
        return found[0] if found else None

    def _read(self, statement: str, *values: object) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self._connected("ro") as connection:
            rows = connection.execute(statement, values).fetchall()
        entries = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        for entry in entries:
            entry["outputs"] = json.loads(entry["outputs"] or "null")
        return entries

    @contextmanager
    def _connected(self, mode: str) -> Generator[sqlite3.Connection]:
        try:
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            with closing(
                sqlite3.connect(uri, uri=True, timeout=TIMEOUT, isolation_level=None)
            ) as connection:
                if int(pragma(connection, "user_version")) > _VERSION:
                    raise sqlite3.DatabaseError("it was written by a newer version of dcipher")
                yield connection
        except sqlite3.Error as error:
            raise OSError(f"{self.path} cannot be used: {error}") from error

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        """Opens the file for writing, and creates it if necessary."""
        make_state_folder()
        make_private(self.path)
        if os.name == "posix":
            self.path.chmod(0o600)
        with self._connected("rw") as connection:
            if pragma(connection, "user_version") == 0:
                self._create(connection)
            if pragma(connection, "application_id") != _APPLICATION_ID:
                raise sqlite3.DatabaseError("it is not a list of runs")
            yield connection

    def _create(self, connection: sqlite3.Connection) -> None:
        try:
            create_tables(connection, _TABLES, _APPLICATION_ID, _VERSION)
        except sqlite3.OperationalError:
            if pragma(connection, "user_version") == 0:  # else another process was faster
                raise


def _entry(run: Run, *, urls: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "task_id": run.task_id,
        "flow_id": run.flow_id,
        "status": str(run.status),
        "created_at": _text(run.created_at),
        "finished_at": _text(run.finished_at),
        "seen_at": _text(datetime.now(timezone.utc)),
        "idempotency_key": run.idempotency_key,
    }
    if urls and any(output.url for output in run.outputs):
        entry["outputs"] = json.loads(run.to_json(reveal=True))["outputs"]
    return entry


def _row(entry: dict[str, Any]) -> list[str | None]:
    outputs = entry.get("outputs")
    return [*map(entry.get, _TEXTS), json.dumps(outputs) if outputs else None]


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
