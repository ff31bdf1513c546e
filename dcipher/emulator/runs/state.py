"""The persisted state: runs, results, idempotency keys and secrets, in SQLite.

One thread writes, one transaction after another, so that the event loop does not wait. After a
commit, `kill -9` loses nothing. A power failure may lose the last commits, and does not damage the
file.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import queue
import secrets
import sqlite3
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast, final

from dcipher.emulator.gate.access import new_key, own_key
from dcipher.emulator.runs.database import Database, Persisted, StateError, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from dcipher.emulator.runs.idempotency import Started
    from dcipher.emulator.runs.runs import Run

__all__ = ["State"]

_LOGGER = logging.getLogger("dcipher.emulator")

_Work: TypeAlias = "Callable[[Database], None]"
_Job: TypeAlias = "tuple[_Work, Future[None]]"


@final
class State:
    """A state folder, used by one emulator from `open` to `close`."""

    def __init__(self, folder: Path) -> None:
        self.api_key: str = ""
        self.url_secret: bytes = b""
        self._folder = folder
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._database: Database | None = None
        self._thread = threading.Thread(target=self._write, name="dcipher-emulator-state")
        self._thread.daemon = True

    def open(self, api_key: str) -> Persisted:
        """Opens the folder, creates it if necessary, and reads it.

        `api_key` is stored; if it is empty, the stored one is used.

        Raises:
            StateError: Another emulator has it, it is not an emulator's or of another version,
                damaged, or cannot be written to. Nothing is changed then.
        """
        with self._state_errors("cannot be opened"):
            self._database = Database.open(self._folder)
            try:
                persisted = self._read(self._database, api_key)
            except BaseException:
                self._database.close()
                raise
        self._thread.start()
        return persisted

    async def add(self, run: Run, body: bytes, started: Started) -> None:
        """Persists a start, before its response. Raises StateError if that fails."""

        def work(database: Database) -> None:
            database.add_run(run)
            if run.idempotency_key:
                digest = hashlib.sha256(body).digest()
                database.put_start(run.flow_id, run.idempotency_key, digest, started)

        await self._await(work)

    async def finish(self, run: Run) -> None:
        """Persists the outcome of a run, its results first. Raises StateError if that fails."""
        some = list(pieces(run))
        last = some[-1:]
        del some[-1:]

        def end(database: Database) -> None:
            if not some:  # the usual case: one small result, in one transaction
                database.drop_results(run.task_id)
            for piece in last:
                database.put_piece(piece)
            database.put_results(run)
            database.end_run(run)

        if some:
            await self._await(lambda database: database.drop_results(run.task_id))
        for piece in some:
            await self._await(partial(Database.put_piece, piece=piece))
        await self._await(end)

    def expire(self, run: Run) -> None:
        """Persists the early expiry of a run's URLs, in the background."""
        self._submit(lambda database: database.expire(run.task_id)).add_done_callback(_log_error)

    def change(self, run: Run) -> None:
        """Persists the replaced results of a finished run, in the background."""

        def work(database: Database) -> None:
            database.drop_results(run.task_id)
            for piece in pieces(run):
                database.put_piece(piece)
            database.put_results(run)

        self._submit(work).add_done_callback(_log_error)

    def clear(self) -> None:
        """Removes runs, results and keys, but no secret. Raises StateError if that fails.

        A released folder is not changed.
        """
        if self._thread.is_alive():
            self._submit(Database.clear).result()

    def close(self) -> None:
        """Writes what is pending, and releases the folder. A second call does nothing."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    async def _await(self, work: _Work) -> None:
        await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: _Work) -> Future[None]:
        future: Future[None] = Future()
        self._jobs.put((work, future))
        return future

    def _write(self) -> None:
        database = cast("Database", self._database)
        while (job := self._jobs.get()) is not None:
            work, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                with self._state_errors("could not be written to"), database.transaction():
                    work(database)
            except BaseException as error:  # noqa: BLE001 (raised where the result is awaited)
                future.set_exception(error)
            else:
                future.set_result(None)
        database.close()

    def _read(self, database: Database, api_key: str) -> Persisted:
        persisted = database.persisted()  # before anything is changed, because it may be damaged
        with database.transaction():
            given = api_key.encode()
            key = database.secret("api_key", given, lambda: new_key().encode())
            self.api_key = own_key(key.decode())
            self.url_secret = database.secret("url_secret", b"", lambda: secrets.token_bytes(32))
            database.drop_unfinished()
        return persisted

    @contextlib.contextmanager
    def _state_errors(self, what: str) -> Generator[None]:
        """Converts errors of the system and of SQLite to a `StateError` with the folder and the reason."""
        try:
            yield
        except StateError:
            raise
        except OSError as error:
            raise StateError(self._message(what, error.strerror or str(error))) from error
        except sqlite3.OperationalError as error:
            if str(error).startswith("Could not decode"):  # the message of SQLite quotes the text
                raise StateError(self._damaged("a text in it is not UTF-8")) from None
            if str(error).startswith("no such"):
                raise StateError(self._damaged(str(error))) from error
            raise StateError(self._message(what, _reason(error))) from error
        except (sqlite3.Error, ValueError) as error:
            raise StateError(self._damaged(str(error))) from error

    def _message(self, what: str, why: str) -> str:
        return f"The state folder {str(self._folder)!r} {what}: {why}. Its content was not lost."

    def _damaged(self, why: str) -> str:
        return (
            f"The state folder {str(self._folder)!r} is damaged, or does not belong to an emulator: {why}."
            " Nothing in it was changed. Restore a copy of it, or use another folder, with which the"
            " emulator begins with an empty state."
        )


def _log_error(future: Future[None]) -> None:
    """Logs the error of a write in the background."""
    error = future.exception()
    if error is not None:
        _LOGGER.error("%s", error)


def _reason(error: sqlite3.OperationalError) -> str:
    """Returns the message of SQLite, or a clearer one."""
    if "locked" in str(error):
        return "another emulator uses it. Stop that one, or use another folder"
    return str(error)
