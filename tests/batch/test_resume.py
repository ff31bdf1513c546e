"""A killed batch is resumed: no row is lost, and none is run twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher import AuthenticationError, FlowCall, JournalError, PermissionDeniedError
from dcipher.emulator import Emulator
from dcipher.emulator.faults import Drop, Respond, Stall
from tests.conftest import KEY
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Connect

ROOT = Path(__file__).parents[2]
ROWS = 6
POINTS = [
    "creation of the journal",
    "planning",
    "page",
    "before intent",
    "intent",
    "response",
    "id",
    "end",
    "download",
    "creation of the file",
    "middle of the file",
    "last byte",
    "sync",
    "rename",
    "folder's sync",
    "before done",
    "done",
    "checkpoint",
]

pytestmark = [
    pytest.mark.usefixtures("_quick"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
]


class Text(BaseModel):
    text: str


class Program:
    """`runner.py`, with the same journal and the same folder each time."""

    def __init__(self, emulator: Emulator, folder: Path, **options: Any) -> None:
        self.emulator = emulator
        self.journal = folder / "batch.db"
        self.folder = folder / "results"
        self.options = {
            "url": emulator.url, "api_key": KEY, "flow": "shout", "journal": str(self.journal),
            "save": str(self.folder), "rows": ROWS, "kind": "sync", "on_unknown": "resend",
            "in_flight": None, "point": "never", "nth": 1, **options,
        }  # fmt: skip

    def start(self, **options: Any) -> subprocess.Popen[str]:
        arguments = json.dumps({**self.options, **options})
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "tests.batch.runner", arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )  # fmt: skip

    def killed(self, point: str, **options: Any) -> None:
        with self.start(point=point, **options) as process:
            _, errors = process.communicate(timeout=HANG)
        assert process.returncode == -signal.SIGKILL, errors

    def finished(self, **options: Any) -> dict[str, str]:
        with self.start(**options) as process:
            out, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
        found: dict[str, str] = json.loads(out)
        return found

    def runs(self) -> Counter[str]:
        """How many runs each row has had."""
        return Counter(str(run.params["text"]) for run in self.emulator.runs)

    def check(self, statuses: dict[str, str]) -> None:
        """Each row is done, its file is whole, and it was run once."""
        assert statuses == {f"row-{n}": "done" for n in range(ROWS)}
        assert self.runs() == {f"t{n}": 1 for n in range(ROWS)}
        for n in range(ROWS):
            assert json.loads((self.folder / f"row-{n}.json").read_text()) == {"text": f"T{n}"}


@pytest.mark.parametrize("nth", [1, pytest.param(3, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("point", POINTS)
def test_killed_and_resumed(emulator: Emulator, tmp_path: Path, point: str, nth: int) -> None:
    """Killed at any point, the same call resumes: exactly one run a row, and every file whole."""
    kind = ["sync", "async"][(POINTS.index(point) + nth // 2) % 2]
    # One after the other, the third commit is that of the third row.
    program = Program(emulator, tmp_path, kind=kind, in_flight=1 if nth == 3 else None)
    once = {"creation of the journal", "planning", "page"}
    if point == "checkpoint":
        nth = 2  # the first one is at the beginning
    program.killed(point, nth=1 if point in once else nth)
    program.check(program.finished())
    [mode] = {oct(file.stat().st_mode & 0o777) for file in tmp_path.glob("batch.db*")}
    assert mode == "0o600"


def test_killed_again_and_again(emulator: Emulator, tmp_path: Path) -> None:
    """Killed in a resume, too, it resumes."""
    program = Program(emulator, tmp_path, in_flight=1)
    for point in ("intent", "id", "response", "rename", "done", "before done"):
        program.killed(point)
    program.check(program.finished(kind="async"))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_killed_after_the_send(emulator: Emulator, tmp_path: Path, kind: str) -> None:
    """Killed while the service has a start and has not answered yet, no second run is started."""
    emulator.fault("start", Stall(HANG), times=1)
    program = Program(emulator, tmp_path, kind=kind, in_flight=1)
    with program.start() as process:
        assert until(lambda: emulator.runs)
        process.kill()
    emulator.clear_faults()
    program.check(program.finished())


@pytest.fixture
def forgetful() -> Iterator[Emulator]:
    """A service that does not honour idempotency keys."""
    with Emulator(queue_time=0.0, api_key=KEY, idempotency=False) as running:

        @running.flow("shout")
        def shout(text: str) -> dict[str, str]:
            return {"text": text.upper()}

        yield running


@pytest.mark.parametrize("point", ["intent", "response"])
def test_held_for_a_person(forgetful: Emulator, tmp_path: Path, point: str) -> None:
    """`on_unknown="hold"`: a start of which nobody knows is not sent again; its row is `unknown`."""
    program = Program(forgetful, tmp_path, on_unknown="hold", in_flight=1)
    program.killed(point)
    statuses = program.finished()
    assert Counter(statuses.values()) == {"unknown": 1, "done": ROWS - 1}
    assert max(program.runs().values()) == 1
    assert program.finished() == statuses


def test_sent_again_without_idempotency(forgetful: Emulator, tmp_path: Path) -> None:
    """`on_unknown="resend"`: such a start is sent again, at least once: every row is done."""
    program = Program(forgetful, tmp_path, in_flight=1)
    program.killed("response")
    assert set(program.finished().values()) == {"done"}
    assert sorted(program.runs().values()) == [1] * (ROWS - 1) + [2]


def test_a_retried_start_stays_in_the_report(
    connect: Connect, forgetful: Emulator, tmp_path: Path
) -> None:
    """A later call names the rows that an earlier one started again, killed or not."""
    program = Program(forgetful, tmp_path, in_flight=1)
    program.killed("response")
    program.killed("done")  # after it has sent that start again
    rows = [{"id": f"row-{n}", "text": f"t{n}"} for n in range(ROWS)]
    twice = {f"row-{text[1:]}" for text, count in program.runs().items() if count == 2}
    assert twice
    for _ in range(2):
        _, report = mapped(connect, forgetful, tmp_path, rows=rows, save=program.folder)
        assert twice <= {*report.resent}
        assert report.resent_late == 0


def test_a_start_that_is_retried_a_day_later(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """Its idempotency key may be forgotten: the report says that it may have run twice."""
    program = Program(emulator, tmp_path, in_flight=1)
    program.killed("response")
    connection = sqlite3.connect(program.journal)
    connection.execute("UPDATE rows SET sent_at = sent_at - 90000 WHERE state = 'sent'")
    connection.commit()
    connection.close()
    rows = [{"id": f"row-{n}", "text": f"t{n}"} for n in range(ROWS)]
    for _ in range(2):
        _, report = mapped(connect, emulator, tmp_path, rows=rows, save=program.folder)
        assert (report.resent_count, report.resent_late) == (1, 1)
        assert "after 24 hours" in str(report)


@pytest.fixture
def endless() -> Iterator[Emulator]:
    """A service whose runs do not end."""
    with Emulator(api_key=KEY, min_run_time=3600) as running:

        @running.flow("shout")
        def shout(text: str) -> str:
            return text

        yield running


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGTERM, in another thread"])
def test_asked_to_end(endless: Emulator, tmp_path: Path, number: str) -> None:
    """SIGTERM and Ctrl-C start nothing more, commit what is known, and say how to go on."""
    program = Program(endless, tmp_path, rows=1)
    emulator = endless
    with program.start() as process:
        assert until(lambda: emulator.runs)
        assert until(lambda: _states(program.journal) == ["started"])
        if number in {"SIGTERM", "SIGINT"}:
            process.send_signal(getattr(signal, number))
        try:
            _, errors = process.communicate("!" if "thread" in number else "", timeout=HANG)
        finally:
            process.kill()
    assert process.returncode in ({1, 130, -signal.SIGINT} if number == "SIGINT" else {143})
    if number == "SIGINT" and sys.version_info >= (3, 11):
        assert "run the same line again" in errors
    assert _states(program.journal) == ["started"]


def _states(journal: Path) -> list[str]:
    try:
        with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
            return [state for (state,) in connection.execute("SELECT state FROM rows")]
    except sqlite3.Error:
        return []


# What is reused


def mapped(connect: Connect, emulator: Emulator, path: Path, **options: Any) -> Any:
    rows = [{"id": n, "text": f"t{n}"} for n in range(4)]
    with connect(emulator) as client:
        batch = client.flows.map(
            options.pop("flow", "shout"), options.pop("rows", rows), key="id",
            journal=path / "batch.db", ordered=True, **options,
        )  # fmt: skip
        return [*batch], batch.report


def test_a_damaged_row(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A text of the journal that was changed is an error of the journal, and the next call is not blocked."""
    journal, rows = tmp_path / "batch.db", [{"text": "a"}]
    with connect(emulator) as client:
        client.flows.map("shout", rows, journal=journal).run()
        with closing(sqlite3.connect(journal)) as connection:
            connection.execute("UPDATE rows SET run = substr(run, 2)")
            connection.commit()
        for _ in range(2):
            with pytest.raises(JournalError, match="damaged"):
                client.flows.map("shout", rows, journal=journal).run()


