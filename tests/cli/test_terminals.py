"""Output on a terminal, in this process: tables, progress, untrusted text."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Dcipher
from dcipher.cli import main
from dcipher.cli.state.ledger import Ledger
from dcipher.cli.terminal.output import Form, Output
from dcipher.cli.terminal.text import printable, printable_json
from dcipher.models import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX terminals")
PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pseudo-terminal that stdout and stderr lead to."""

    def __init__(self) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        self.stream = open(theirs, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        self._got = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            if not data:
                return
            self._got.extend(data)

    def main(self, *arguments: str) -> int:
        """Call the command line in it."""
        with standard(self.stream):
            return main(arguments)

    def seen(self) -> str:
        """Returns the output so far."""
        return self._got.decode().replace("\r\n", "\n")

    def text(self) -> str:
        """All that it got; it is closed then."""
        if not self.stream.closed:
            self.stream.close()
            self._reader.join(60)
            os.close(self._ours)
        return self.seen()


@contextmanager
def standard(stream: TextIO | None) -> Iterator[None]:
    """Redirects stdout and stderr to `stream`. A fixture would be replaced by pytest during the test."""
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = stream  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    yield made
    made.text()


def test_a_table(terminal: Terminal) -> None:
    """Titles, and a row for each record. Its content is neither markup nor an escape sequence."""
    for i, flow in enumerate(("[red]flow[/red]", "\x1b]0;owned\x07\u202eevil", "plain")):
        Ledger().record(Run(flow_id=flow, task_id=f"task-{i}"))
    assert terminal.main("runs", "list") == 0
    text = terminal.text()
    assert "TASK ID" in text
    assert "[red]flow[/red]" in text
    assert r"\x1b]0;owned\x07\u202eevil" in text
    assert "\x1b]0" not in text
    assert "\x1b[1m" in text


@pytest.mark.parametrize("columns", [20, 45, 60, 80])
def test_a_narrow_table(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """No id is truncated. A line is wider than the terminal only if an id is."""
    monkeypatch.setenv("COLUMNS", str(columns))
    task, flow = "0123456789abcdef" * 2, "65cf2f3e"
    now = datetime.now(timezone.utc)
    Ledger().record(Run(flow_id=flow, task_id=task, status="SUCCEEDED", created_at=now))
    assert terminal.main("runs", "list") == 0
    lines = [PLAIN.sub("", line) for line in terminal.text().splitlines()]
    assert columns < 44 or max(map(len, lines)) <= columns
    assert f"{task}  {flow}" in "\n".join(lines)
    assert columns < 60 or "SUCCEEDED" in "\n".join(lines)


@pytest.mark.parametrize("columns", [30, 80, 160])
@pytest.mark.parametrize("words", ["emulator runs", "emulator requests"])
@pytest.mark.usefixtures("dcipher")
def test_ids_of_an_emulator(
    terminal: Terminal,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    words: str,
) -> None:
    """They can be copied completely, times have seconds, and a row is a line if possible."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with Dcipher(emulator.api_key, base_url=emulator.url) as client:
        run = client.flows.run("shout")
        client.runs.refresh(run)
    assert terminal.main(*words.split()) == 0
    text = PLAIN.sub("", terminal.text())
    assert run.task_id in text
    assert "shout" in text
    assert re.search(r":\d\d\.\d", text) is None
    assert columns < 160 or re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  ", text)
    if words == "emulator requests":
        assert f"taskId={run.task_id}" in text
        assert "  200" in text
    elif columns == 80:
        assert max(map(len, text.splitlines())) <= 80
        # Two moments of which each is folded between its day and its time.
        assert len(re.findall(r"(?<= )\d\d:\d\d:\d\dZ(?= |$)", text, re.MULTILINE)) == 2


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """NO_COLOR and dumb terminals are respected."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    Ledger().record(Run(flow_id="f", task_id="t"))
    assert terminal.main("runs", "list") == 0
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.text()) is None


def test_a_record(terminal: Terminal) -> None:
    """A line a value, under each other; what is not known is left out."""
    with standard(terminal.stream):
        Output().data({"id": "f", "description": None, "files": ["a", "b"]})
    assert terminal.text() == "id           f\nfiles        a, b\n"


@pytest.mark.usefixtures("dcipher")
@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (["shout"], '{"text":"HI"}\n'),
        (["bytes", "-p", "size:=0"], ""),
    ],
)
def test_a_result_on_a_terminal(terminal: Terminal, arguments: list[str], data: str) -> None:
    """It stands after the progress, which is gone, and ends a line; nothing is made of nothing."""
    assert terminal.main("flows", "run", *arguments, "-o", "-") == 0
    text = terminal.text()
    left = PLAIN.sub("", text.rpartition("\x1b[2K")[2])
    assert "Downloading" in text
    assert left == data


