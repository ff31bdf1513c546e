"""The SQLite database of a state folder: its tables, and their rows."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from dcipher._files.databases import create_tables, pragma, transaction
from dcipher.emulator.runs import rows
from dcipher.emulator.runs.idempotency import Started
from dcipher.emulator.runs.results import StoredResult
from dcipher.emulator.runs.runs import FINISHED, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from typing_extensions import Self

__all__ = ["Database", "Persisted", "Piece", "StateError", "pieces"]

FILE: Final = "emulator.sqlite3"
VERSION: Final = 1
_PIECE: Final = 4 * 1024 * 1024
"""Bytes of a large result that are written in one transaction, for which starts have to wait."""
_APPLICATION: Final = 0x6463_6970  # "dcip" in ASCII, by which SQLite and `file` identify the file

_LOGGER = logging.getLogger("dcipher.emulator")

_SCHEMA: Final = (
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, flow_id TEXT NOT NULL,
        params TEXT NOT NULL, idempotency_key TEXT, identity TEXT NOT NULL,
        outputs INTEGER NOT NULL, created_at REAL NOT NULL, status TEXT NOT NULL, message TEXT,
        started_at REAL, finished_at REAL, urls_expired INTEGER NOT NULL)""",
    """CREATE TABLE results (
        task_id TEXT NOT NULL, place INTEGER NOT NULL, content_type TEXT NOT NULL,
        sha256 BLOB NOT NULL, modified REAL NOT NULL, PRIMARY KEY (task_id, place))""",
    """CREATE TABLE pieces (
        task_id TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL,
        content BLOB NOT NULL, PRIMARY KEY (task_id, place, number))""",
    """CREATE TABLE starts (
        flow_id TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, task_id TEXT NOT NULL,
        paths TEXT NOT NULL, PRIMARY KEY (flow_id, key))""",
)
_TABLES: Final = ("runs", "results", "pieces", "starts")


class StateError(OSError):
    """The state folder cannot be used, or written to."""


@dataclass(frozen=True, slots=True)
class Persisted:
    """The persisted runs, in the order of their starts, and the starts that have a key."""

    runs: tuple[Run, ...]
    starts: tuple[tuple[str, str, bytes, Started], ...]
    """Flow, key, digest of the body, and response."""


_COLUMNS: Final = (
    "task_id, flow_id, params, idempotency_key, identity, outputs, created_at, status, message,"
    " started_at, finished_at, urls_expired"
)
_PLACES: Final = ",".join("?" * 12)
_ADD_RUN: Final = f"INSERT INTO runs ({_COLUMNS}) VALUES ({_PLACES})"  # noqa: S608 (our own names)
_END_RUN: Final = (
    "UPDATE runs SET status = ?, message = ?, started_at = ?, finished_at = ? WHERE task_id = ?"
)


