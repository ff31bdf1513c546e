"""`dcipher flows`."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dcipher._extras.installation import install
from dcipher.cli import main
from dcipher.cli.state.ledger import Ledger
from dcipher.cli.state.running_emulators import RunningEmulator, registered
from dcipher.emulator.faults import Stall
from dcipher.logs import logger
from dcipher.models import Run
from tests.faulty import json_reply
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call
    from tests.faulty import FaultyServer


def test_get_shows_a_flow(dcipher: Call) -> None:
    """It prints name, description and params; for programs the model; with -q only the id."""
    done = dcipher("flows", "get", "shout")
    assert done.code == 0
    assert done.out.splitlines() == [
        "id\tshout",
        "name\tShout",
        "description\t",
        "",
        "text\tstring\tfalse\thi\t",
        "times\tinteger\tfalse\t1\t",
    ]
    document = json.loads(dcipher("flows", "get", "shout", "--json").out)
    assert [param["name"] for param in document["params"]] == ["text", "times"]
    assert dcipher("flows", "get", "shout", "-q").out == "shout\n"
    assert len(dcipher("flows", "get", "shout", "--jsonl").out.splitlines()) == 1


def test_run_waits_and_shows_the_run(dcipher: Call, emulator: Emulator) -> None:
    """The run is started once with these params, and its final state is printed. Messages are on stderr."""
    done = dcipher("flows", "run", "shout", "-p", "text=5", "-p", "times:=2")
    assert done.code == 0
    shown = dict(line.split("\t", 1) for line in done.out.splitlines())
    (run,) = emulator.runs
    assert (shown["task_id"], shown["status"]) == (run.task_id, "SUCCEEDED")
    assert run.params == {"text": "5", "times": 2}
    assert f"Run {run.task_id} of flow shout started." in done.err


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_run_for_programs(dcipher: Call, form: str) -> None:
    """One document, without the signed URLs unless they are requested."""
    document = json.loads(dcipher("flows", "run", "shout", form).out)
    assert document["status"] == "SUCCEEDED"
    assert [output["url"] for output in document["outputs"]] == [None]
    revealed = json.loads(dcipher("flows", "run", "shout", form, "--reveal-urls").out)
    assert revealed["outputs"][0]["url"].startswith("http")


def test_run_with_quiet_is_the_id(dcipher: Call, emulator: Emulator) -> None:
    """With -q there is nothing but the id, on either stream."""
    done = dcipher("flows", "run", "shout", "-q")
    assert done == (0, f"{emulator.runs[0].task_id}\n", "")


def test_run_without_waiting(dcipher: Call, emulator: Emulator) -> None:
    """The run is started, and its current state is printed."""
    done = dcipher("flows", "run", "slow", "--no-wait", "--json")
    assert done.code == 0
    assert json.loads(done.out)["status"] == "PENDING"
    assert len(emulator.runs) == 1


@pytest.mark.parametrize(
    "more",
    [
        ["--no-wait", "-o", "x"],
        ["--no-wait", "--timeout", "5"],
        ["-o", "-", "--json"],
        ["-o", "-", "-q"],
        ["--timeout", "soon"],
        ["--idempotency-key", "a b"],
        ["-o", "no/x"],
        ["--save-run", "no/x"],
        ["--save-run", "."],
        ["--save-run", "-"],
        ["--save-run", "x", "-o", "x"],
        ["-o", "."],
        ["-p", "x"],
    ],
)
def test_unusable_options_are_rejected_before_the_start(
    dcipher: Call, emulator: Emulator, more: list[str]
) -> None:
    """Nothing is started if a later step is known to fail."""
    done = dcipher("flows", "run", "shout", *more)
    assert done.code == (1 if more in (["-o", "no/x"], ["-o", "."]) else 2)
    assert done.out == ""
    assert emulator.runs == ()


def test_run_saves_its_result(dcipher: Call, tmp_path: Path) -> None:
    """One result is the file itself, several are numbered; the paths are data."""
    done = dcipher("flows", "run", "shout", "-o", "out.json", "--json")
    assert json.loads((tmp_path / "out.json").read_bytes()) == {"text": "HI"}
    assert json.loads(done.out)["files"] == ["out.json"]
    done = dcipher("flows", "run", "three", "-o", "three.txt")
    assert [p.read_text() for p in sorted(tmp_path.glob("three_*"))] == ["zero", "one", "two"]
    assert "files\tthree_0.txt, three_1.txt, three_2.txt\n" in done.out


def test_run_does_not_replace_a_file_with_no_overwrite(
    dcipher: Call, emulator: Emulator, tmp_path: Path
) -> None:
    """`--no-overwrite` rejects it before the start, with the names of options."""
    (tmp_path / "out.json").write_text("mine")
    done = dcipher("flows", "run", "shout", "-o", "out.json", "--no-overwrite")
    assert done.code == 1
    assert "pass --overwrite" in done.err
    done = dcipher("flows", "run", "shout", "--save-run", "out.json", "--no-overwrite")
    assert done.code == 2
    assert "out.json cannot be written: it already exists." in done.err
    assert (tmp_path / "out.json").read_text() == "mine"
    assert emulator.runs == ()


@pytest.mark.usefixtures("dcipher")
def test_run_to_stdout_is_the_result_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-o -` writes the bytes as they are: they are no text."""
    size = 70_000
    stream = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(["flows", "run", "bytes", "-p", f"size:={size}", "-o", "-"]) == 0
    expected = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert stream.buffer.getvalue() == expected  # type: ignore[attr-defined]


