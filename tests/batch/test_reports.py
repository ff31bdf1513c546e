"""Reports, rows as a table, and progress of a batch."""

from __future__ import annotations

import pickle
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dcipher import AsyncDcipher, BatchProgress, Dcipher, DcipherError
from dcipher._batch.reports.outcomes import Outcome
from dcipher._batch.reports.progress import sentence, snapshot
from dcipher._batch.reports.report import report_of
from dcipher._batch.reports.tally import Tally
from dcipher._progress.displays import display
from dcipher.errors import InvalidParamsError, NotFoundError, RunFailedError
from dcipher.models import Run
from tests.conftest import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher import BatchReport
    from dcipher.emulator import Emulator
    from tests.conftest import Connect

pytestmark = pytest.mark.usefixtures("_quick")


def failing() -> Tally:
    tally = Tally()
    run = Run(flow_id="f", task_id="t")
    for n in range(8):
        tally.add(Outcome(f"<k{n}>", n, "failed", error=RunFailedError(f"<b>{n}</b>", run=run)))
    tally.add(Outcome("x", 8, "expired", error=NotFoundError("gone")))
    tally.add(Outcome("y", 9, "done", reused=True))
    tally.sent_again("<twice>", late=False)
    for seconds in range(1, 101):
        tally.took(float(seconds))
    return tally


def report(tally: Tally) -> BatchReport:
    return report_of(
        tally, left_running=2, total=61.5, throttled=3.0, starts=11, polls=40, stopped=True, journal="j.db"
    )  # fmt: skip


def test_failures_are_grouped() -> None:
    """Failures are grouped by status and error, the most frequent first, with examples."""
    first, second = report(failing()).failures
    assert (first.status, first.type, first.count) == ("failed", "RunFailedError", 8)
    assert first.keys == ("<k0>", "<k1>", "<k2>", "<k3>", "<k4>")
    assert first.message == "<b>0</b>"
    assert (second.status, second.type, second.count, second.keys) == (
        "expired",
        "NotFoundError",
        1,
        ("x",),
    )


def test_counts() -> None:
    """The report counts the rows by status, and says how long the runs took."""
    found = report(failing())
    assert (found.rows, found.done, found.failed, found.expired, found.unknown) == (10, 1, 8, 1, 0)
    assert (found.reused, found.left_running, found.resent_count) == (1, 2, 1)
    assert (found.seconds.p50, found.seconds.p90, found.seconds.max) == (51.0, 91.0, 100.0)
    assert str(found) == (
        "10 rows in 61.5 s: 1 done, 1 expired, 8 failed (1 from the journal); 2 runs continue; "
        "1 starts were retried."
    )