def test_results_are_reused(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """What was read comes from the journal in the next call: nothing is sent for it."""
    first, _ = mapped(connect, emulator, tmp_path, read=Text)
    before = len(emulator.requests)
    second, report = mapped(connect, emulator, tmp_path, read=Text)
    assert len(emulator.requests) == before
    assert [outcome.value for outcome in second] == [outcome.value for outcome in first]
    assert all(outcome.reused for outcome in second)
    assert (report.reused, report.starts, report.polls) == (4, 0, 0)


class Shout(FlowCall[Text], flow="shout"):
    text: str


def test_results_of_calls_are_reused(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """So are the results of calls, which name their type themselves."""
    with connect(emulator) as client:
        for turn in range(2):
            batch = client.flows.map([Shout(text="a")], journal=tmp_path / "batch.db")
            [outcome] = batch
            assert (outcome.unwrap(), outcome.reused) == (Text(text="A"), turn == 1)


def test_another_type_for_the_same_results(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """A result that did not fit is validated again by the next call, as the type that it has."""
    rejected, _ = mapped(connect, emulator, tmp_path, read=list[int])
    assert {outcome.status for outcome in rejected} == {"rejected"}
    found, _ = mapped(connect, emulator, tmp_path, read=Text)
    assert [outcome.unwrap().text for outcome in found] == ["T0", "T1", "T2", "T3"]
    again, _ = mapped(connect, emulator, tmp_path, read=list[int])
    assert {outcome.status for outcome in again} == {"rejected"}
    assert len(emulator.runs) == 4


def test_a_file_that_was_changed(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A file that is gone, or of another size, is `expired`; `retry_failed` runs its row again."""
    folder = tmp_path / "results"
    mapped(connect, emulator, tmp_path, save=folder)
    (folder / "1.json").unlink()
    (folder / "2.json").write_text("longer than it was before")
    found, _ = mapped(connect, emulator, tmp_path, save=folder)
    assert [outcome.status for outcome in found] == ["done", "expired", "expired", "done"]
    again, report = mapped(connect, emulator, tmp_path, save=folder, retry_failed=True)
    assert {outcome.status for outcome in again} == {"done"}
    assert (report.starts, len(emulator.runs)) == (2, 6)


def test_failed_rows(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A run that failed is run again only with `retry_failed`, under another key."""
    rows = [{"id": 1}]
    mapped(connect, emulator, tmp_path, flow="fails", rows=rows)
    [known], _ = mapped(connect, emulator, tmp_path, flow="fails", rows=rows)
    assert (known.status, known.reused, type(known.error).__name__) == (
        "failed",
        True,
        "RunFailedError",
    )
    assert "the corpus is empty" in str(known.error)
    assert len(emulator.runs) == 1
    mapped(connect, emulator, tmp_path, flow="fails", rows=rows, retry_failed=True)
    assert len(emulator.runs) == 2


def test_more_rows(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """Rows that come to the input are run, those that were there are reused."""
    mapped(connect, emulator, tmp_path)
    rows = [{"id": n, "text": f"t{n}"} for n in reversed(range(6))]
    found, report = mapped(connect, emulator, tmp_path, rows=rows)
    assert [outcome.key for outcome in found] == ["5", "4", "3", "2", "1", "0"]
    assert (report.reused, report.starts) == (4, 2)


def test_urls_that_expired_meanwhile(connect: Connect, tmp_path: Path) -> None:
    """A result whose URL expired before the resume is `expired`, and is not run again by itself."""
    with Emulator(queue_time=0.0, api_key=KEY, url_lifetime=-1) as emulator:

        @emulator.flow("shout")
        def shout(text: str) -> dict[str, str]:
            return {"text": text}

        found, _ = mapped(connect, emulator, tmp_path, read=Text)
        assert {outcome.status for outcome in found} == {"expired"}
        again, _ = mapped(connect, emulator, tmp_path, read=Text)
        assert {outcome.status for outcome in again} == {"expired"}
        assert len(emulator.runs) == 4


def test_a_service_that_lost_the_run(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A run that the service does not know any more is `failed`; `retry_failed` runs it again."""
    program = Program(emulator, tmp_path, save=None)
    program.killed("id", nth=1)
    emulator.reset()
    rows = [{"id": f"row-{n}", "text": f"t{n}"} for n in range(ROWS)]
    connection = sqlite3.connect(program.journal)
    connection.execute("UPDATE rows SET started_at = started_at - 3600")
    connection.commit()
    connection.close()
    found, _ = mapped(connect, emulator, tmp_path, rows=rows)
    lost = [outcome for outcome in found if outcome.status == "failed"]
    assert lost
    assert {type(outcome.error).__name__ for outcome in lost} == {"NotFoundError"}
    found, _ = mapped(connect, emulator, tmp_path, rows=rows, retry_failed=True)
    assert {outcome.status for outcome in found} == {"done"}


@pytest.mark.parametrize("refusals", [(401,), (429, 401), (429, 429, 403)])
def test_a_refusal_does_not_undo_a_lost_response(
    connect: Connect, forgetful: Emulator, tmp_path: Path, refusals: tuple[int, ...]
) -> None:
    """After a lost response, a refused retry leaves the row in doubt: a later call may hold it."""
    forgetful.fault("start", Drop("after"))
    for nth, status in enumerate(refusals, 2):
        forgetful.fault("start", Respond(status, headers={"Retry-After": "0"}), nth=nth)
    journal = str(tmp_path / "batch.db")
    rows = [{"id": "row-1", "text": "t1"}]
    with connect(forgetful) as client:
        with pytest.raises((AuthenticationError, PermissionDeniedError)):
            client.flows.map("shout", rows, key="id", journal=journal).run()
        again = client.flows.map("shout", rows, key="id", journal=journal, on_unknown="hold")
        (outcome,) = again
    assert outcome.status == "unknown"
    assert len(forgetful.runs) == 1