def test_stdout_has_only_one_result(dcipher: Call, emulator: Emulator) -> None:
    """The error has the command that saves them without a second run, and it works."""
    done = dcipher("flows", "run", "three", "-o", "-")
    assert (done.code, done.out) == (1, "")
    assert "has 3 results" in done.err
    key = done.err.split("--idempotency-key ")[1].split()[0]
    assert dcipher("flows", "run", "three", "-o", "x", "--idempotency-key", key).code == 0
    assert len(emulator.runs) == 1


def test_a_failed_run(dcipher: Call) -> None:
    """Code 3; the run is data nevertheless, and the reason is on stderr."""
    done = dcipher("flows", "run", "fails", "--json")
    assert done.code == 3
    document = json.loads(done.out)
    assert (document["status"], document["message"]) == ("FAILED", "the corpus is empty")
    error = json.loads(done.err.splitlines()[-1])["error"]
    assert (error["type"], error["task_id"]) == ("RunFailedError", document["task_id"])


@pytest.mark.parametrize(
    "arguments",
    [["flows", "run", "fails"], ["runs", "wait"], ["runs", "wait", "another"]],
    ids=" ".join,
)
def test_a_reason_is_printed_once(dcipher: Call, arguments: list[str]) -> None:
    """In text output, only the error has the message of a failed run."""
    if arguments[0] == "runs":
        fails = dcipher("flows", "run", "fails", "--no-wait", "-q").out.strip()
        others = [dcipher("flows", "run", "shout", "--no-wait", "-q").out.strip()] * len(
            arguments[2:]
        )
        arguments = ["runs", "wait", fails, *others]
    done = dcipher(*arguments)
    assert done.code == 3
    assert (done.out + done.err).count("the corpus is empty") == 1
    assert "failed: the corpus is empty" in done.err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.json", b'[{"n":0},{"n":1}]'),
        ("t", b'[{"n":0},{"n":1}]'),
        ("t.txt", b'[{"n":0},{"n":1}]'),
        ("t.json.zst", b'[{"n":0},{"n":1}]'),
        ("t.ndjson", b'{"n":0}\n{"n":1}\n'),
        ("t.JSONL", b'{"n":0}\n{"n":1}\n'),
        ("t.csv", b"n\r\n0\r\n1\r\n"),
    ],
)
def test_a_result_has_the_format_of_its_name(dcipher: Call, name: str, expected: bytes) -> None:
    """A target named .csv is CSV. If the name has no format, the result is unchanged."""
    run = ("flows", "run", "rows", "-p", "count:=2", "--save-run", "run.json", "-o")
    assert dcipher(*run, name).code == 0
    assert Path(name).read_bytes() == expected
    Path(name).unlink()
    assert dcipher("runs", "download", "--run", "run.json", "-o", name).out == f"{name}\n"
    assert Path(name).read_bytes() == expected


