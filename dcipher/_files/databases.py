"""SQLite files of our own: private, recognized by their application id, and changed in transactions."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Sequence
    from pathlib import Path

__all__ = ["create_tables", "make_private", "pragma", "transaction"]


def make_private(path: Path) -> None:
    """Creates a file that only its owner can read. SQLite's own files beside it get the same mode.

    Raises `OSError`, also for a symbolic link.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, 0o600))


def pragma(connection: sqlite3.Connection, name: str) -> int | str:
    """Returns the value of a pragma, such as `application_id` or `user_version`."""
    value: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def create_tables(
    connection: sqlite3.Connection, statements: Sequence[str], application_id: int, version: int
) -> None:
    """Creates the tables of a new file, and its application id, which `file` shows, too."""
    with transaction(connection):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.execute(f"PRAGMA user_version = {version}")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Generator[None]:
    """Commits all changes of the block, or none of them."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself, for example if the disk is full
            connection.execute("ROLLBACK")
        raise
