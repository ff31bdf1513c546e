"""The journal: its records, rejected journals, and damaged ones."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import JournalBusyError, JournalConflictError, JournalError
from dcipher._batch.inputs.identity import Identity, idempotency_key
from dcipher._batch.journal.states import ENDS, NEXT, Change, Entry
from dcipher._batch.journal.store import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entry(key: str, text: str = "a", position: int = 0) -> Entry:
    return Identity("id", None).entry({"id": key, "text": text}, position)


def plan(journal: Journal, *entries: Entry, **options: Any) -> None:
    journal.plan("f", entries, lambda entry, n: idempotency_key("f", entry, n), **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture(params=["file", "memory"])
def journal(request: pytest.FixtureRequest, path: Path) -> Iterator[Journal]:
    opened = Journal(path if request.param == "file" else None)
    yield opened
    opened.close()


def states(journal: Journal) -> dict[str, str]:
    return {row.key: row.state for row in journal.page(-1, 1000)}


def test_rows_come_back_in_order(journal: Journal) -> None:
    """Rows are planned, and read page by page in the order of the input."""
    plan(journal, *[entry(str(n), position=n) for n in range(5)])
    assert [row.key for row in journal.page(-1, 2)] == ["0", "1"]
    assert [row.key for row in journal.page(1, 9)] == ["2", "3", "4"]
    assert set(states(journal).values()) == {"planned"}


def test_transitions(journal: Journal) -> None:
    """A transition changes the state and its columns."""
    plan(journal, entry("a"))
    [row] = journal.page(-1, 9)
    journal.apply([Change(row.id, "planned", "sent", {"attempts": 1})])
    journal.apply([Change(row.id, "sent", "started", {"task_id": "t"})])
    [row] = journal.page(-1, 9)
    assert (row.state, row.attempts, row.task_id) == ("started", 1, "t")


def test_a_transition_from_another_state(journal: Journal) -> None:
    """A row that is not in the state that a transition begins with is left alone, and so are the others."""
    plan(journal, entry("a"), entry("b", position=1))
    a, b = journal.page(-1, 9)
    with pytest.raises(JournalError, match="no longer sent"):
        journal.apply([Change(a.id, "planned", "sent"), Change(b.id, "sent", "started")])
    assert states(journal) == {"a": "planned", "b": "planned"}


@pytest.mark.parametrize("old", sorted(NEXT))
def test_transitions_that_cannot_be(journal: Journal, old: str) -> None:
    """No state follows another that it cannot follow: what is started is never planned again."""
    plan(journal, entry("a"))
    [row] = journal.page(-1, 9)
    for new in {*NEXT, *ENDS} - NEXT[old]:
        with pytest.raises(JournalError, match=f"from {old} to {new}"):
            journal.apply([Change(row.id, old, new)])


def test_a_key_twice(journal: Journal) -> None:
    """Two rows with one key are refused, and both are named."""
    plan(journal, entry("a", position=3))
    with pytest.raises(JournalConflictError, match="Rows 3 and 8 have the same key, 'a'"):
        plan(journal, entry("a", position=8))


def test_other_params(path: Path) -> None:
    """A key that the journal knows with other params is refused; with the same ones it stays as it is."""
    first = Journal(path)
    plan(first, entry("a", "one"))
    first.close()
    again = Journal(path)
    plan(again, entry("a", "one", 7))
    [row] = again.page(-1, 9)
    assert row.position == 7
    again.close()
    changed = Journal(path)
    with pytest.raises(JournalConflictError, match=r"Row 4 .* different params"):
        plan(changed, entry("a", "two", 4))
    changed.close()


def test_rows_of_another_input(path: Path) -> None:
    """A row that is not in the input is not run, and stays in the journal."""
    first = Journal(path)
    plan(first, entry("a"), entry("b", position=1))
    first.close()
    second = Journal(path)
    plan(second, entry("b"))
    assert states(second) == {"b": "planned"}
    second.close()
    assert count(path, "rows") == 2


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_another_run(path: Path, state: str) -> None:
    """`retry_failed` plans another run of a row that failed or expired, under another key."""
    first = Journal(path)
    plan(first, entry("a"))
    [row] = first.page(-1, 9)
    steps = [("planned", "sent"), ("sent", "started"), ("started", state)]
    for old, new in steps:
        first.apply([Change(row.id, old, new, {"task_id": "t", "error": "{}"})])
    first.close()
    without = Journal(path)
    plan(without, entry("a"))
    assert states(without) == {"a": state}
    without.close()
    again = Journal(path)
    plan(again, entry("a"), retry_failed=True)
    [planned] = again.page(-1, 9)
    assert (planned.state, planned.generation, planned.task_id) == ("planned", 1, None)
    assert planned.idempotency_key != row.idempotency_key
    again.close()


@pytest.mark.parametrize("state", ["done", "cancelled", "unknown"])
def test_no_other_run(path: Path, state: str) -> None:
    """`retry_failed` leaves rows alone that did not fail."""
    first = Journal(path)
    plan(first, entry("a"))
    [row] = first.page(-1, 9)
    first.apply([Change(row.id, "planned", "sent")])
    if state != "unknown":
        first.apply([Change(row.id, "sent", "started")])
    first.apply([Change(row.id, "sent" if state == "unknown" else "started", state)])
    first.close()
    again = Journal(path)
    plan(again, entry("a"), retry_failed=True)
    assert states(again) == {"a": state}
    again.close()


def test_one_file_for_two_keys(journal: Journal) -> None:
    """Two keys that would be saved to one file are refused, and both are named."""
    with pytest.raises(JournalConflictError, match="'A' and 'a' would be saved to the same file"):
        plan(
            journal, entry("A"), entry("a", position=1), targets=lambda entry: entry.key.casefold()
        )


def test_it_belongs_to_a_service_and_a_key(path: Path) -> None:
    """A journal is refused to another base URL, and to another API key."""
    Journal(path, base_url="https://a", fingerprint="k").close()
    with pytest.raises(JournalConflictError, match="belongs to the base URL https://a"):
        Journal(path, base_url="https://b", fingerprint="k")
    with pytest.raises(JournalConflictError, match="another API key"):
        Journal(path, base_url="https://a", fingerprint="l")
    Journal(path, base_url="https://a", fingerprint="k").close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_it_is_private(path: Path) -> None:
    """Neither the journal nor what SQLite puts beside it can be read by others, whatever the umask."""
    before = os.umask(0)
    try:
        journal = Journal(path)
        plan(journal, entry("a"))
        files = [*path.parent.iterdir()]
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
        journal.close()
    finally:
        os.umask(before)
    assert {f"{path.name}{suffix}" for suffix in ("", "-wal", "-shm", ".lock")} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_it_is_durable(path: Path) -> None:
    """Each commit is on disk: a write-ahead log with FULL synchronisation."""
    journal = Journal(path)
    connection = journal._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


def test_nothing_is_left_of_a_url(path: Path) -> None:
    """What was removed from a row is in none of the files after the end."""
    journal = Journal(path)
    plan(journal, entry("a"))
    [row] = journal.page(-1, 9)
    journal.apply(
        [
            Change(row.id, "planned", "sent"),
            Change(row.id, "sent", "started", {"run": "canary-url"}),
        ]
    )
    journal.apply([Change(row.id, "started", "done", {"run": None})])
    journal.close()
    for file in path.parent.iterdir():
        assert b"canary-url" not in file.read_bytes()


def test_two_runners(path: Path) -> None:
    """A journal that is in use is refused, with who uses it; afterwards it is free."""
    first = Journal(path)
    with pytest.raises(JournalBusyError, match=f"process {os.getpid()} on"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_a_runner_that_was_killed(path: Path) -> None:
    """The lock of a process that was killed is released by the kernel."""
    code = (
        "import sys, pathlib, os, signal; from dcipher._batch.journal.store import Journal;"
        "Journal(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)  # noqa: S603 - our own interpreter
    Journal(path).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork(path: Path) -> None:
    """A child process does not use the journal of its parent, and does not hold its lock."""
    journal = Journal(path)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    go_on = context.Event()

    def child() -> None:
        try:
            journal.page(-1, 1)
        except JournalError as error:
            sender.send(str(error))
        go_on.wait(60)

    process = context.Process(target=child)
    process.start()
    assert "belongs to the process that opened it" in receiver.recv()
    journal.close()
    Journal(path).close()  # while the child is still there
    go_on.set()
    process.join()


def test_another_file(tmp_path: Path) -> None:
    """A database of somebody else's, or a file that is none, is refused and left as it was."""
    foreign = tmp_path / "other.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    text = tmp_path / "notes.txt"
    text.write_text("no database, but text that is long enough to be one" * 20)
    for file in (foreign, text):
        before = file.read_bytes()
        with pytest.raises(JournalError, match="journal"):
            Journal(file)
        assert file.read_bytes() == before