@pytest.mark.usefixtures("dcipher")
def test_progress(terminal: Terminal) -> None:
    """One line that is rewritten, and gone at the end; what is left is the run."""
    assert terminal.main("flows", "run", "slow", "-o", "x") == 0
    text = terminal.text()
    assert "\x1b[2K" in text
    assert "RUNNING" in text
    assert "Downloading" in text
    left = PLAIN.sub("", text.rpartition("\x1b[2K")[2])
    assert "SUCCEEDED" in left
    assert "RUNNING" not in left


@pytest.mark.usefixtures("dcipher")
def test_progress_of_several(terminal: Terminal) -> None:
    """Each has its line while they go on."""
    assert terminal.main("flows", "run", "slow", "--no-wait") == 0
    assert terminal.main("flows", "run", "shout", "--no-wait") == 0
    ids = [entry["task_id"] for entry in Ledger().runs()]
    assert terminal.main("runs", "wait", *ids) == 0
    text = terminal.text()
    assert all(f"{task}  " in text for task in ids)


def test_progress_in_ci(dcipher: Call, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log keeps each version of a line: there it is one line a change."""
    monkeypatch.setenv("CI", "true")
    assert terminal.main("flows", "run", "shout") == 0
    text = terminal.text()
    assert "\x1b[2K" not in text
    assert re.search(r"^\w+  SUCCEEDED$", text, re.MULTILINE)


# Streams that take nothing.


def to(stream: TextIO | None, *arguments: str) -> int:
    """The code of a call whose stdout leads there."""
    before = sys.stdout
    sys.stdout = stream  # type: ignore[assignment]
    try:
        return main(arguments)
    finally:
        sys.stdout = before


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["version", "--help"]])
def test_a_full_disk(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """It is an error, in one line, with code 1."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert to(full, *arguments) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("dcipher")
def test_a_result_onto_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    """`-o -` says so, and how to have the result without a second run."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert to(full, "flows", "run", "shout", "-o", "-") == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "--idempotency-key" in err


@pytest.mark.usefixtures("dcipher")
@pytest.mark.parametrize("arguments", ["version", "--version", "flows run shout -o -"])
def test_a_reader_that_has_gone(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    """The program ends as any other in a pipe, without an error."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:  # noqa: PTH123
        assert to(stream, *arguments.split()) == 141
    assert "error" not in capsys.readouterr().err


@pytest.mark.usefixtures("dcipher")
def test_no_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """What has something to write says that it cannot; `-o -` before the start."""
    for arguments in (["version"], ["--version"], ["flows", "run", "shout", "-o", "-"]):
        assert to(None, *arguments) in {1, 2}
        assert "no standard output" in capsys.readouterr().err


def test_no_standard_error() -> None:
    """What cannot be said is in the code, too."""
    before = sys.stderr
    sys.stderr = None  # type: ignore[assignment]
    try:
        assert main(["nothing"]) == 2
        assert main(["flows", "get", "f"]) == 4
        Output().note("nobody hears it")
    finally:
        sys.stderr = before


def test_standard_input(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """Its bytes are UTF-8; without it there is an error that says for what it was wanted."""
    words = ("flows", "run", "f", "--params", "-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": "\xff"}')))
    assert "--params: standard input is not UTF-8" in call(*words).err
    monkeypatch.setattr(sys, "stdin", io.StringIO("[]"))
    assert "must be a JSON object" in call(*words).err
    monkeypatch.setattr(sys, "stdin", None)
    assert "--params: there is no standard input" in call(*words).err


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_encodings(encoding: str) -> None:
    """What an encoding cannot write is escaped: no crash, and JSON stays JSON."""
    Ledger().record(Run(flow_id="größe-日本", task_id="t"))
    for arguments in (["runs", "list", "--json"], ["runs", "list"]):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        assert to(stream, *arguments) == 0
        text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        if "--json" in arguments:
            assert json.loads(text)[0]["flow_id"] == "größe-日本"
        else:
            assert ("größe" if encoding == "utf-8" else r"gr\xf6\xdfe-\u65e5") in text


# Output without a terminal.


def shown(capsys: pytest.CaptureFixture[str], form: Form, write: Callable[[Output], None]) -> str:
    write(Output(form))
    return capsys.readouterr().out


RECORDS: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "tags": ["x", "y"], "more": {"k": None}},
    {"id": "b\t\n", "n": None, "tags": [1], "more": "ü"},
]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form.TEXT, 'a\t1\tx, y\t{"k": null}\nb\\t\\n\t\t[1]\tü\n'),
        (Form.IDS, "a\nb\\t\\n\n"),
        (Form.JSONL, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in RECORDS)),
        (Form.JSON, json.dumps(RECORDS, ensure_ascii=False, indent=2) + "\n"),
    ],
)
def test_forms_of_records(capsys: pytest.CaptureFixture[str], form: Form, expected: str) -> None:
    """Lines whose cells are separated by tabs, ids, JSON lines, one JSON document."""
    assert shown(capsys, form, lambda output: output.data(RECORDS)) == expected