class Page(HTMLParser):
    """The elements of a page, and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_a_page_of_its_own(tmp_path: Path) -> None:
    """The report is one file without scripts and without anything from elsewhere; nothing in it is markup."""
    path = report(failing()).save(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not {"script", "link", "img", "iframe", "b"} & set(page.elements)
    assert not {"src", "href", "onload", "onclick"} & set(page.attributes)
    assert {"html", "title", "main", "h1", "caption", "th"} <= set(page.elements)
    assert "&lt;k0&gt;" in text
    assert "&lt;twice&gt;" in text
    assert "color-scheme: light dark" in text
    assert "@media print" in text


def test_in_a_notebook() -> None:
    """A notebook shows the tables."""
    html = report(failing())._repr_html_()
    assert html.count("<table>") == 2
    assert "<html" not in html


def test_the_rows_as_a_table(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """The report is a table of its rows to whatever reads Arrow, with and without a journal."""
    pa = pytest.importorskip("pyarrow")
    rows = [{"id": n, "text": "a" if n else 5} for n in range(3)]
    for journal in (None, tmp_path / "batch.db"):
        with connect(emulator) as client:
            found = client.flows.map("shout", rows, key="id", journal=journal).run()
        table = pa.table(found).to_pydict()
        assert table["key"] == ["0", "1", "2"]
        assert table["status"] == ["failed", "done", "done"]
        assert table["error_type"] == ["UnprocessableEntityError", None, None]
        assert table["task_id"][0] is None
        assert table["task_id"][1] in {run.task_id for run in emulator.runs}
        copy = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
        assert copy == found
        if journal is None:
            with pytest.raises(DcipherError, match="pickled"):
                list(copy._rows)
        else:
            assert pa.table(copy).to_pydict() == table


def test_progress_is_reported(connect: Connect, emulator: Emulator) -> None:
    """A function is told how far the batch is, the last time at its end."""
    told: list[BatchProgress] = []
    rows = [{"id": n} for n in range(3)]
    with connect(emulator) as client:
        client.flows.map("slow", rows, key="id", progress=told.append).run()
    assert (told[-1].ended, told[-1].rows, told[-1].is_last) == (3, 3, True)
    assert any(progress.in_flight for progress in told[:-1])


def test_a_function_that_fails(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """What the function raises ends the batch, which completes its requests, and resumes."""
    rows, journal = [{"id": n} for n in range(3)], tmp_path / "batch.db"

    def broken(progress: BatchProgress) -> None:
        raise RuntimeError("no room to show it")

    with connect(emulator) as client:
        with pytest.raises(RuntimeError, match="no room") as caught:
            client.flows.map("slow", rows, key="id", journal=journal, progress=broken).run()
        assert "To resume from" in "".join(caught.value.__notes__)
        report = client.flows.map("slow", rows, key="id", journal=journal, progress=False).run()
    assert (report.done, report.resent) == (3, ())


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """DCIPHER_PROGRESS=0 takes precedence over what the code says."""
    told: list[Any] = []
    monkeypatch.setenv("DCIPHER_PROGRESS", "0")
    nobody = display(told.append, snapshot)
    assert not nobody.is_due(1e9)
    nobody.close(BatchProgress(5))
    assert told == []


def test_lines_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody watches, a line a minute says how far it is; nothing of a batch that is quick."""
    lines = display("auto", snapshot)
    lines.close(BatchProgress(1))
    assert capsys.readouterr().err == ""
    assert not lines.is_due(0.0)
    assert lines.is_due(10.0)
    lines.report(BatchProgress(10, {"done": 4, "failed": 1}, in_flight=3, remaining=300.0))
    assert not lines.is_due(15.0)
    assert not lines.is_due(19.0)
    assert capsys.readouterr().err == (
        "dcipher: 5 of 10 rows, 1 failed, 3 in flight, about 5 min left\n"
    )
    lines.close(BatchProgress(10, {"done": 9, "failed": 1}, is_last=True))
    assert capsys.readouterr().err == "dcipher: 10 of 10 rows, 1 failed\n"


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a bar is shown, and at its end one line."""
    pytest.importorskip("rich")
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    bar = display("auto", snapshot)
    bar.report(BatchProgress(10, {"done": 4}))
    bar.report(BatchProgress(None, {"done": 5}))
    bar.close(BatchProgress(10, {"done": 10}, is_last=True))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "━" in shown
    assert shown.endswith("dcipher: 10 of 10 rows\n")


def test_progress_for_a_coroutine_function(emulator: Emulator) -> None:
    """An async batch awaits it, also for the last time; a blocking one refuses it."""
    told: list[bool] = []

    async def show(progress: BatchProgress) -> None:
        told.append(progress.is_last)

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=emulator.url) as client:
            await client.flows.map("shout", [{"text": "a"}], progress=show).run()

    anyio.run(main)
    assert told[-1]
    with (
        Dcipher(KEY, base_url=emulator.url) as client,
        pytest.raises(InvalidParamsError, match="progress must not be an async function"),
    ):
        client.flows.map("shout", [{"text": "a"}], progress=show)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (BatchProgress(None, {"done": 1234}), "1,234 rows"),
        (BatchProgress(9, {"done": 3}, reused=2), "3 of 9 rows, 2 from the journal"),
        (
            BatchProgress(9, {}, paused="APIConnectionError"),
            "0 of 9 rows, paused: APIConnectionError",
        ),
        (BatchProgress(9, {}, remaining=40.0), "0 of 9 rows, about 40 s left"),
        (BatchProgress(9, {}, remaining=20_000.0), "0 of 9 rows, about 5.6 h left"),
    ],
)
def test_sentences(progress: BatchProgress, text: str) -> None:
    """Progress is one line of text."""
    assert sentence(progress) == text
