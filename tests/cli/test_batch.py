"""`dcipher flows map` and `dcipher journal`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dcipher.emulator.faults import Drop, Respond

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "texts.csv"
    file.write_text("id,text,note\na,one,x\nb,two,y\nc,three,z\n", encoding="utf-8")
    return file


def test_a_run_for_each_row(dcipher: Call, emulator: Emulator, rows: Path, tmp_path: Path) -> None:
    """Each row of a file is run, its result saved, and the report printed. The same command resumes."""
    command = ("flows", "map", "shout", rows, "--key", "id", "--params", "text")
    files = ("--journal", tmp_path / "texts.db", "--save", tmp_path / "results")
    done = dcipher(*command, *files, "--report", tmp_path / "report.html")
    assert (done.code, done.out.partition(" rows in ")[0]) == (0, "3")
    assert json.loads((tmp_path / "results" / "b.json").read_text()) == {"text": "TWO"}
    assert "<!doctype html>" in (tmp_path / "report.html").read_text()
    again = dcipher(*command, *files, "--json")
    document = json.loads(again.out)
    assert (document["counts"], document["reused"], document["starts"]) == ({"done": 3}, 3, 0)
    assert len(emulator.runs) == 3


def test_outcomes_as_lines(dcipher: Call, emulator: Emulator, rows: Path) -> None:
    """With --jsonl each outcome is a line; with -q the keys of the rows that are not done."""
    done = dcipher("flows", "map", "shout", rows, "--key", "id", "--params", "text", "--jsonl")
    lines = sorted(
        (json.loads(line) for line in done.out.splitlines()), key=lambda line: line["index"]
    )
    assert [(line["key"], line["status"]) for line in lines] == [
        ("a", "done"),
        ("b", "done"),
        ("c", "done"),
    ]
    missed = dcipher("flows", "map", "shout", rows, "--key", "id", "--params", "note", "-q")
    assert (missed.code, sorted(missed.out.split())) == (3, ["a", "b", "c"])


def test_failures(dcipher: Call, emulator: Emulator, rows: Path, tmp_path: Path) -> None:
    """Rows that fail are the exit code 3, grouped in the report, and listed by the journal."""
    journal = tmp_path / "texts.db"
    done = dcipher("flows", "map", "shout", rows, "--key", "id", "--journal", journal)
    assert done.code == 3
    assert "UnprocessableEntityError\t3" in done.out
    assert done.err.endswith("names the columns to send. Next: dcipher flows get shout\n")
    listed = dcipher("journal", "failures", journal, "--jsonl")
    assert {json.loads(line)["error_type"] for line in listed.out.splitlines()} == {
        "UnprocessableEntityError"
    }
    assert dcipher("journal", "failures", journal, "-q").out.split() == ["a", "b", "c"]
    shown = dcipher("journal", "show", journal)
    assert shown.out == "shout\tfailed\t3\n"
    assert emulator.url in shown.err
    assert json.loads(dcipher("journal", "show", journal, "--json").out)["base_url"] == emulator.url
    assert len(dcipher("journal", "export", journal, "--jsonl").out.splitlines()) == 3
    ended = dcipher("flows", "map", "shout", rows, "--key", "id", "--max-failures", "0")
    assert ended.code == 3
    assert "more than max_failures=0 allows" in ended.err


def test_an_unknown_row(dcipher: Call, emulator: Emulator, rows: Path, tmp_path: Path) -> None:
    """A row whose start is unknown is resolved by the user, and the next call resumes from there."""
    emulator.fault("start", Drop("after"), times=1)
    journal = tmp_path / "texts.db"
    command = (
        *("flows", "map", "shout", rows, "--key", "id", "--params", "text", "--in-flight", "1"),
        *("--journal", journal, "--hold-unknown"),
    )
    assert dcipher(*command, "-q").out.split() == ["a"]
    assert dcipher("journal", "resolve", journal, "b", "--again").code == 2
    assert dcipher("journal", "resolve", journal, "nobody", "--again").code == 2
    assert dcipher("journal", "resolve", journal, "a").code == 2
    assert dcipher("journal", "resolve", journal, "a", "--again").code == 0
    assert dcipher(*command, "-q").code == 0
    assert len(emulator.runs) == 3  # under the same idempotency key


def test_a_cancelled_row(dcipher: Call, emulator: Emulator, rows: Path, tmp_path: Path) -> None:
    """A row whose run was cancelled is not run again, unless the user says that it failed."""
    emulator.fault("status", Respond(200, body={"status": "CANCELLED"}), times=1)
    journal = tmp_path / "texts.db"
    command = (
        *("flows", "map", "shout", rows, "--key", "id", "--params", "text", "--in-flight", "1"),
        *("--journal", journal, "--retry-failed", "-q"),
    )
    assert dcipher(*command).out.split() == ["a"]
    assert dcipher(*command).out.split() == ["a"]
    again = dcipher("journal", "resolve", journal, "a", "--again")
    assert again.code == 2
    assert "a cancelled one by --failed" in again.err
    assert dcipher("journal", "resolve", journal, "a", "--failed").code == 0
    assert dcipher(*command).code == 0
    assert len(emulator.runs) == 4


@pytest.mark.parametrize(("option", "status"), [("--failed", "failed"), ("--task", "done")])
def test_other_resolutions(
    dcipher: Call, emulator: Emulator, rows: Path, tmp_path: Path, option: str, status: str
) -> None:
    """It has failed, or it is a run that was found: that is waited for."""
    emulator.fault("start", Drop("after"), times=1)
    journal = tmp_path / "texts.db"
    command = (
        *("flows", "map", "shout", rows, "--key", "id", "--params", "text", "--in-flight", "1"),
        *("--journal", journal, "--hold-unknown"),
    )
    dcipher(*command)
    found = (option,) if option == "--failed" else (option, emulator.runs[0].task_id)
    assert dcipher("journal", "resolve", journal, "a", *found).code == 0
    lines = [json.loads(line) for line in dcipher(*command, "--jsonl").out.splitlines()]
    assert {line["key"]: line["status"] for line in lines}["a"] == status
    assert len(emulator.runs) == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["flows", "map", "shout", "nothing.csv"], 2),
        (["flows", "map", "shout", "{rows}", "--max-failures", "many"], 2),
        (["flows", "map", "shout", "{rows}", "--key", "none"], 2),
        (["journal", "show", "nothing.db"], 1),
        (["journal", "show", "{rows}"], 1),
        (["journal", "resolve", "nothing.db", "a", "--again"], 2),
    ],
)
def test_invalid_files(dcipher: Call, rows: Path, arguments: list[str], code: int) -> None:
    """An unusable file is reported, also by the exit code. A file of rows is not changed into a journal."""
    before = rows.read_bytes()
    done = dcipher(*[argument.format(rows=rows) for argument in arguments])
    assert (done.code, done.out) == (code, "")
    assert done.err
    assert rows.read_bytes() == before
