"""Reads a journal, also while a batch writes it."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dcipher.errors import JournalError
from dcipher.errors._hints import with_hint

from .schema import connected, journal_errors
from .states import KEY_RETENTION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from .store import Journal

__all__ = ["Known", "Summary", "read_keys", "read_resent", "read_rows", "states_of", "summary_of"]


@dataclass(frozen=True)
class Known:
    """A row of a journal."""

    key: str
    index: int
    status: str
    task_id: str | None
    attempts: int
    seconds: float | None
    started_at: float | None
    files: list[str]
    error_type: str | None
    error: str | None
    flow: str
    idempotency_key: str


class Summary(NamedTuple):
    """A summary of a journal."""

    base_url: str
    rows: dict[str, dict[str, int]]
    """The number of rows, by flow and status."""


def read_rows(
    path: Path | None, session: int | None = None, journal: Journal | None = None
) -> Iterator[Known]:
    """Yields the rows of one input, or of all (`None`), in their order.

    They are read from an open journal, or from the file, which is not changed.
    """
    connection = _opened(path) if journal is None else journal.connection()
    try:
        with journal_errors(path):
            found = connection.execute(
                "SELECT key, position, state, task_id, attempts, ended_at - started_at, started_at, "
                "files, error, flow, idempotency_key FROM rows WHERE :session IS NULL OR session = :session "
                "ORDER BY session, position",
                {"session": session},
            )
            for columns in found:
                yield _known(*columns)
    finally:
        if journal is None:
            connection.close()


def _known(
    key: str,
    index: int,
    status: str,
    task_id: str | None,
    attempts: int,
    seconds: float | None,
    started_at: float | None,
    files: str | None,
    error: str | None,
    flow: str,
    idempotency_key: str,
) -> Known:
    told: dict[str, Any] = json.loads(error) if error else {}
    return Known(
        key=key,
        index=index,
        status=status,
        task_id=task_id,
        attempts=attempts,
        seconds=seconds,
        started_at=started_at,
        files=[path for path, *_ in json.loads(files or "[]")],
        error_type=told.get("type"),
        error=told.get("message"),
        flow=flow,
        idempotency_key=idempotency_key,
    )


def summary_of(path: Path) -> Summary:
    """Returns a summary of a journal: its base URL, and the number of rows by state."""
    with closing(_opened(path)) as connection, journal_errors(path):
        owner = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        counts: dict[str, dict[str, int]] = {}
        for flow, state, count in connection.execute(
            "SELECT flow, state, count(*) FROM rows GROUP BY flow, state ORDER BY flow, state"
        ):
            counts.setdefault(flow, {})[state] = count
        return Summary(str(owner.get("base_url", "")), counts)


def states_of(path: Path) -> dict[str, int]:
    """Returns the number of rows by state; none while there is no journal that can be read."""
    counts: dict[str, int] = {}
    with suppress(JournalError):
        for states in summary_of(path).rows.values():
            for state, count in states.items():
                counts[state] = counts.get(state, 0) + count
    return counts


def read_keys(path: Path, flow_id: str) -> Iterator[tuple[str, str]]:
    """Yields key and state of each row of a flow."""
    with closing(_opened(path)) as connection, journal_errors(path):
        yield from connection.execute("SELECT key, state FROM rows WHERE flow = ?", (flow_id,))


def read_resent(path: Path) -> list[tuple[str, bool]]:
    """Returns the rows whose start was sent again: key, and whether that was late."""
    with suppress(JournalError), closing(_opened(path)) as connection, journal_errors(path):
        return connection.execute(
            "SELECT key, coalesce(started_at, sent_at) - sent_at > ? FROM rows WHERE resent > 0",
            (KEY_RETENTION,),
        ).fetchall()
    return []


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is None or not path.is_file():
        raise with_hint(JournalError(f"There is no journal {path}."), "Check the path.")
    return connected(path, read_only=True)