@pytest.mark.parametrize("name", ["t.csv.gz", "t.ndjson.gz"])
def test_a_result_is_compressed_by_its_name(dcipher: Call, name: str) -> None:
    """A suffix of a compression is applied, too, also with another format."""
    assert dcipher("flows", "run", "rows", "-o", name).code == 0
    assert len(gzip.decompress(Path(name).read_bytes()).splitlines()) >= 3


def test_a_result_as_parquet(dcipher: Call) -> None:
    """A target named .parquet is Parquet."""
    parquet = pytest.importorskip("pyarrow.parquet")
    assert dcipher("flows", "run", "rows", "-o", "t.parquet").code == 0
    assert parquet.read_table("t.parquet").to_pylist() == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("name", ["t.json.gz", "t.JSON.GZ"])
def test_a_result_of_the_named_format_is_compressed(dcipher: Call, name: str) -> None:
    """Nothing is converted, and the bytes are those of the result."""
    assert dcipher("flows", "run", "rows", "-p", "count:=2", "-o", name).code == 0
    assert gzip.decompress(Path(name).read_bytes()) == b'[{"n":0},{"n":1}]'


@pytest.mark.parametrize("name", ["t.xlsx", "t.tsv", "t.json.zst", "t.parquet.gz", "t.gz"])
def test_a_suffix_of_an_unsupported_format(dcipher: Call, name: str) -> None:
    """The result is saved unchanged, with a warning that names its format."""
    done = dcipher("flows", "run", "rows", "-p", "count:=2", "-o", name)
    assert done.code == 0
    assert Path(name).read_bytes() == b'[{"n":0},{"n":1}]'
    assert f"warning: {name} is json, despite its name" in done.err


def test_text_is_not_saved_as_parquet(dcipher: Call, emulator: Emulator) -> None:
    """It is kept unchanged in another file. No file named Parquet has another format."""
    emulator.flow("prose")(lambda: "It is a text.")
    done = dcipher("flows", "run", "prose", "-o", "t.parquet")
    assert done.code == 1
    assert "The result is text or bytes and was not written as parquet" in done.err
    assert not Path("t.parquet").exists()
    assert Path("t.parquet.binary").read_text() == "It is a text."