@final
class Database:
    """The locked file. All methods but `open` and `close` are called within `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens the file in a folder. Creates both if necessary.

        Raises `StateError`, `OSError`, `ValueError` or `sqlite3.Error` if it is unusable or foreign.
        """
        path = _file_in(folder)
        if path.stat().st_size == 0:
            raise ValueError(f"{FILE} is empty")
        connection = sqlite3.connect(
            path, timeout=0.2, isolation_level=None, check_same_thread=False
        )
        try:
            # Before the first access, so that the file is locked until it is closed or its process
            # ends. https://www.sqlite.org/wal.html#use_of_wal_without_shared_memory
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
            _prepare(connection)
            _close_to_others(path)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def close(self) -> None:
        """Closes the file, and releases its lock."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Commits all changes of the block, or none of them."""
        with transaction(self._connection):
            yield

    def secret(self, name: str, given: bytes, new: Callable[[], bytes]) -> bytes:
        """Stores and returns a secret: the given one, else the stored one, else a new one."""
        found = self._all("SELECT value FROM secrets WHERE name = ?", name)
        value: object = given or (found[0][0] if found else new())
        if not isinstance(value, bytes) or not value:
            raise ValueError(f"the row {name} of its table secrets has a bad value")
        self._execute("INSERT OR REPLACE INTO secrets VALUES (?, ?)", name, value)
        return value

    def add_run(self, run: Run) -> None:
        """Adds a run without results. Raises `IntegrityError` if its task id exists."""
        self._execute(
            _ADD_RUN,
            run.task_id,
            run.flow_id,
            json.dumps(run.params),
            run.idempotency_key,
            run.identity,
            run.outputs,
            run.created_at,
            run.status,
            run.message,
            run.started_at,
            run.finished_at,
            run.urls_expired,
        )

    def end_run(self, run: Run) -> None:
        """Stores the outcome of a run."""
        values = (run.status, run.message, run.started_at, run.finished_at, run.task_id)
        self._execute(_END_RUN, *values)

    def put_start(self, flow_id: str, key: str, digest: bytes, started: Started) -> None:
        """Stores the response to a start with an idempotency key."""
        row = (flow_id, key, digest, started.task_id, json.dumps(started.paths))
        self._execute("INSERT OR REPLACE INTO starts VALUES (?,?,?,?,?)", *row)

    def put_piece(self, piece: Piece) -> None:
        """Stores a piece of a result, which is valid after `put_results`."""
        self._execute("INSERT INTO pieces VALUES (?,?,?,?)", *piece)

    def put_results(self, run: Run) -> None:
        """Stores the results of a run whose pieces are stored."""
        for place, result in enumerate(run.results):
            row = (run.task_id, place, result.content_type, result.sha256, result.modified)
            self._execute("INSERT INTO results VALUES (?,?,?,?,?)", *row)

    def drop_results(self, task_id: str) -> None:
        """Removes the results of a run, and their pieces."""
        self._execute("DELETE FROM results WHERE task_id = ?", task_id)
        self._execute("DELETE FROM pieces WHERE task_id = ?", task_id)

    def drop_unfinished(self) -> None:
        """Removes the pieces of unfinished runs, which are executed again."""
        self._execute(
            "DELETE FROM pieces WHERE NOT EXISTS (SELECT 1 FROM results"
            " WHERE results.task_id = pieces.task_id AND results.place = pieces.place)"
        )

    def expire(self, task_id: str) -> None:
        """Marks the signed URLs of a run as expired."""
        self._execute("UPDATE runs SET urls_expired = 1 WHERE task_id = ?", task_id)

    def clear(self) -> None:
        """Empties every table but that of the secrets."""
        for table in _TABLES:
            self._execute(f"DELETE FROM {table}")  # noqa: S608 (our own names)

    def persisted(self) -> Persisted:
        """Returns all runs and starts."""
        return Persisted(tuple(self._runs()), tuple(self._starts()))

    def _runs(self) -> Iterator[Run]:
        found = self._all(f"SELECT {_COLUMNS} FROM runs ORDER BY number")  # noqa: S608 (our own names)
        for row in rows.checked("runs", rows.RUN, found):
            params = rows.parsed("runs", "params", rows.PARAMS, row.params)
            run = Run(
                flow_id=row.flow_id,
                outputs=row.outputs,
                params=params,
                idempotency_key=row.idempotency_key,
                task_id=row.task_id,
                identity=row.identity,
                created_at=row.created_at,
                urls_expired=bool(row.urls_expired),
            )
            if row.status in FINISHED:
                run.status, run.message = row.status, row.message
                run.started_at, run.finished_at = row.started_at, row.finished_at
                run.results = tuple(self._results(row.task_id))
                if len(run.results) != (run.outputs if run.status == "SUCCEEDED" else 0):
                    raise ValueError(
                        "its table results lacks a row of a run, or has an additional one"
                    )
            yield run

    def _results(self, task_id: str) -> Iterator[StoredResult]:
        found = self._all(
            "SELECT place, content_type, sha256, modified FROM results WHERE task_id = ?"
            " ORDER BY place",
            task_id,
        )
        pieces = (
            "SELECT CAST(content AS BLOB) FROM pieces WHERE task_id = ? AND place = ?"
            " ORDER BY number"
        )
        for row in rows.checked("results", rows.RESULT, found):
            content = b"".join(piece for (piece,) in self._all(pieces, task_id, row.place))
            content = rows.whole(content, row)
            yield StoredResult(content, row.content_type, row.sha256, row.modified)

    def _starts(self) -> Iterator[tuple[str, str, bytes, Started]]:
        found = self._all("SELECT flow_id, key, digest, task_id, paths FROM starts")
        for row in rows.checked("starts", rows.START, found):
            paths = rows.parsed("starts", "paths", rows.PATHS, row.paths)
            yield row.flow_id, row.key, row.digest, Started(row.task_id, paths)

    def _execute(self, statement: str, *values: object) -> None:
        _ = self._connection.execute(statement, values)

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()


Piece: TypeAlias = "tuple[str, int, int, memoryview]"


def pieces(run: Run) -> Iterator[Piece]:
    """Yields the results of a run in pieces: run, index of the result, index of the piece, bytes."""
    for place, result in enumerate(run.results):
        content = memoryview(result.content)
        for number, start in enumerate(range(0, len(content), _PIECE)):
            yield run.task_id, place, number, content[start : start + _PIECE]


def _file_in(folder: Path) -> Path:
    """Returns the path of the file, and creates it privately. SQLite's own files get the same mode."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
    path = folder / FILE
    if not path.exists():
        _make(path)
    return path


def _make(path: Path) -> None:
    """Creates the file atomically, so that an empty file is a truncated one, and not a new one."""
    handle, name = tempfile.mkstemp(prefix=f"{FILE}.", dir=path.parent)
    os.close(handle)
    try:
        with contextlib.closing(sqlite3.connect(name, isolation_level=None)) as connection:
            create_tables(connection, _SCHEMA, _APPLICATION, VERSION)
        with contextlib.suppress(
            FileExistsError
        ):  # another emulator was faster, and holds the lock
            try:
                os.link(name, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                _ = Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _close_to_others(path: Path) -> None:
    """Removes the permissions of other users: the file has the API key."""
    files = [file for file in path.parent.glob(f"{FILE}*") if file.stat().st_mode & 0o077]
    if os.name != "posix" or not files:
        return
    try:
        for file in files:
            file.chmod(0o600)
    except OSError:
        _LOGGER.warning("Other users may read %s, which has the API key: chmod 600.", path)
    else:
        _LOGGER.warning(
            "Other users could read %s, which has the API key. This was corrected.", path
        )


def _prepare(connection: sqlite3.Connection) -> None:
    """Takes the lock. A foreign file is not changed."""
    with transaction(connection, "EXCLUSIVE"):
        _check_ours(connection)
    found = pragma(connection, "quick_check(1)")
    if found != "ok":
        raise ValueError(found)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = NORMAL").close()
    connection.execute(f"PRAGMA journal_size_limit = {16 * _PIECE}").close()


def _check_ours(connection: sqlite3.Connection) -> None:
    """Raises `StateError` for another version, `ValueError` for the file of another program."""
    version = pragma(connection, "user_version")
    if pragma(connection, "application_id") != _APPLICATION:
        raise ValueError(f"{FILE} is a database of another program")
    if version != VERSION:
        raise StateError(
            f"The state in {FILE} has version {version}, but this emulator needs {VERSION}. Use the "
            "version of dcipher that wrote it, or another folder. Nothing was changed."
        )
