"""`dcipher results`: local files are displayed, validated and converted, also large and invalid ones."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("click", reason="the extra `cli` is not installed")

from dcipher._extras.installation import install
from dcipher._results.local_files import LocalResult
from dcipher.cli import main
from dcipher.cli.app.imports import import_name
from dcipher.cli.results.checking import opened
from dcipher.cli.results.row_bytes import columns_of_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_arrow = pytest.mark.skipif(
    find_spec("pyarrow") is None, reason="the extra `arrow` is not installed"
)
needs_zstd = pytest.mark.skipif(
    find_spec("zstandard") is None, reason="nothing that reads Zstandard is installed"
)

ROWS = [{"label": "lakes", "score": 0.5}, {"label": "rivers", "score": 2.0}]
JSON = json.dumps(ROWS).encode()
NDJSON = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
CSV = b"label,score\r\nlakes,0.5\r\nrivers,2.0\r\n"
MODELS = """
from collections.abc import Callable
from dataclasses import dataclass
from pydantic import BaseModel, Field, field_validator

class Topic(BaseModel):
    label: str
    score: float

class Renamed(BaseModel):
    name: str = Field(alias="label")
    score: float

@dataclass
class Plain:
    label: str
    score: float

Number = int

class Outer:
    Inner = Topic

class Calls(BaseModel):
    label: str
    score: float
    then: Callable[[], int]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models in it, which no other test has imported."""
    (tmp_path / "shapes.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name in {"shapes", "breaks", "leaves"}]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in ("shapes", "breaks", "leaves"):
        sys.modules.pop(name, None)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def out(capsysbinary: pytest.CaptureFixture[bytes]) -> tuple[str, str]:
    output, noted = capsysbinary.readouterr()
    return output.decode(), noted.decode()


def program(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs the command in its own process."""
    command = [sys.executable, "-m", "dcipher", *arguments]
    path = str(Path(__file__).parents[2])
    environ = {**os.environ, "PYTHONPATH": path, **settings.pop("env", {})}
    return subprocess.run(  # noqa: S603
        command, env=environ, timeout=120, check=False, **{"capture_output": True, **settings}
    )


FILES: list[Any] = [
    pytest.param("rows.json", lambda: JSON, id="JSON"),
    pytest.param("rows.ndjson", lambda: NDJSON, id="NDJSON"),
    pytest.param("rows.csv", lambda: CSV, id="CSV"),
    pytest.param("rows.csv", lambda: b"\xef\xbb\xbf" + CSV, id="byte order mark"),
    pytest.param("rows.csv", lambda: CSV.replace(b"\r", b""), id="line feeds"),
    pytest.param("rows", lambda: JSON, id="JSON by its bytes"),
    pytest.param("rows", lambda: NDJSON, id="NDJSON by its bytes"),
    pytest.param("rows", lambda: CSV, id="CSV by its bytes"),
    pytest.param("rows.json.gz", lambda: gzip.compress(JSON), id="gzip"),
    pytest.param("rows.csv.zst", lambda: zstd(CSV), id="zstd", marks=needs_zstd),
    pytest.param("rows.parquet", lambda: parquet(ROWS), id="Parquet", marks=needs_arrow),
    pytest.param("rows", lambda: parquet(ROWS), id="Parquet by its bytes", marks=needs_arrow),
    pytest.param(
        "r.gz", lambda: gzip.compress(parquet(ROWS)), id="compressed Parquet", marks=needs_arrow
    ),
]


@pytest.mark.parametrize(("name", "body"), FILES)
def test_head_of_each_format(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str, body: Callable[[], bytes]
) -> None:
    """In a pipe, the rows of each format are JSON lines; CSV's are text."""
    (folder / name).write_bytes(body())
    more = ["--from", "parquet"] if name == "r.gz" else []
    assert main(["results", "head", name, *more]) == 0
    rows = [json.loads(line) for line in out(capsysbinary)[0].splitlines()]
    text = [{**row, "score": str(row["score"])} for row in ROWS]
    assert rows in (ROWS, text)
    assert (rows == text) == (b"label,score" in body() or ".csv" in name)


@pytest.mark.parametrize(("name", "body"), FILES)
def test_validate_each_format(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str, body: Callable[[], bytes]
) -> None:
    """Rows that fit are counted, and the exit code is 0."""
    (folder / name).write_bytes(body())
    more = ["--from", "parquet"] if name == "r.gz" else []
    assert main(["results", "validate", name, "--model", "shapes:Topic", "--json", *more]) == 0
    found = json.loads(out(capsysbinary)[0])
    assert found == {"file": name, "rows": 2, "invalid": 0, "errors": {}, "first": []}