def test_forms_of_one_record_and_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A record is a line a value; text is itself, and a JSON string for programs."""
    record = {"id": "a", "n": 1}
    assert shown(capsys, Form.TEXT, lambda o: o.data(record)) == "id\ta\nn\t1\n"
    assert shown(capsys, Form.TEXT, lambda o: o.data(record, columns=["n"])) == "n\t1\n"
    assert shown(capsys, Form.JSONL, lambda o: o.data(record)) == '{"id": "a", "n": 1}\n'
    assert shown(capsys, Form.TEXT, lambda o: o.data("a\nb\x1b")) == "a\nb\\x1b\n"
    assert shown(capsys, Form.JSON, lambda o: o.data("a")) == '"a"\n'
    lines = shown(capsys, Form.TEXT, lambda o: o.data([record], text=lambda r: f"<{r['id']}>"))
    assert lines == "<a>\n"


def test_records_come_when_they_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines and lines of text do not wait for the last record."""
    seen: list[str] = []

    def records() -> Iterator[dict[str, str]]:
        yield {"id": "first"}
        seen.append(capsys.readouterr().out)
        yield {"id": "second"}

    Output(Form.JSONL).data(records())
    assert seen == ['{"id": "first"}\n']


def test_notes_are_not_data(capsys: pytest.CaptureFixture[str]) -> None:
    """They go to stderr, but for -q; a warning is heard there, too."""
    Output().note("note\x1b")
    Output(Form.IDS).note("not heard")
    Output(Form.IDS).warn("heard")
    assert capsys.readouterr() == ("", "note\\x1b\nheard\n")


def test_what_cannot_be_shown_is_escaped() -> None:
    """Controls of both sets, marks that turn lines around, halves of pairs; text stays text."""
    assert printable("a\tb\nc") == r"a\tb\nc"
    assert printable("a\nb", lines=True) == "a\nb"
    assert printable("\x9b31m\x00\u202e\ud800\x7f") == r"\x9b31m\x00\u202e\ud800\x7f"
    assert printable("größe 日本 🎉") == "größe 日本 🎉"
    document = printable_json(json.dumps({"k": "\x9b\x1b\u2028"}, ensure_ascii=False, indent=1))
    assert json.loads(document) == {"k": "\x9b\x1b\u2028"}
    assert "\x9b" not in document
    assert "\n" in document


def test_a_stream_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no terminal, and no crash."""
    from dcipher.cli.terminal.text import is_terminal, width

    closed = io.StringIO()
    closed.close()
    assert not is_terminal(closed)
    assert not is_terminal(None)
    monkeypatch.setattr(sys, "stdout", None)
    assert width() == 80