def test_a_newer_version(path: Path) -> None:
    """A journal of a newer version is refused, with the advice to upgrade."""
    Journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="Upgrade dcipher"):
        Journal(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A path that cannot be opened is refused, with the reason."""
    with pytest.raises(JournalError, match="Check the path"):
        Journal(tmp_path / "none" / "batch.db")


def test_a_copy_that_was_cut(path: Path, tmp_path: Path) -> None:
    """Of a journal that was cut anywhere, what is left is whole, or it is refused."""
    journal = Journal(path)
    for n in range(40):
        plan(journal, entry(str(n), "x" * 500, n))
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    main = path.read_bytes()
    chance = random.Random(5)  # noqa: S311 - where it is cut
    for attempt in range(30):
        copy = tmp_path / f"copy{attempt}.db"
        if attempt % 2:
            copy.write_bytes(main)
            copy.with_name(f"{copy.name}-wal").write_bytes(wal[: chance.randrange(len(wal))])
        else:
            copy.write_bytes(main[: chance.randrange(len(main))])
            copy.with_name(f"{copy.name}-wal").write_bytes(wal)
        try:
            reopened = Journal(copy)
        except JournalError:
            continue
        plan(reopened, *[entry(str(n), "x" * 500, n) for n in range(40)])
        assert len(states(reopened)) == 40
        reopened.close()
    journal.close()


def test_a_full_disk(path: Path) -> None:
    """A disk that is full is said, and that nothing more was started."""
    journal = Journal(path)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(JournalError, match=r"the disk is full\. No further runs were started"):
        plan(journal, *[entry(str(n), "x" * 5000, n) for n in range(20)])
    assert states(journal) == {}
    journal.close()


def test_a_full_disk_at_the_end(path: Path) -> None:
    """The lock is released although the journal cannot be written."""
    journal = Journal(path)
    plan(journal, entry("a"))
    journal._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalError):
        journal.close()
    Journal(path).close()


def test_a_symbolic_link(path: Path) -> None:
    """A symbolic link is refused, by that name."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(JournalError, match="it is a symbolic link"):
        Journal(link)


def test_memory_of_many_rows() -> None:
    """A journal without a file keeps its rows on disk where they are many."""
    journal = Journal(None)
    assert journal._connection.execute("PRAGMA cache_size").fetchone() == (-8192,)
    assert journal._connection.execute("PRAGMA database_list").fetchone()[2] == ""
    journal.close()


def test_transitions_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of transitions keeps the last ones alone."""
    monkeypatch.setattr("dcipher._batch.journal.store.TRANSITIONS", 3)
    journal = Journal(path)
    plan(journal, *[entry(str(n), position=n) for n in range(9)])
    journal.apply([Change(row.id, "planned", "sent") for row in journal.page(-1, 9)])
    journal.close()
    assert count(path, "transitions") == 3


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own
