"""The command line as a program: in a terminal, in a pipe, on a full disk, interrupted."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dcipher.cli.state.ledger import Ledger
from dcipher.models import Run
from tests.cli.conftest import command, environment, program, service
from tests.faulty import STALL, FaultyServer, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX terminals and signals")
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
THOROUGH = pytest.mark.thorough
BOUND = 60.0


# Terminals.


def in_terminal(*arguments: object, columns: int = 80, **variables: str) -> tuple[int, str]:
    """The code of a call in a terminal, and all that the terminal got."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {"TERM": "xterm-256color", **variables}
    # Where it is set, it counts more than what the terminal says.
    surroundings = {k: v for k, v in environment(variables).items() if k != "COLUMNS"}
    process = subprocess.Popen(  # noqa: S603
        command(*arguments), env=surroundings, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    got = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            got.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        code = process.wait(BOUND)
        reader.join(BOUND)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return code, got.decode("utf-8", "replace")


PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def listed() -> None:
    for i, flow in enumerate(("65cf2f3e", "[red]flow[/red]", "\x1b]0;owned\x07\u202eevil")):
        Ledger().record(Run(flow_id=flow, task_id=f"task-{i}"))


@POSIX
@pytest.mark.usefixtures("listed")
@THOROUGH
def test_a_table_on_a_terminal() -> None:
    """The output is a table with titles. Its content is neither markup nor an escape sequence."""
    code, text = in_terminal("runs", "list", columns=160)
    assert code == 0
    assert "TASK ID" in text
    assert "[red]flow[/red]" in text
    assert r"\x1b]0;owned\x07\u202eevil" in text
    assert "\x1b]0" not in text
    assert "\x1b[1m" in text


@POSIX
@pytest.mark.usefixtures("listed")
@THOROUGH
def test_no_colour() -> None:
    """NO_COLOR is respected, and a dumb terminal gets plain lines."""
    assert "\x1b[3" not in in_terminal("runs", "list", NO_COLOR="1")[1]
    text = in_terminal("runs", "list", TERM="dumb")[1]
    assert "\x1b" not in text
    assert text.splitlines()[0].split("\t")[0] == "task-2"


@POSIX
@THOROUGH
@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal(columns: int) -> None:
    """No id is truncated. A terminal that is narrower than an id wraps its line."""
    _, text = in_terminal("runs", "list", columns=columns)
    lines = [PLAIN.sub("", line) for line in text.replace("\r", "").splitlines()]
    assert columns < 34 or max(map(len, lines)) <= columns
    assert any(re.match(r"task-1 +\[red\]flow\[/red\]", line) for line in lines)


@POSIX
@THOROUGH
def test_progress_on_a_terminal(endless: FaultyServer) -> None:
    """One line that is rewritten, and gone at the end; in CI a line a change."""
    words = ("flows", "run", "endless")
    seen = [json_reply(f'{{"status": "{status}"}}') for status in ("RUNNING", "SUCCEEDED")]
    endless.on("/flows/endless/status", *seen)
    code, text = in_terminal(*words, **ours(endless))
    assert code == 0
    assert "\x1b[2K" in text
    assert "RUNNING" in text
    left = PLAIN.sub("", text.rpartition("\x1b[2K")[2])
    assert "SUCCEEDED" in left
    assert "RUNNING" not in left
    code, text = in_terminal(*words, CI="true", **ours(endless))
    assert code == 0
    assert "\x1b[2K" not in text
    assert re.search(r"^t-1  SUCCEEDED", text.replace("\r", ""), re.MULTILINE)


@POSIX
@THOROUGH
def test_download_with_progress_on_a_terminal(emulator: Emulator, tmp_path: Path) -> None:
    """A download has its line, too."""
    words = ("flows", "run", "bytes", "-p", "size:=300000", "-o", tmp_path / "x")
    code, text = in_terminal(*words, **service(emulator))
    assert code == 0
    assert "Downloading" in text
    assert (tmp_path / "x").stat().st_size == 300_000


# Pipes and files.


@POSIX
@pytest.mark.usefixtures("listed")
@THOROUGH
def test_a_reader_that_has_gone() -> None:
    """The program ends without a word, as any other in a pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603
        command("runs", "list"),
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=BOUND,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@FULL
@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    "arguments", [["runs", "list"], ["--version"], ["version", "--json"], ["version", "--help"]]
)
@THOROUGH
def test_a_full_disk(arguments: list[str]) -> None:
    """It is an error, in one line, with code 1."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(  # noqa: S603
            command(*arguments),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=BOUND,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@FULL
@THOROUGH
def test_a_result_and_a_full_disk(emulator: Emulator) -> None:
    """`-o -` to a full disk reports it, and how to get the result."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(  # noqa: S603
            command("flows", "run", "shout", "-o", "-"),
            env=environment(service(emulator)),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=BOUND,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "--idempotency-key" in done.stderr


def without(descriptor: int, *arguments: object, **variables: str) -> tuple[int, str, str]:
    """A call with one of the three standard streams closed."""
    line = f"{shlex.join(command(*arguments))} {descriptor}{'<' if not descriptor else '>'}&-"
    done = subprocess.run(  # noqa: S602
        line,
        shell=True,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@POSIX
@THOROUGH
def test_closed_streams() -> None:
    """Without stdout, there is an error. Commands that do not need stderr or stdin work without them."""
    code, _, err = without(1, "version")
    assert (code, err) == (1, "error: There is no standard output to write to.\n")
    assert without(1, "--version")[0] == 1
    assert without(2, "version")[0] == 0
    assert without(2, "nothing")[0] == 2
    assert without(0, "version")[0] == 0
    code, _, err = without(0, "flows", "run", "f", "--params", "-")
    assert code == 2
    assert "there is no standard input" in err


def test_standard_input_is_read_only_on_request(emulator: Emulator) -> None:
    """A command with an endless pipe as stdin does not wait for it."""
    reading, writing = os.pipe()
    try:
        done = subprocess.run(  # noqa: S603
            command("flows", "get", "shout", "-q"),
            env=environment(service(emulator)),
            stdin=reading,
            capture_output=True,
            timeout=BOUND,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == b"shout\n"


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
@THOROUGH
def test_a_narrow_encoding(variables: dict[str, str]) -> None:
    """Characters that an encoding lacks are escaped. JSON remains valid."""
    Ledger().record(Run(flow_id="größe-日本", task_id="t"))
    done = program("runs", "list", "--json", **variables)
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["flow_id"] == "größe-日本"
    done = program("runs", "list", **variables)
    assert done.returncode == 0
    assert r"gr\xf6\xdfe-\u65e5\u672c" in done.stdout
    assert done.stdout.isascii()


@THOROUGH
def test_lone_surrogates_and_controls_in_json() -> None:
    """Invalid characters are escaped, so that JSON stays valid and terminals are safe."""
    Ledger().record(Run.model_construct(flow_id="a\x9b31m\u202e", task_id="t", outputs=()))
    done = program("runs", "list", "--json")
    assert r"a\u009b31m\u202e" in done.stdout
    assert json.loads(done.stdout)[0]["flow_id"] == "a\x9b31m\u202e"


# Ctrl-C.

HEEDING = (
    # A job in the background of a shell is started with the signal ignored, and so is what it starts.
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dcipher.cli import main; sys.exit(main(sys.argv[1:]))"
)


@contextmanager
def running(*arguments: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", HEEDING, *map(str, arguments)],
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: object, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + BOUND
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)


@pytest.fixture
def endless(server: FaultyServer) -> FaultyServer:
    """Flows whose runs never end; the start of `stalled` is never answered, that of `late` late."""
    started = '{"taskId": "t-1", "signedResponseURL": "https://s/r?Signature=canary-signature"}'
    for flow in ("endless", "late"):
        server.on(f"/flows/{flow}/run", json_reply(started))
        server.on(f"/flows/{flow}/status", json_reply('{"status": "RUNNING"}'))
    server.on("/flows/stalled/run", STALL)
    return server


def held(server: FaultyServer) -> threading.Event:
    """An event that delays the response to the start of `late`."""
    response = threading.Event()
    server.on("/flows/late/run", replace(json_reply('{"taskId": "t-1"}'), held=response))
    return response


def asked(server: FaultyServer, path: str) -> bool:
    return any(request.path == path for request in list(server.requests))


def ours(server: FaultyServer) -> dict[str, str]:
    return {"DCIPHER_BASE_URL": server.url, "DCIPHER_API_KEY": "emu_canary-key-0123456789"}


@POSIX
@pytest.mark.parametrize(
    "arguments",
    [
        ["flows", "run", "endless"],
        ["runs", "wait", "t-1", "t-2", "--flow", "endless"],
        pytest.param(["flows", "run", "endless", "-q"], marks=THOROUGH),
        pytest.param(["runs", "wait", "t-1", "--flow", "endless"], marks=THOROUGH),
        pytest.param(["runs", "watch", "t-1", "--flow", "endless"], marks=THOROUGH),
    ],
    ids=" ".join,
)
def test_ctrl_c_while_waiting(endless: FaultyServer, arguments: list[str]) -> None:
    """Exit code 130 at once. The run continues, and stderr has the command that resumes the wait."""
    with running(*arguments, **ours(endless)) as process:
        until(lambda: asked(endless, "/flows/endless/status"), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=BOUND)
    assert process.returncode == 130, err
    tasks = "t-1 t-2" if "t-2" in arguments else "t-1"
    assert f"Next: dcipher runs wait {tasks} --flow endless" in err
    assert "Traceback" not in err
    assert "canary" not in out + err


@POSIX
def test_ctrl_c_between_the_start_and_its_response(endless: FaultyServer) -> None:
    """It is deferred until the response: the id is not lost, and the command resumes the wait."""
    response = held(endless)
    with running("flows", "run", "late", **ours(endless)) as process:
        until(lambda: asked(endless, "/flows/late/run"), process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Stopping after the response to the start" in process.stderr.readline()
        response.set()
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 130, err
    assert "Next: dcipher runs wait t-1 --flow late" in err
    assert not asked(endless, "/flows/late/status")
    assert Ledger().find("t-1") is not None


@FULL
def test_an_unwritable_stderr_does_not_fail_the_run(emulator: Emulator) -> None:
    """Messages cannot be written, but the run is waited for and printed."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(  # noqa: S603
            command("flows", "run", "shout", "--json"),
            env=environment(service(emulator)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=BOUND,
            check=False,
        )
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "SUCCEEDED"


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_between_the_start_and_its_answer(endless: FaultyServer, number: int) -> None:
    """A job that is cancelled, or a terminal that is closed, loses no run that was being started."""
    response = held(endless)
    with running("flows", "run", "late", "--no-wait", **ours(endless)) as process:
        until(lambda: asked(endless, "/flows/late/run"), process)
        process.send_signal(number)
        assert process.stderr is not None
        output = process.stderr.readline()
        response.set()
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 128 + number, err
    assert endless.requests[-1].headers["idempotency-key"] in output
    assert "Next: dcipher runs wait t-1 --flow late" in err
    assert Ledger().find("t-1") is not None


@POSIX
def test_a_signal_while_waiting(endless: FaultyServer) -> None:
    """SIGTERM ends the wait as Ctrl-C does, with the command that resumes it."""
    with running("runs", "wait", "t-1", "--flow", "endless", **ours(endless)) as process:
        until(lambda: asked(endless, "/flows/endless/status"), process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 143, err
    assert "Next: dcipher runs wait t-1 --flow endless" in err


@POSIX
def test_ctrl_c_twice_while_a_start_hangs(endless: FaultyServer) -> None:
    """The second one is not deferred. The message has the key that starts no second run."""
    with running("flows", "run", "stalled", **ours(endless)) as process:
        until(lambda: asked(endless, "/flows/stalled/run"), process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 130, err
    key = endless.requests[-1].headers["idempotency-key"]
    assert f"--idempotency-key {key}" in err


@POSIX
@THOROUGH
def test_ctrl_c_without_a_run(server: FaultyServer) -> None:
    """There is nothing to resume."""
    server.on("/flows/f", STALL)
    with running("flows", "get", "f", **ours(server)) as process:
        until(lambda: asked(server, "/flows/f"), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=BOUND)
    assert (process.returncode, err) == (130, "error: Interrupted.\n")


@POSIX
@THOROUGH
def test_ctrl_c_during_the_download(server: FaultyServer, tmp_path: Path) -> None:
    """The run has ended. The message says how to get its results without a second run."""
    server.on(
        "/flows/f/run", json_reply(f'{{"taskId": "t", "signedResponseURL": "{server.url}/r"}}')
    )
    server.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    server.on("/r", STALL)
    with running("flows", "run", "f", "-o", tmp_path / "x", **ours(server)) as process:
        until(lambda: asked(server, "/r"), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=BOUND)
    assert process.returncode == 130
    key = next(r for r in server.requests if r.path == "/flows/f/run").headers["idempotency-key"]
    assert f"with --idempotency-key {key}" in err


# Secrets.


CANARIES = ("canary-key", "canary-signature", "canary-secret")


@pytest.mark.usefixtures("loggers")
def test_no_output_has_a_secret(
    api: FaultyServer, call: Call, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, secret or signed URL is printed or written, even with -v, unless requested."""
    api.on("/flows/bad/run", json_reply('{"message": "key emu_canary-key-0123456789"}', 401))
    says = f'"see {api.url}/result?Signature=canary-signature"'
    api.on("/flows/f/status", json_reply(f'{{"status": "FAILED", "message": {says}}}'))
    file = tmp_path / "key"
    file.write_text("emu_canary-key-0123456789\n")
    monkeypatch.setenv("DCIPHER_BASE_URL", api.url)
    monkeypatch.setenv("DCIPHER_API_SECRET", "canary-secret-0123456789")
    output = ""
    for arguments in (
        ["flows", "run", "f", "--json", "-v"],
        ["flows", "run", "f", "-v", "-o", tmp_path / "x"],
        ["flows", "run", "bad", "-v"],
        ["flows", "run", "f", "--dry-run", "-v"],
        ["runs", "watch", "t", "--jsonl", "-v"],
        ["runs", "status", "t", "-v"],
        ["runs", "download", "t", "-o", tmp_path / "x", "-v"],
        ["runs", "list", "--json", "-v"],
    ):
        done = call(*arguments, "--api-key-file", file)
        output += done.out + done.err
    assert "FAILED" in output
    assert "DEBUG dcipher" in output
    written = "".join(path.read_bytes().decode("latin-1") for path in state.iterdir())
    assert [canary for canary in CANARIES if canary in output + written] == []
