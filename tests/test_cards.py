"""Cards of flows, runs, tables and rejects in notebooks, and the line of a run in a Python prompt."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import BaseModel

from dcipher import Flow, Run, RunStatus, records_file, table_file
from dcipher._html.cards import run_card

NOW = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
URL = (
    "https://store.example/r?X-Amz-Signature=canary&X-Amz-Date=20260504T120000Z&X-Amz-Expires=3600"
)
OUTPUT = {"url": URL, "expires_at": NOW + timedelta(hours=1)}
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m"


class Page(HTMLParser):
    """The elements and the text of a card; void elements, and those that are left open, are counted."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        if tag not in {"br", "progress"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "progress":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


def page(shown: object) -> Page:
    html: str = shown if isinstance(shown, str) else shown._repr_html_()  # type: ignore[attr-defined]
    found = Page(html)
    tables = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert found.tags <= tables | {"style", "div", "code", "p", "pre", "b", "br"}
    assert "canary" not in html
    assert "\x1b" not in html
    return found


def run(**values: Any) -> Run:
    return Run.model_validate(
        {"flow_id": "topics", "task_id": "8d71", "outputs": [OUTPUT], **values}
    )


def test_a_flow_shows_its_params_and_a_call() -> None:
    """Its name, its params, and the call to paste."""
    flow = Flow.model_validate(
        {
            "id": "65cf",
            "name": "Topics",
            "description": "Groups a text.",
            "params": [
                {"name": "text", "type": "string", "required": True},
                {"name": "top", "type": "integer", "default": 5, "description": "How many."},
            ],
        }
    )
    text = page(flow).text
    for word in (
        "Topics",
        "65cf",
        "text",
        "string",
        "required",
        "5",
        "How many.",
        "Groups a text.",
    ):
        assert word in text
    assert "run = client.flows.run('65cf', {'text': …})" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": "RUNNING"}, ["RUNNING", "run = client.runs.wait(run)"]),
        (
            {"status": "SUCCEEDED"},
            ["SUCCEEDED", "1, available until 2026-05-04 13:00", "client.runs.read(run)"],
        ),
        ({"status": "SUCCEEDED", "files": ["a.json"]}, ["a.json", "# from the file"]),
        ({"status": "SUCCEEDED", "outputs": [{}]}, ["their URLs are not known here"]),
        ({"status": "FAILED", "message": "too long"}, ["FAILED", "too long", "# a new run"]),
        ({"status": "setting up cluster"}, ["setting up cluster", "client.runs.wait"]),
        ({"created_at": NOW - timedelta(hours=3)}, ["3 hours ago"]),
        ({"created_at": NOW - timedelta(seconds=70)}, ["1 minute ago"]),
        ({"created_at": NOW + timedelta(hours=1)}, ["2026-05-04 13:00 UTC"]),
    ],
)
def test_a_run_shows_its_state_and_the_next_line(values: Any, words: list[str]) -> None:
    """Its status, its ids, its age, its results, the next line to write; never the URL."""
    text = page(run_card(run(**values), NOW)).text
    for word in ("topics", "8d71", *words):
        assert word in text


def test_an_expired_result_is_marked() -> None:
    """The card of an expired URL has no line for a download."""
    text = page(run_card(run(status="SUCCEEDED"), NOW + timedelta(hours=2))).text
    assert "the URL has expired" in text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "<Run 8d71 of flow topics: PENDING, 1 result>"),
        ({"outputs": [], "status": "FAILED"}, "<Run 8d71 of flow topics: FAILED>"),
        ({"outputs": [{}, {}]}, "<Run 8d71 of flow topics: PENDING, 2 results>"),
        ({"status": "a\nb\x1b[2J"}, "<Run 8d71 of flow topics: a b [2J, 1 result>"),
    ],
)
def test_the_repr_of_a_run_is_one_line(values: Any, line: str) -> None:
    """A prompt, a log and a debugger show which run it is. `str` shows all fields, without the URLs."""
    shown = run(**values)
    assert repr(shown) == line
    assert f"status={shown.status!r}" in str(shown)
    assert "canary" not in str(shown)


def test_hostile_text_remains_text() -> None:
    """Text of a service becomes no element, no attribute and no escape of a terminal."""
    flow = Flow.model_validate(
        {"id": HOSTILE, "name": HOSTILE, "description": HOSTILE,
         "params": [{"name": HOSTILE, "type": HOSTILE, "default": HOSTILE, "required": True}]}
    )  # fmt: skip
    assert "<script>" in page(flow).text
    message = f"{HOSTILE} {URL}"
    text = page(run(status=HOSTILE, message=message, task_id=HOSTILE, files=[HOSTILE])).text
    assert "<script>" in text


class Row(BaseModel):
    n: int
    secret: str = ""


def test_a_table_shows_its_columns_and_reads_no_row(tmp_path: Any) -> None:
    """With a model, the columns are known; without one, they would need rows."""
    pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    path = tmp_path / "r.ndjson"
    path.write_text('{"n": 1}\n{"n": "broken"}\n')
    with table_file(path, Row) as table:
        assert "n" in page(table).text
        assert "int64" in page(table).text
    with table_file(path) as table:
        assert "table.schema" in page(table).text


def test_rejects_show_reasons_and_no_values(tmp_path: Any) -> None:
    """The number of invalid rows, the reasons, and the location of the first ones."""
    path = tmp_path / "r.ndjson"
    path.write_text('{"n": "canary"}\n' * 12 + '{"n": 1}\n')
    with records_file(path, Row, on_invalid="collect") as rows:
        list(rows)
        text = page(rows.rejects).text
    assert "12 of 13 rows are invalid" in text
    assert "int_parsing" in text
    assert "n: Input should be a valid integer" in text


def test_a_status_of_the_service_is_a_badge() -> None:
    """Runs that succeeded, failed, or are in progress have different badges."""
    html = {
        status: run_card(run(status=status), NOW) for status in ("SUCCEEDED", "FAILED", "RUNNING")
    }
    assert 'class="status good"' in html["SUCCEEDED"]
    assert 'class="status bad"' in html["FAILED"]
    assert 'class="status "' in html["RUNNING"]
    assert RunStatus.FAILED.is_terminal