def test_no_parquet_without_pyarrow(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If Parquet cannot be written, this is reported before a run is started."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = dcipher("flows", "run", "rows", "-o", "t.parquet")
    assert (done.code, done.out, len(emulator.runs)) == (2, "", 0)
    assert f"Next: {install('arrow')}" in done.err


def test_a_result_that_cannot_be_converted(dcipher: Call, emulator: Emulator) -> None:
    """It is kept unchanged, with the suffix of its format. No file has another format than its name."""
    rows: list[dict[str, int]] = [{"a": 1}, {"a": 1, "new": 2}]
    emulator.flow("uneven")(lambda: rows)
    done = dcipher("flows", "run", "uneven", "-o", "t.csv")
    assert done.code == 1
    assert (
        "was not written as csv; it is kept as t.csv.json. Row 1 has the column 'new'" in done.err
    )
    assert not Path("t.csv").exists()
    assert json.loads(Path("t.csv.json").read_bytes()) == rows


def test_prose_is_not_converted(dcipher: Call) -> None:
    """A text is saved unchanged, with any name."""
    assert dcipher("flows", "run", "three", "-o", "t.json").code == 0
    assert Path("t_1.json").read_bytes() == b"one"


def test_a_timeout(dcipher: Call) -> None:
    """Exit code 124. The id and the command that resumes the wait are printed, which works."""
    done = dcipher("flows", "run", "slow", "--timeout", "0")
    assert done.code == 124
    line = done.err.split("Next: ")[1].strip()
    task = done.out.splitlines()[0].split("\t")[1]
    assert line == f"dcipher runs wait {task} --flow slow"
    again = dcipher(*shlex.split(line)[1:], "-q")
    assert (again.code, again.out) == (0, f"{task}\n")


def test_params_from_standard_input(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--params -` and `-p k=@-` read it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"text": "a", "times": 7}'))
    assert dcipher("flows", "run", "shout", "--params", "-", "-p", "times:=1").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("größer\n"))
    assert dcipher("flows", "run", "shout", "-p", "text=@-").code == 0
    found = [run.params for run in emulator.runs]
    assert found == [{"text": "a", "times": 1}, {"text": "größer\n"}]


def test_standard_input_is_there_once(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that want to read it are a usage error that names both."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("{}"))
    done = call("flows", "run", "f", "--params", "-", "-p", "a=@-")
    assert done.code == 2
    assert "--params and -p a cannot both read standard input" in done.err


def test_dry_run_starts_nothing(dcipher: Call, emulator: Emulator) -> None:
    """Valid params print a curl line without the key."""
    done = dcipher("flows", "run", "shout", "-p", "text=it's", "--dry-run")
    assert done.code == 0
    words = shlex.split(done.out)
    assert words[0] == "curl"
    assert f"{emulator.url}/flows/shout/run" in words
    assert "$DCIPHER_API_KEY" in done.out
    assert emulator.api_key not in done.out + done.err
    assert emulator.runs == ()
    record = json.loads(dcipher("flows", "run", "shout", "--dry-run", "--json").out)
    assert record["curl"].startswith("curl ")


def test_dry_run_names_every_problem(dcipher: Call, emulator: Emulator) -> None:
    """Exit code 2 with all problems at once, as a list for programs."""
    words = ("flows", "run", "shout", "-p", "times=3", "-p", "txt=x", "--dry-run")
    done = dcipher(*words)
    assert (done.code, done.out) == (2, "")
    assert "times must be integer" in done.err
    assert "nearest: text" in done.err
    problems = json.loads(dcipher(*words, "--json").err)["error"]["problems"]
    assert len(problems) == 2
    assert emulator.runs == ()


def test_dry_run_of_a_long_body_and_a_signed_request(
    call: Call, api: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A long body is in a file, which is named. A note says that curl cannot sign."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCIPHER_API_SECRET", "canary-secret")
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_x")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "long").write_text("x" * 10_000)
    words = ("flows", "run", "f", "-p", "text=@long", "--dry-run", "--base-url", api.url)
    done = call(*words)
    assert done.code == 0
    assert "The body is in" in done.err
    assert "curl cannot sign" in done.err
    assert "canary" not in done.out + done.err


@pytest.mark.parametrize("text", ["\x7f\x9b", "a\u202eb", "plain", "{a,b}[1-2]"])
def test_dry_run_is_the_same_request(
    call: Call, api: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """A body that cannot be printed is in a file. curl sends the same body as the command."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_x")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    api.on("*", json_reply('{"taskId": "t", "id": "f"}'))
    flow = ("flows", "run", "f", "-p", f"text={text}", "--base-url", f"{api.url}/v{{1,2}}")
    assert call(*flow, "--no-wait").code == 0
    own = api.requests[-1]
    words = shlex.split(call(*flow, "--dry-run").out)
    body = words[words.index("--data-binary") + 1]
    sent = Path(body[1:]).read_bytes() if body.startswith("@") else body.encode()
    assert sent == own.body
    assert "--globoff" in words


def test_an_empty_idempotency_key_is_rejected(dcipher: Call, emulator: Emulator) -> None:
    """With a variable that is not set, each call would start and pay for another run."""
    done = dcipher("flows", "run", "shout", "--no-wait", "--idempotency-key", "")
    assert done.code == 2
    assert "--idempotency-key must be" in done.err
    assert emulator.runs == ()


@pytest.mark.skipif(os.name == "nt", reason="pipes in the file system are POSIX")
def test_no_pipe_or_device_is_replaced(dcipher: Call, emulator: Emulator, tmp_path: Path) -> None:
    """`--save-run /dev/null` by root would replace it by a file with secrets: it is rejected before the start."""
    os.mkfifo(tmp_path / "pipe")
    done = dcipher("flows", "run", "shout", "--save-run", "pipe")
    assert done.code == 2
    assert "it is not a regular file" in done.err
    assert (tmp_path / "pipe").is_fifo()
    assert emulator.runs == ()


def test_dry_run_of_a_flow_that_is_not_there(dcipher: Call) -> None:
    """It is as unknown as for a start."""
    assert dcipher("flows", "run", "none", "--dry-run").code == 1


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX")
def test_a_run_is_saved_for_later(dcipher: Call, tmp_path: Path) -> None:
    """`--save-run` stores the URLs in a private file, which it replaces atomically."""
    file = tmp_path / "run.json"
    file.write_text("old")
    file.chmod(0o644)
    assert dcipher("flows", "run", "shout", "--no-wait", "--save-run", "run.json").code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run = Run.from_json(file.read_bytes())
    assert run.outputs[0].url is not None
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_an_unwritable_list_does_not_fail_the_run(
    dcipher: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is one warning. The run continues, and its result is saved."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DCIPHER_STATE_DIR", str(tmp_path / "file" / "below"))
    done = dcipher("flows", "run", "shout", "-o", "out")
    assert done.code == 0
    assert done.err.count("warning") == 1
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize("way", ["--no-ledger", "DCIPHER_NO_LEDGER"])
def test_the_ledger_can_be_disabled(
    dcipher: Call, monkeypatch: pytest.MonkeyPatch, state: Path, way: str
) -> None:
    """With the option or the variable, nothing is stored."""
    more = [way] if way.startswith("-") else []
    if not more:
        monkeypatch.setenv(way, "1")
    assert dcipher("flows", "run", "shout", *more).code == 0
    assert not state.exists()


def refused(dcipher: Call, *params: str) -> str:
    done = dcipher("flows", "run", "bytes", *params)
    assert done.code == 2
    return done.err


@pytest.mark.parametrize("text", ["three", "[3", '{"a": 1}', "true"])
def test_a_start_with_rejected_params(dcipher: Call, text: str) -> None:
    """The next step is the command that shows the params. A text that looks like JSON is mentioned."""
    err = refused(dcipher, "-p", f"size={text}")
    assert "Next: dcipher flows get bytes" in err
    assert ("for JSON write -p size:=…" in err) == (text != "three")


def test_only_named_params_are_mentioned(dcipher: Call) -> None:
    """Another param that looks like JSON is not mentioned."""
    done = dcipher("flows", "run", "shout", "-p", "times=3 times", "-p", "text=[1]")
    assert "Next: dcipher flows get shout\n" in done.err


def test_an_idempotency_key_of_another_start(dcipher: Call) -> None:
    """The params are not mentioned: another key is needed."""
    assert dcipher("flows", "run", "shout", "--idempotency-key", "k-1").code == 0
    done = dcipher("flows", "run", "shout", "-p", "text=[1]", "--idempotency-key", "k-1")
    assert done.code == 2
    assert "use another key" in done.err
    assert "parameters" not in done.err
    assert "flows get" not in done.err


def test_a_start_that_is_repeated(dcipher: Call, state: Path) -> None:
    """If the list has the run, the message says that it was started before."""
    words = ("flows", "run", "shout", "--no-wait", "--idempotency-key", "k-1")
    assert "of flow shout started.\n" in dcipher(*words).err
    assert "of flow shout was started before.\n" in dcipher(*words).err
    assert "of flow shout started.\n" in dcipher(*words, "--no-ledger").err
    (state / "runs.sqlite3").unlink()
    (state / "runs.sqlite3").mkdir()
    assert "of flow shout started.\n" in dcipher(*words).err


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize("log", [None, "info"])
def test_a_retry_is_reported(
    call: Call, monkeypatch: pytest.MonkeyPatch, server: FaultyServer, log: str | None
) -> None:
    """A command reports each retry once on stderr. `-q` prints nothing."""
    failing = json_reply("{}", 503)
    monkeypatch.setenv("DCIPHER_BASE_URL", server.url)
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_key")
    if log:
        monkeypatch.setenv("DCIPHER_LOG", log)
    server.on("/flows/f", failing, failing, json_reply('{"id": "f"}'))
    done = call("flows", "get", "f", "--json")
    assert (done.code, json.loads(done.out)["id"]) == (0, "f")
    assert [done.err.count(f"attempt {n} failed (status 503)") for n in (1, 2, 3)] == [1, 1, 0]
    if not log:
        server.on("/flows/f", failing, json_reply('{"id": "f"}'))
        assert call("flows", "get", "f", "-q").err == ""


def test_a_command_restores_the_logger(api: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs a command in its own process keeps its logger."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_a-key-0123456789")
    monkeypatch.setenv("DCIPHER_BASE_URL", api.url)
    before = logger.level, [*logger.handlers]
    assert main(["flows", "get", "f"]) == 0
    assert (logger.level, [*logger.handlers]) == before


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_a_kill_before_the_response_loses_no_run(dcipher: Call, emulator: Emulator) -> None:
    """The key of a start is stored before it is sent; with it, the same command finds the run."""
    emulator.fault("start", Stall(), times=1)  # the run is started, and the response never comes
    command = [sys.executable, "-m", "dcipher", "flows", "run", "rows", "-o", "t.json"]
    environment = {"DCIPHER_BASE_URL": emulator.url, "DCIPHER_API_KEY": emulator.api_key}
    program = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603
    until(lambda: emulator.runs)
    program.kill()
    assert program.wait(HANG) == -signal.SIGKILL
    said = dcipher("runs", "list")
    assert (said.code, said.out) == (0, "")
    (key,) = re.findall(r"--idempotency-key (\S+)\.", said.err)
    assert dcipher("flows", "run", "rows", "-o", "t.json", "--idempotency-key", key).code == 0
    assert [run.idempotency_key for run in emulator.runs] == [key]
    assert "idempotency-key" not in dcipher("runs", "list").err


def test_a_rejected_start_is_not_stored(dcipher: Call, emulator: Emulator) -> None:
    """Its error has reported the result."""
    assert dcipher("flows", "run", "nowhere").code != 0
    assert "idempotency-key" not in dcipher("runs", "list").err


def test_flows_of_an_emulator(dcipher: Call, emulator: Emulator) -> None:
    """The flows of an emulator are listed, and no others."""
    Ledger().record(Run(flow_id="elsewhere", task_id="t"))
    done = dcipher("flows", "list", "--json")
    assert (done.code, done.err) == (0, "")
    found = {flow["id"]: flow for flow in json.loads(done.out)}
    assert found["shout"]["known_from"] == [f"emulator {emulator.url}"]
    assert "elsewhere" not in found
    assert "shout" in dcipher("flows", "list", "-q").out.split()


def test_flows_of_another_service(
    call: Call, server: FaultyServer, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note says that it cannot list them: the flows are those of the emulators and of the list of runs."""
    monkeypatch.setenv("DCIPHER_API_KEY", "a-key-of-the-service")
    for url in (server.url, "https://api.dcipher.invalid"):
        done = call("flows", "list", "--base-url", url)
        assert (done.code, done.out) == (0, "")
        assert f"{url} has no operation that lists its flows" in done.err
        assert "There are no flows." in done.err
    Ledger().record(Run(flow_id="elsewhere", task_id="t"))
    Ledger().record(Run(flow_id="shout", task_id="t"))
    running = RunningEmulator(emulator.url, emulator.api_key, emulator.console, os.getpid())
    with registered(running):
        lines = call("flows", "list", "--base-url", server.url).out.splitlines()
    assert "elsewhere\t\tdcipher runs list" in lines
    [shout] = [line for line in lines if line.startswith("shout\t")]
    assert shout.endswith(f"\temulator {emulator.url}, dcipher runs list")
    assert all("a-key-of-the-service" not in str(request.headers) for request in server.requests)


def test_flows_without_a_list_of_runs(call: Call, state: Path, server: FaultyServer) -> None:
    """A list of runs that cannot be read is a warning."""
    state.mkdir()
    (state / "runs.sqlite3").write_text("no list")
    done = call("flows", "list", "--base-url", server.url)
    assert done.code == 0
    assert "warning: the list of runs cannot be read" in done.err