@pytest.mark.parametrize(("name", "body"), [FILES[n] for n in (0, 1, 3, 7, 9, 12)])
@pytest.mark.parametrize("model", [None, "shapes:Topic"])
@pytest.mark.parametrize(
    "target", ["o.json", "o.jsonl.gz", "o.csv", pytest.param("o.parquet", marks=needs_arrow)]
)
def test_convert_each_format(
    folder: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    name: str,
    body: Callable[[], bytes],
    model: str | None,
    target: str,
) -> None:
    """Every format is converted to every other, with and without a model, and is read back as the same rows."""
    (folder / name).write_bytes(body())
    given = ["--from", "parquet"] if name == "r.gz" else []
    given += ["--model", model] if model else []
    assert main(["results", "convert", name, target, *given, "--json"]) == 0
    output = json.loads(out(capsysbinary)[0])
    assert (output["file"], output["rows"]) == (target, 2)
    with Path(target).open("rb") as file:
        rows = list(LocalResult(file, target).rows(dict))
    expected = [{"label": str(r["label"]), "score": str(float(r["score"]))} for r in rows]
    assert expected == [{**row, "score": str(row["score"])} for row in ROWS]
    if model and not target.endswith(".csv"):
        assert rows == ROWS
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(
        {name, target, "shapes.py"}
    )


