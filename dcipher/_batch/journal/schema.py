"""The tables of a journal, and its file."""

from __future__ import annotations

import errno
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dcipher._files.databases import create_tables, make_private, pragma
from dcipher.errors import JournalError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["connected", "damaged", "journal_errors", "now"]

APPLICATION_ID: Final = 0x64634A31
"""`dcJ1` in ASCII, by which `file` and SQLite identify the file."""
VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    params TEXT NOT NULL,
    secrets TEXT,
    idempotency_key TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'planned',
    attempts INTEGER NOT NULL DEFAULT 0,
    resent INTEGER NOT NULL DEFAULT 0,
    session INTEGER NOT NULL,
    position INTEGER NOT NULL,
    sent_at REAL,
    started_at REAL,
    ended_at REAL,
    task_id TEXT,
    run TEXT,
    target TEXT UNIQUE,
    files TEXT,
    result BLOB,
    format TEXT,
    error TEXT,
    UNIQUE (flow, key)
);
CREATE INDEX rows_position ON rows (session, position);
CREATE TABLE transitions (
    id INTEGER PRIMARY KEY, row INTEGER NOT NULL, at REAL NOT NULL, old TEXT, new TEXT NOT NULL
);
"""

_CACHE_KIB: Final = 8192
"""Memory that SQLite uses for pages, for any number of rows."""


def connected(path: Path | None, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens a journal, and creates its tables if there are none.

    `None`: a temporary database, which SQLite keeps in memory as long as it is small. Raises
    `JournalError` for another file, or a damaged one.
    """
    with journal_errors(path):
        if path is not None and not read_only:
            make_private(path)
        name = (
            "" if path is None else f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
        )
        connection = sqlite3.connect(
            name, uri=path is not None, check_same_thread=False, isolation_level=None, timeout=10.0
        )
        try:
            is_new = _recognised(connection, path) and not read_only
            _configure(connection, is_temporary=path is None, read_only=read_only)
            if is_new:
                create_tables(connection, _TABLES.split(";")[:-1], APPLICATION_ID, VERSION)
        except BaseException:
            connection.close()
            raise
        return connection


def _configure(connection: sqlite3.Connection, *, is_temporary: bool, read_only: bool) -> None:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if read_only:
        return
    if is_temporary:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        return
    # WAL needs shared memory, which some file systems lack: then a rollback journal is used.
    connection.execute("PRAGMA journal_mode = WAL")
    # With NORMAL, a power failure loses the last commits, and a run would be started twice.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not write to the disk
    # A removed URL leaves no trace in the file.
    connection.execute("PRAGMA secure_delete = ON")


def _recognised(connection: sqlite3.Connection, path: Path | None) -> bool:
    """Returns whether the file is empty. Raises `JournalError` if it is no journal of this version.

    Nothing is written, so that another file is not changed.
    """
    known, version = pragma(connection, "application_id"), pragma(connection, "user_version")
    if known == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return True
    if known != APPLICATION_ID:
        raise with_hint(
            JournalError(f"{path} is not a journal of dcipher."),
            "Choose another path for journal=….",
            "Choose another path for --journal.",
        )
    if int(version) > VERSION:
        raise with_hint(
            JournalError(
                f"The journal {path} was written by a newer version of dcipher (its format is "
                f"{version}; this version supports up to {VERSION})."
            ),
            "Upgrade dcipher.",
        )
    problem = pragma(connection, "quick_check(1)")
    if problem != "ok":
        raise damaged(path, str(problem))
    return False


@contextmanager
def journal_errors(path: Path | None) -> Generator[None]:
    """Converts an error of SQLite, or of the file, to a `JournalError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _journal_error(path, error) from error


def _journal_error(path: Path | None, error: Exception) -> JournalError:
    where = "the temporary folder" if path is None else str(path)
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
    if "full" in text or getattr(error, "errno", None) in {
        errno.ENOSPC,
        getattr(errno, "EDQUOT", -1),
    }:
        full = f"The journal {where} cannot be written: the disk is full. No further runs were started."
        return with_hint(
            JournalError(full), "Free disk space, then run the same line again: it resumes."
        )
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return damaged(path, text)
    return with_hint(
        JournalError(f"The journal {where} cannot be used: {text}."),
        "Check the path, or choose another one.",
    )


def damaged(path: Path | None, problem: str) -> JournalError:
    """Returns the error for a journal that cannot be read."""
    what = " ".join(problem.split())
    return with_hint(
        JournalError(f"The journal {path} is damaged, or is not a journal ({what})."),
        "Restore it from a copy, together with its -wal file. Or use a new journal: the service returns "
        "the same run for each idempotency key that it still knows.",
    )


def now() -> float:
    """Returns the seconds since the epoch, which other processes can compare."""
    return time.time()