def test_head_shows_some_rows(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`-n` is the number of rows. The rest is not read, even if it is malformed."""
    (folder / "r.ndjson").write_bytes(b'{"n": 1}\n' * 200_000 + b"broken")
    assert main(["results", "head", "r.ndjson"]) == 0
    assert len(out(capsysbinary)[0].splitlines()) == 10
    assert main(["results", "head", "-n", "3", "r.ndjson", "--json"]) == 0
    assert json.loads(out(capsysbinary)[0]) == [{"n": 1}] * 3
    assert main(["results", "head", "-n", "0", "r.ndjson"]) == 0
    assert out(capsysbinary)[0] == ""
    assert main(["results", "head", "-n", "2", "-q", "r.ndjson"]) == 0
    assert out(capsysbinary)[0] == '{"n": 1}\n' * 2
    assert main(["results", "head", "-n", "-1", "r.ndjson"]) == 2


@contextmanager
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Makes standard output a terminal. Returns a function that reads its output."""
    import pty

    controlling, terminal = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with monkeypatch.context() as patch, open(terminal, "w") as stream:  # noqa: PTH123 - no path
        patch.setattr(sys, "stdout", stream)
        yield lambda: _everything(controlling)
    os.close(controlling)


def _everything(terminal: int) -> str:
    shown = b""
    while select.select([terminal], [], [], 0.3)[0]:
        shown += os.read(terminal, 65536)
    return shown.decode()


def test_head_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it is a table; nothing in it is a control character, or markup."""
    (folder / "r.json").write_text('[{"label": "\\u001b[2J[red]x\\u009b1m", "n": null}, 7]')
    with on_terminal(monkeypatch) as shown_there:
        assert main(["results", "head", "r.json"]) == 0
        shown = shown_there()
    assert r"\x1b[2J[red]x\x9b1m" in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown
    assert "LABEL" in shown
    assert "VALUE" in shown


def test_head_of_ragged_csv(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A record with too few cells is reported, the others are printed, and the exit code is 5."""
    (folder / "r.csv").write_bytes(b'a,b\n1,"x\ny"\n2\n3,z\n')
    assert main(["results", "head", "r.csv"]) == 5
    output, noted = out(capsysbinary)
    assert [json.loads(line) for line in output.splitlines()] == [
        {"a": "1", "b": "x\ny"},
        {"a": "3", "b": "z"},
    ]
    assert "row 1 (line 4): Row should have 2 cells, like the header, not 1" in noted


@needs_arrow
def test_values_that_json_lacks(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Bytes, dates, decimals, NaN and infinities of Parquet become JSON values."""
    day = dt.date(2026, 1, 2)
    rows = [{"b": b"\xff", "d": day, "n": float("nan"), "i": float("inf")}]
    (folder / "r.parquet").write_bytes(parquet(rows))
    expected = {"b": "/w==", "d": "2026-01-02", "n": None, "i": None}
    assert main(["results", "head", "r.parquet"]) == 0
    assert json.loads(out(capsysbinary)[0]) == expected
    assert main(["results", "convert", "r.parquet", "-", "--to", "ndjson"]) == 0
    assert json.loads(out(capsysbinary)[0]) == expected
    assert main(["results", "convert", "r.parquet", "-", "--to", "csv"]) == 0
    assert out(capsysbinary)[0].splitlines() == ["b,d,n,i", "/w==,2026-01-02,,"]


# What cannot be read.


@pytest.mark.parametrize(
    ("name", "body", "code", "words"),
    [
        ("missing.json", None, 2, "missing.json cannot be read: No such file"),
        ("e", b"", 1, "e cannot be read: document: is empty"),
        ("e.json", b"", 1, "document: is empty"),
        ("cut.json", b'[{"a": 1}, {"a"', 1, "cut.json cannot be read:"),
        ("x.bin", b"\0\1\2\3", 1, "has no rows"),
        ("t.json", b"\xff\xfe[\0", 1, "UTF-16 text, not UTF-8"),
        ("x.json.gz", b"\x1f\x8b\x08broken", 1, "x.json.gz cannot be read"),
        ("twice.csv", b"a,a\n1,2\n", 1, "more than one column is called 'a'"),
        ("book.xlsx", b"PK\x03\x04abc", 1, "ZIP archive, such as an Excel workbook"),
    ],
)
def test_unreadable_files(
    folder: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    name: str,
    body: bytes | None,
    code: int,
    words: str,
) -> None:
    """Each command reports the file and the reason on one line."""
    if body is not None:
        (folder / name).write_bytes(body)
    for command in (
        ["head", name],
        ["validate", name, "--model", "shapes:Topic"],
        ["convert", name, "out.ndjson"],
    ):
        assert main(["results", *command]) == code or "row" in out(capsysbinary)[1]
        noted = out(capsysbinary)[1]
        assert words in noted
        assert noted.startswith("error: ")
        assert len(noted.splitlines()) == 1
    assert not (folder / "out.ndjson").exists()


def test_a_folder_and_a_name_with_a_nul(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A folder is no file, and no name has a NUL."""
    assert main(["results", "head", "."]) == 2
    assert "error: . cannot be read: Is a directory" in out(capsysbinary)[1]
    assert main(["results", "head", "a\0b"]) == 2
    assert "cannot be read" in out(capsysbinary)[1]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The reason is that permission is denied."""
    (folder / "r.json").touch(mode=0)
    assert main(["results", "head", "r.json"]) == 2
    assert "Permission denied" in out(capsysbinary)[1]


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="no file that fails when it is read"
)
def test_a_disk_that_fails(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A read error names the file that is read, and not the target."""
    assert main(["results", "head", "/proc/self/mem"]) == 1
    assert "/proc/self/mem cannot be read: Input/output error" in out(capsysbinary)[1]
    assert main(["results", "convert", "/proc/self/mem", "o.json"]) == 1
    assert "/proc/self/mem cannot be read: Input/output error" in out(capsysbinary)[1]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_files_without_rows(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], kind: str
) -> None:
    """An empty CSV or NDJSON has no rows, and that is no error; JSON has an empty array then."""
    (folder / f"r.{kind}").write_bytes(b"")
    assert main(["results", "head", f"r.{kind}"]) == 0
    assert main(["results", "validate", f"r.{kind}", "--model", "shapes:Topic"]) == 0
    assert main(["results", "convert", f"r.{kind}", "o.json"]) == 0
    assert (folder / "o.json").read_bytes() == b"[]\n"
    assert main(["results", "convert", f"r.{kind}", "o.csv", "--model", "shapes:Topic"]) == 0
    assert (folder / "o.csv").read_bytes() == b"label,score\r\n"


# Standard input.


@pytest.mark.parametrize(
    "body",
    [JSON, NDJSON, CSV, gzip.compress(NDJSON)]
    + ([b"parquet"] if find_spec("pyarrow") is not None else []),
    ids=["json", "ndjson", "csv", "gzip", "parquet"][: 4 + (find_spec("pyarrow") is not None)],
)
def test_standard_input(
    body: bytes, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`-` is standard input. A pipe, which cannot seek, is read like a file."""
    reading, writing = os.pipe()
    os.write(writing, parquet(ROWS) if body == b"parquet" else body)
    os.close(writing)
    with open(reading) as pipe:  # noqa: PTH123 - no path
        monkeypatch.setattr(sys, "stdin", pipe)
        assert main(["results", "convert", "-", "-", "--to", "csv"]) == 0
    assert capsysbinary.readouterr().out == CSV


@needs_arrow
def test_parquet_to_standard_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It goes into a pipe, and not onto a terminal."""
    (folder / "r.json").write_bytes(JSON)
    assert main(["results", "convert", "r.json", "-", "--to", "parquet"]) == 0
    written = io.BytesIO(capsysbinary.readouterr().out)
    assert list(LocalResult(written, "r").rows(dict)) == ROWS
    with on_terminal(monkeypatch):
        assert main(["results", "convert", "r.json", "-", "--to", "parquet"]) == 2
    assert b"cannot be printed to a terminal" in capsysbinary.readouterr().err


def test_an_endless_pipe() -> None:
    """The first rows of an endless pipe are printed, and the command ends."""
    command = f"yes '{{\"n\": 1}}' | {sys.executable} -m dcipher results head - -n 1"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(  # noqa: S602
        command, shell=True, env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b'{"n": 1}\n'


def test_no_standard_input() -> None:
    """Without a standard input, `-` is a clear error."""
    script = f"exec {sys.executable} -m dcipher results head - <&-"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script], env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert b"There is no standard input" in done.stderr


# validate


BAD = [
    {"label": "ok", "score": 1},
    {"label": "canary-value", "score": "canary"},
    {"label": 7, "score": 1},
    {"score": 1},
]


@pytest.fixture
def bad(folder: Path) -> str:
    (folder / "bad.json").write_text(json.dumps(BAD))
    return "bad.json"


def test_invalid_rows(bad: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """They are counted by type of error, and the first locations are printed without values. Exit code 5."""
    assert main(["results", "validate", bad, "--model", "shapes:Topic"]) == 5
    output = out(capsysbinary)[0]
    assert "rows\t4" in output
    assert "invalid\t3" in output
    assert "float_parsing\t1" in output
    assert "[1].score\tfloat_parsing\tInput should be a valid number" in output
    assert "[3].label\tmissing" in output
    assert "canary" not in output
    assert main(["results", "validate", bad, "--model", "shapes:Topic", "-q"]) == 5
    assert out(capsysbinary)[0] == "3\n"


def test_values_are_shown_on_request(
    bad: str, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`--keep-raw` includes the rows in the output and in the file of rejects."""
    command = ["results", "validate", bad, "--model", "shapes:Topic", "--json", "--rejects", "no"]
    assert main(command) == 5
    found = json.loads(out(capsysbinary)[0])
    assert "raw" not in found["first"][0]
    lines = [json.loads(line) for line in (folder / "no").read_text().splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3]
    assert [place["row"] for place in found["first"]] == sorted(p["row"] for p in found["first"])
    assert "line" not in lines[0]  # of JSON: its rows are no lines
    assert "canary" not in (folder / "no").read_text()
    assert main([*command, "--keep-raw", "--overwrite"]) == 5
    assert json.loads(out(capsysbinary)[0])["first"][0]["raw"] == BAD[1]
    assert json.loads((folder / "no").read_text().splitlines()[0])["raw"] == BAD[1]


def test_a_file_of_rejects_that_is_there(
    bad: str, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A file is replaced by that of the rejects only with `--overwrite`; nothing is read before."""
    (folder / "no").write_text("mine")
    command = ["results", "validate", bad, "--model", "shapes:Topic", "--rejects", "no"]
    assert main(command) == 1
    output, noted = out(capsysbinary)
    assert (folder / "no").read_text() == "mine"
    assert output == ""
    assert "pass --overwrite" in noted
    assert main([*command, "--overwrite"]) == 5
    assert len((folder / "no").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("limit", "code"),
    [("3", 0), ("2", 5), ("75%", 0), ("74.9%", 5), ("0", 5), ("0%", 5), ("100%", 0)],
)
def test_a_permitted_number(bad: str, limit: str, code: int) -> None:
    """`--max-invalid` permits a number of rows, or a share of them: the exit code is 0 then."""
    command = ["results", "validate", bad, "--model", "shapes:Topic", "--max-invalid", limit]
    assert main(command) == code


def test_it_stops_when_there_are_too_many(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Beyond the limit, nothing more is read; with `--on-invalid raise`, nothing after the first."""
    (folder / "r.ndjson").write_bytes(b"1\n2\n" + b'"x"\n' * 5000)
    command = ["results", "validate", "r.ndjson", "--model", "shapes:Number", "--json"]
    assert main([*command, "--max-invalid", "4"]) == 5
    found = json.loads(out(capsysbinary)[0])
    assert (found["rows"], found["invalid"]) == (7, 5)
    assert main([*command, "--on-invalid", "raise"]) == 5
    found = json.loads(out(capsysbinary)[0])
    assert (found["rows"], found["invalid"]) == (3, 1)
    assert main([*command, "--on-invalid", "drop"]) == 5
    found = json.loads(out(capsysbinary)[0])
    assert (found["rows"], found["invalid"], found["first"]) == (5002, 5000, [])
    assert main(command) == 5
    assert len(json.loads(out(capsysbinary)[0])["first"]) == 10


def test_the_report_of_a_truncated_file(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A truncated file is an error after the report of the rows before."""
    (folder / "r.ndjson").write_bytes(b'1\n"x"\n{')
    command = ["results", "validate", "r.ndjson", "--model", "shapes:Number", "--rejects", "no"]
    assert main(command) == 1
    output, noted = out(capsysbinary)
    assert "invalid\t1" in output
    assert "line 3" in noted
    assert len((folder / "no").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-invalid", "x"],
        ["--max-invalid", "-1"],
        ["--max-invalid", "101%"],
        ["--max-invalid", "nan%"],
        ["--max-invalid", "5", "--on-invalid", "raise"],
        ["--keep-raw", "--on-invalid", "drop"],
        ["--rejects", "f", "--on-invalid", "raise"],
        ["--rejects", "-"],
        ["--on-invalid", "maybe"],
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(
    bad: str, capsysbinary: pytest.CaptureFixture[bytes], arguments: list[str]
) -> None:
    """They are a usage error that names the option, and nothing is read."""
    assert main(["results", "validate", bad, "--model", "shapes:Topic", *arguments]) == 2
    output, noted = out(capsysbinary)
    assert output == ""
    assert arguments[0] in noted or arguments[-2] in noted


# Models.


@pytest.mark.parametrize("model", ["shapes:Plain", "shapes:Outer.Inner", "builtins:dict"])
def test_other_types(folder: Path, model: str) -> None:
    """A row type is any type of Pydantic: a dataclass, a nested class, a standard type."""
    (folder / "r.json").write_bytes(JSON)
    assert main(["results", "validate", "r.json", "--model", model]) == 0


@pytest.mark.parametrize(
    ("model", "words", "next_step"),
    [
        (
            "shapes:Topc",
            "Its types are Calls, Outer, Plain, Renamed, Topic",
            "--model shapes:Topic",
        ),
        ("shaps:Topic", "The modules here are breaks, leaves, shapes", "--model shapes:NAME"),
        ("shapes.sub:X", "There is no module shapes.sub", ""),
        ("shapes", "--model is MODULE:NAME", "--model shapes:NAME"),
        ("./shapes.py:Topic", "--model is MODULE:NAME", "--model shapes:Topic"),
        ("shapes.py:Topic", "--model is MODULE:NAME", "--model shapes:Topic"),
        ("a b:c", "--model is MODULE:NAME", "--model MODULE:c"),
        ("breaks:X", "breaks cannot be imported: ZeroDivisionError", "python -c 'import breaks'"),
        ("leaves:X", "leaves cannot be imported: SystemExit: 3", "python -c"),
        ("breaks.missing:X", "The module breaks.missing cannot be imported: ZeroDivisionError", ""),
        ("json:nothing", "json has no 'nothing'. It defines no types", ""),
        ("shapes:__name__", "Pydantic does not support this type", ""),
    ],
)
def test_an_unknown_model(
    bad: str,
    folder: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    model: str,
    words: str,
    next_step: str,
) -> None:
    """The error lists the existing types and a command. The exit code is 2."""
    (folder / "breaks.py").write_text("1 / 0")
    (folder / "leaves.py").write_text("raise SystemExit(3)")
    assert main(["results", "validate", bad, "--model", model]) == 2
    noted = out(capsysbinary)[1]
    assert words in noted
    assert next_step in noted
    assert len(noted.splitlines()) == 1


# convert


def test_no_digit_is_lost(folder: Path) -> None:
    """From JSON to JSON, numbers and text are unchanged."""
    text = '{"n": 1.10, "big": 123456789012345678901234567890.5, "e": 1E400, "s": "\\u00e9\\n"}'
    (folder / "r.json").write_text(f"[\n{text.replace(', ', ',' + chr(10))},\n 1.50 ]")
    assert main(["results", "convert", "r.json", "o.ndjson"]) == 0
    assert (folder / "o.ndjson").read_text() == f"{text}\n1.50\n"
    assert main(["results", "convert", "o.ndjson", "o.json"]) == 0
    assert (folder / "o.json").read_text() == f"[\n{text},\n1.50\n]\n"


def test_nested_values_in_csv(folder: Path) -> None:
    """In CSV, other values than text are JSON, null is empty, and quotes follow RFC 4180."""
    row = {"a": [1, {"b": "ä"}], "t": True, "n": None, "s": 'say "x",\nplease', "f": 0.1}
    (folder / "r.json").write_text(json.dumps([row, {"a": 1}]))
    assert main(["results", "convert", "r.json", "o.csv"]) == 0
    with (folder / "o.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["a", "t", "n", "s", "f"],
        ['[1, {"b": "ä"}]', "true", "", row["s"], "0.1"],
        ["1", "", "", "", ""],
    ]


def test_a_new_column_in_a_later_row(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is an error with the column and advice. OUT is unchanged."""
    (folder / "r.json").write_text('[{"a": 1}, {"a": 1, "new": 2}]')
    (folder / "o.csv").write_text("before")
    assert main(["results", "convert", "r.json", "o.csv", "--overwrite"]) == 1
    noted = out(capsysbinary)[1]
    assert "Row 1 has the column 'new'" in noted
    assert "--to ndjson" in noted
    assert (folder / "o.csv").read_text() == "before"


def test_columns_of_a_model(folder: Path) -> None:
    """With a model, the columns are those of its fields, by alias, so that it reads them back."""
    (folder / "r.json").write_text('[{"score": 1, "label": "x"}]')
    assert main(["results", "convert", "r.json", "o.csv", "--model", "shapes:Renamed"]) == 0
    assert (folder / "o.csv").read_bytes() == b"label,score\r\nx,1.0\r\n"
    assert main(["results", "validate", "o.csv", "--model", "shapes:Renamed"]) == 0


@pytest.mark.parametrize("name", ["shapes:Calls", "builtins:dict", "shapes:Number"])
def test_types_without_columns(name: str) -> None:
    """For a type without declared columns, those of the first row are used."""
    assert columns_of_type(import_name(name, "--model")) is None


def test_an_invalid_row_ends_a_conversion(
    bad: str, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Exit code 5 with the row and the command that shows all of them. OUT is not written."""
    for name in ["o.json", "o.csv"] + (["o.parquet"] if find_spec("pyarrow") else []):
        assert main(["results", "convert", bad, name, "--model", "shapes:Topic"]) == 5
        noted = out(capsysbinary)[1]
        assert "[1].score" in noted
        assert f"Next: dcipher results validate {bad} --model shapes:Topic" in noted
        assert "canary" not in noted
        assert not (folder / name).exists()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["out"], 2, "out has no known format: add --to"),
        (["-"], 2, "has no known format"),
        (["out.xlsx"], 2, "has no known format"),
        (["out.json.zst"], 2, "json cannot be written as .zst"),
        (["out.parquet.gz"], 2, "parquet cannot be written as .gz"),
        (["missing/out.json"], 1, "the folder does not exist"),
        (["there.json"], 1, "Choose another path, or pass --overwrite"),
        (["there.json", "--no-overwrite"], 1, "already exists"),
        ([".", "--to", "json"], 1, "it is a folder"),
        (["/dev/full", "--to", "json"], 1, "it is not a regular file"),
        (["o.json", "--to", "yaml"], 2, "yaml"),
    ],
)
def test_invalid_targets(
    bad: str,
    folder: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """An unwritable target is reported before anything is read."""
    (folder / "there.json").write_text("before")
    assert main(["results", "convert", bad, *arguments]) == code
    assert words in out(capsysbinary)[1]
    assert (folder / "there.json").read_text() == "before"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)


def test_several_files(folder: Path) -> None:
    """The rows of all files are written in order. Columns are matched by name, and JSON is exact."""
    write(folder, a_csv="n,s\n1,x\n", b_csv="s,n\ny,2\n", c_json='[{"n": 3.10}]', d_ndjson="4\n")
    assert main(["results", "convert", "a.csv", "b.csv", "-o", "o.csv"]) == 0
    assert (folder / "o.csv").read_text() == "n,s\n1,x\n2,y\n"
    assert main(["results", "convert", "c.json", "a.csv", "d.ndjson", "-o", "o.ndjson"]) == 0
    assert (folder / "o.ndjson").read_text() == '{"n": 3.10}\n{"n":"1","s":"x"}\n4\n'


@needs_arrow
def test_several_files_with_a_model(folder: Path) -> None:
    """With a model, the rows of any formats are one file of its columns."""
    write(folder, a_csv="label,score\nx,1\n", b_json='[{"score": 2, "label": "y"}]')
    for name in ("o.parquet", "o.csv", "o.json.gz"):
        command = ["results", "convert", "a.csv", "b.json", "-o", name, "--model", "shapes:Topic"]
        assert main(command) == 0
        with opened(name, None) as result:
            rows = list(result.rows(dict[str, Any]))
        assert [(row["label"], float(row["score"])) for row in rows] == [("x", 1), ("y", 2)]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.csv", "b.csv", "-o", "o.csv"], 2, "b.csv and a.csv have different columns: m, n."),
        (["a.csv", "b.csv", "-o", "o.parquet"], 2, "b.csv and a.csv have different columns: m, n."),
        (["a.csv", "c.json", "-o", "o.csv"], 1, "Row 1 of c.json has the column 'z'"),
        (["c.json", "d.json", "-o", "o.parquet"], 1, "d.json"),
        (["a.csv", "e.csv", "-o", "o.json"], 5, "e.csv was not converted: row 0"),
        (["-", "-", "-o", "o.json"], 2, "can be read only once"),
        (["a.csv", "b.csv", "o.csv"], 2, "Several files need -o OUT"),
        (["a.csv"], 2, "one file needs OUT"),
    ],
)
def test_several_files_with_different_columns(
    folder: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """The error names the file, and OUT is not written."""
    if "o.parquet" in arguments:
        pytest.importorskip("pyarrow")
    write(folder, a_csv="n\n1\n", b_csv="m\n1\n", c_json='[{"n": 1}, {"z": 1}]', e_csv="n\n1,2\n")
    (folder / "d.json").write_text('[{"n": "x"}]')
    assert main(["results", "convert", *arguments]) == code
    assert words in out(capsysbinary)[1]
    assert not list(folder.glob("o.*"))


def test_a_file_onto_itself(folder: Path) -> None:
    """The target may be the file that is read: it is replaced at the end."""
    (folder / "r.csv").write_bytes(CSV)
    assert main(["results", "convert", "r.csv", "r.csv", "--to", "json", "--overwrite"]) == 0
    assert json.loads((folder / "r.csv").read_bytes()) == [
        {"label": "lakes", "score": "0.5"},
        {"label": "rivers", "score": "2.0"},
    ]


def test_the_same_rows_are_the_same_bytes(folder: Path) -> None:
    """A compressed file has no timestamp and no name."""
    (folder / "r.json").write_bytes(JSON)
    for name in ("a.json.gz", "b.json.gz"):
        assert main(["results", "convert", "r.json", name]) == 0
    assert (folder / "a.json.gz").read_bytes() == (folder / "b.json.gz").read_bytes()


@needs_arrow
def test_columns_of_mixed_types(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Parquet without a model needs one type per column. The error names a column with two."""
    (folder / "r.json").write_text('[{"a": 1}, {"a": "x"}]')
    assert main(["results", "convert", "r.json", "o.parquet"]) == 1
    assert "row 1, column a" in out(capsysbinary)[1]


def test_parquet_without_pyarrow(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, the error has the command that installs it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (folder / "r.json").write_bytes(JSON)
    assert main(["results", "convert", "r.json", "o.parquet"]) == 2
    assert f"Next: {install('arrow')}" in out(capsysbinary)[1]
    (folder / "r.parquet").write_bytes(b"PAR1\x15")
    assert main(["results", "head", "r.parquet"]) == 1
    assert install("arrow") in out(capsysbinary)[1]


# Disks that are full, readers that go.


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_output(folder: Path) -> None:
    """It is one line on stderr and exit code 1, without a traceback."""
    (folder / "r.json").write_bytes(JSON)
    for command in (["head", "r.json"], ["convert", "r.json", "-", "--to", "csv"]):
        with Path("/dev/full").open("wb") as full:
            done = program(
                "results", *command, stdout=full, stderr=subprocess.PIPE, capture_output=False
            )
        assert done.returncode == 1
        assert b"No space left" in done.stderr
        assert b"Traceback" not in done.stderr


def test_a_full_disk(folder: Path) -> None:
    """If the disk is full, an existing file is intact, and no temporary file remains."""
    (folder / "r.csv").write_bytes(b"a,b\r\n" + b"1,2\r\n" * 200_000)
    (folder / "o.ndjson").write_text("before")

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = program("results", "convert", "r.csv", "o.ndjson", preexec_fn=small)
    assert done.returncode == 1
    assert b"cannot be saved to o.ndjson" in done.stderr
    assert (folder / "o.ndjson").read_text() == "before"
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == [
        "o.ndjson",
        "r.csv",
        "shapes.py",
    ]


def test_a_reader_that_goes(folder: Path) -> None:
    """`| head -1` ends it without a word."""
    (folder / "r.csv").write_bytes(b"a,b\r\n" + b"1,2\r\n" * 200_000)
    command = [sys.executable, "-m", "dcipher", "results", "convert", "r.csv", "-", "--to", "json"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) in {0, 141}


def test_an_interruption(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Ctrl-C leaves the existing file, and no temporary one. No run is mentioned. Exit code 130."""
    (folder / "o.csv").write_text("before")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    reading, writing = os.pipe()

    def interrupt() -> None:
        os.write(writing, b'{"a": 1}\n' * 10_000)  # more than tells the format
        ends = time.monotonic() + 60
        while not list(folder.glob(".*.tmp")) and time.monotonic() < ends:
            time.sleep(0.01)
        # More than a pipe holds: some of it was read, and that is after the file was made.
        os.write(writing, b'{"a": 1}\n' * 20_000)
        os.kill(os.getpid(), signal.SIGINT)
        with suppress(BrokenPipeError):
            # It may have come just before a read, which ends with all that it was asked for.
            while not ended.wait(0.2):
                os.write(writing, b'{"a": 1}\n' * 10_000)

    ended = threading.Event()
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        with open(reading) as pipe:  # noqa: PTH123 - no path
            monkeypatch.setattr(sys, "stdin", pipe)
            assert main(["results", "convert", "-", "o.csv", "--overwrite"]) == 130
    finally:
        ended.set()
        thread.join(60)
        os.close(writing)
        signal.signal(signal.SIGINT, before)
    noted = out(capsysbinary)[1]
    assert noted == "error: Interrupted.\n"
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == ["o.csv", "shapes.py"]
    assert (folder / "o.csv").read_text() == "before"


MEMORY = """
import resource, sys
from dcipher.cli import main
from dcipher.cli.results import converting
converting._ROWS = 4096  # a group of rows in Parquet is smaller than the small file
code = main(sys.argv[1:])
# Kilobytes on Linux.
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize(
    "target", ["o.csv", "o.ndjson", pytest.param("o.parquet", marks=needs_arrow)]
)
def test_a_large_file(folder: Path, target: str) -> None:
    """40 MB need hardly more memory than 8 MB, also with invalid rows."""
    row = json.dumps({"label": "x" * 180, "score": 1.5, "more": list(range(10))}) + ",\n"

    def peak(megabytes: int, *arguments: str, code: int) -> int:
        with (folder / "r.json").open("w") as file:
            file.write("[")
            for _ in range(megabytes):
                file.write(row * (1_000_000 // len(row)))
            file.write("7]" if code == 5 else row.rstrip(",\n") + "]")
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-c", MEMORY, "results", *arguments]
        done = subprocess.run(  # noqa: S603
            command, env=environ, capture_output=True, timeout=300, check=True
        )
        ended, kilobytes = done.stderr.split()[-2:]
        assert int(ended) == code
        return int(kilobytes)

    convert = ["convert", "r.json", target, "--overwrite"]
    assert peak(40, *convert, code=0) < peak(8, *convert, code=0) + 20_000
    if target == "o.csv":
        check = ["validate", "r.json", "--model", "shapes:Number", "--rejects", "no", "--overwrite"]
        assert peak(40, *check, code=5) < peak(8, *check, code=5) + 20_000
