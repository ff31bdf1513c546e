"""`dcipher emulator`: start, exec, env, and the commands for a running one."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if sys.platform == "win32":
    pytest.skip("signals and modes are POSIX", allow_module_level=True)
pytest.importorskip("click", reason="the command line is an extra")
pytest.importorskip("fastapi", reason="the emulator is an extra")

from dcipher import Dcipher
from dcipher.cli import main
from dcipher.cli.app.signals import once
from dcipher.cli.emulator.child import run_child
from dcipher.cli.emulator.commands import assignments
from dcipher.cli.emulator.fault_syntax import fault_document
from dcipher.cli.state.running_emulators import RunningEmulator, registered, running_emulators
from dcipher.emulator import Emulator
from tests.cli.conftest import program
from tests.cli.test_terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0
SHOP = """
from dcipher.emulator import Flows
print("the module speaks")
flows = Flows()

@flows.flow("shout")
def shout(text: str) -> str:
    print("the flow speaks")
    return text.upper()

def add(emulator):
    emulator.flow("added")(lambda: 1)

number = 7
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module of flows, and its own state folder."""
    monkeypatch.setenv("DCIPHER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """An emulator that should not have started would serve for ever."""

    def give_up(*_: object) -> None:
        raise AssertionError("the command does not end")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def running() -> Iterator[Emulator]:
    """An emulator that other commands find."""
    with Emulator(queue_time=0) as emulator:
        emulator.flow("shout")(lambda text: text.upper())
        with registered(entry(emulator)):
            yield emulator


def entry(emulator: Emulator, **more: Any) -> RunningEmulator:
    url = emulator.url
    return RunningEmulator(url, emulator.api_key, f"{url}/_emulator/", os.getpid(), **more)


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def read_ready(path: Path) -> dict[str, Any]:
    def found() -> Any:
        return json.loads(path.read_text()) if path.exists() else None

    value: dict[str, Any] = wait_for(found)
    return value


# ---- start, in this process: a thread does what another shell would, and ends it by a signal.


@contextmanager
def meanwhile(
    number: int, work: Callable[[dict[str, Any]], None], *, elsewhere: bool = False
) -> Iterator[None]:
    errors: list[BaseException] = []

    def act() -> None:
        try:
            work(read_ready(Path("ready.json")))
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)
        if elsewhere:  # the system may hand a signal to any thread
            signal.pthread_kill(threading.get_ident(), number)
        else:
            os.kill(os.getpid(), number)

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(number, signal.default_int_handler)
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
        signal.signal(number, before)
    if errors:
        raise errors[0]


def test_a_signal_to_another_thread_ends_it() -> None:
    """So does a signal that does not interrupt the sleep of the main thread."""

    def work(_: dict[str, Any]) -> None:
        time.sleep(0.2)  # it sleeps by then

    with meanwhile(signal.SIGINT, work, elsewhere=True):
        words = ["emulator", "start", "--port", "0", "--ready-file", "ready.json", "--no-samples"]
        assert main(words) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_start_serves_until_a_signal(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stdout, a ready file for its owner; both, and the registry, are gone at the end."""

    def work(ready: dict[str, Any]) -> None:
        assert stat.S_IMODE(Path("ready.json").stat().st_mode) == 0o600
        assert ready["pid"] == os.getpid()
        (found,) = running_emulators()
        assert found.api_key == ready["api_key"]
        with Dcipher(ready["api_key"], base_url=ready["url"]) as client:
            run = client.flows.run("shout", {"text": "a"})
            assert client.runs.read(run) == b"A"
            assert client.flows.get("added").id == "added"
            assert client.flows.get("keywords").id == "keywords"
        began.append(time.monotonic())

    began: list[float] = []
    words = ["--port", "0", "--flows", "shop", "--flows", "shop:add", "--ready-file", "ready.json"]
    with meanwhile(number, work):
        assert main(["emulator", "start", *words]) == code
    assert time.monotonic() - began[0] < PATIENCE
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    assert line.startswith("Ready: http://127.0.0.1:")
    assert "API key: emu_" in line
    assert line.endswith("/_emulator/")
    assert "the module speaks" in err
    assert "the flow speaks" in err
    assert not Path("ready.json").exists()
    assert running_emulators() == []


@pytest.mark.parametrize("others", [0, 1])
def test_start_on_a_terminal(monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    """People get a line for each thing, and the line for their other shell, which works."""
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    output: list[str] = []

    def work(ready: dict[str, Any]) -> None:
        def line() -> str | None:
            lines = terminal.seen().splitlines()
            return lines[3] if len(lines) > 3 else None

        output.append(wait_for(line))
        words = shlex.split(output[0].partition("$(dcipher ")[2].rstrip(')"'))
        done = program(*words)
        assert ready["api_key"] in done.stdout, done.stderr

    words = ["--port", "0", "--ready-file", "ready.json", "--no-samples"]
    with ExitStack() as stack:
        for _ in range(others):
            other = stack.enter_context(Emulator())
            stack.enter_context(registered(entry(other)))
        stack.enter_context(meanwhile(signal.SIGINT, work))
        assert terminal.main("emulator", "start", *words) == 0
    ready, key, console, _ = terminal.text().splitlines()
    assert ready.startswith("Ready:    http://127.0.0.1:")
    assert key.startswith("API key:  emu_")
    assert console.endswith("/_emulator/")
    assert output[0].startswith('In another shell: eval "$(dcipher emulator env')
    assert ("--base-url" in output[0]) == bool(others)


def test_start_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` is one object with url, api_key, console and pid; `-q` prints only the URL."""
    words = ["emulator", "start", "--port", "0", "--ready-file", "ready.json", "--no-samples"]
    with meanwhile(signal.SIGINT, lambda ready: None):
        assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"url", "api_key", "console", "pid"}
    with meanwhile(signal.SIGINT, lambda ready: None):
        assert main([*words, "-q"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_given_key_and_secret(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """`--api-key-file` and `--api-secret-file` set them. The secret is in no output."""
    (folder / "key").write_text("emu_mine\n")
    (folder / "secret").write_text("canary-secret\n")

    def work(ready: dict[str, Any]) -> None:
        assert ready["api_key"] == "emu_mine"
        assert "canary" not in Path("ready.json").read_text()
        with Dcipher("emu_mine", api_secret="canary-secret", base_url=ready["url"]) as client:
            client.flows.get("topics")
        response = httpx.get(
            f"{ready['url']}/flows/topics", headers={"Authorization": "Api-Key emu_mine"}
        )
        assert response.status_code == 401

    words = ["--api-key-file", "key", "--api-secret-file", "secret", "--require-signature"]
    words += ["--port", "0", "--ready-file", "ready.json", "--state-dir", "kept"]
    with meanwhile(signal.SIGINT, work):
        assert main(["emulator", "start", *words]) == 0
    assert "canary" not in "".join(capsys.readouterr())


def test_a_busy_port_is_reported_at_once(
    running: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the port, its process, and advice. Nothing is printed on stdout."""
    port = running.url.rpartition(":")[2]
    assert main(["emulator", "start", "--port", port]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"port {port}" in err
    assert f"An emulator of yours runs there (process {os.getpid()})" in err
    assert f"Next: kill {os.getpid()}, or the same command with --port 0" in err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["emulator", "start", "--port", port]) == 1
    assert "of yours" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--host", "192.0.2.1"], "--allow-remote"),
        (["--queue-time", "nan"], "--queue-time must be at least 0, and finite"),
        (["--run-time", "-1"], "--run-time must be at least 0"),
        (["--time-scale", "0"], "--time-scale must be more than 0"),
        (["--rate", "inf"], "--rate must be more than 0"),
        (["--port", "70000"], "--port must be 65535 or less"),
        (["--port", "x"], "--port"),
        (["--require-signature"], "--api-secret-file"),
        (["--api-secret-file", "empty"], "empty is empty"),
        (["--api-secret-file", "missing"], "missing cannot be read"),
        (["--api-key-file", "real"], "must begin with emu_"),
        (["--flows", "shopp"], "There is no module shopp"),
        (
            ["--flows", "shop:nothing"],
            "'nothing' does not exist in shop, which has flows, shout, add",
        ),
        (["--flows", "shop:number"], "'number' is not a Flows or a function"),
        (["--flows", "shop.py"], "--flows shop:flows"),
        (["--flows", "broken"], "ZeroDivisionError: division by zero (broken.py, line 1)"),
        (["--flows", "lacks"], "No module named 'not_there'"),
        (["--flows", "shop", "--flows", "shop"], "The flow 'shout' is already registered"),
    ],
)
def test_invalid_options_are_usage_errors(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Exit code 2, the option, advice, and no real key."""
    (folder / "real").write_text("live_canary\n")
    (folder / "empty").write_text("\n")
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "lacks.py").write_text("import not_there\n")
    assert main(["emulator", "start", "--port", "0", *words]) == 2
    out, err = capsys.readouterr()
    assert text in err
    assert "Ready" not in out
    assert "canary" not in err


def test_an_unwritable_ready_file_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 with its name. The emulator is not started without it."""
    assert main(["emulator", "start", "--port", "0", "--ready-file", "no/where"]) == 1
    out, err = capsys.readouterr()
    assert (out, "no/where cannot be written" in err) == ("", True)
    Path("there").mkdir()
    assert main(["emulator", "start", "--port", "0", "--ready-file", "there"]) == 1
    assert "there cannot be written" in capsys.readouterr().err
    assert [path.name for path in Path().glob(".there*")] == []
    assert running_emulators() == []


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in the file system are POSIX")
def test_a_ready_file_is_no_pipe_and_only_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe or a device is not replaced; a file that another has written since is not removed."""
    os.mkfifo("pipe")
    assert main(["emulator", "exec", "--ready-file", "pipe", "--", "true"]) == 1
    assert "it is not a regular file" in capsys.readouterr().err
    assert Path("pipe").is_fifo()
    words = ["emulator", "exec", "--ready-file", "ready", "--", "sh", "-c", "echo other > ready"]
    assert main(words) == 0
    assert Path("ready").read_text() == "other\n"


def test_a_state_folder_in_use_is_an_error(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """If another emulator uses the folder, the exit code is 1, with advice."""
    with Emulator(state_dir=folder / "kept"):
        assert main(["emulator", "start", "--port", "0", "--state-dir", "kept"]) == 1
    assert "another emulator uses it" in capsys.readouterr().err


def test_a_registry_that_cannot_be_written_is_a_warning(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """It serves all the same."""
    (folder / "state").write_text("")
    with meanwhile(signal.SIGINT, lambda ready: None):
        code = main(["emulator", "start", "--port", "0", "--ready-file", "ready.json"])
    assert code == 0
    assert "will not find this emulator" in capsys.readouterr().err


def test_a_second_signal_does_not_interrupt_the_cleanup() -> None:
    """When it ends, the files are removed despite further signals."""
    cleaned = False

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as raised, once():  # noqa: PT012 - it cleans up
            try:
                thread.start()
                time.sleep(60)
            finally:
                signal.raise_signal(signal.SIGTERM)
                cleaned = True
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert (cleaned, raised.type) == (True, KeyboardInterrupt)


def test_only_its_own_entry_is_removed(running: Emulator, folder: Path) -> None:
    """An emulator removes only its own entry. One whose process runs but does not listen is stale."""
    own = entry(running)
    (path,) = (folder / "state" / "emulators").iterdir()
    with registered(own):
        path.write_text(RunningEmulator(own.url, "emu_other", own.console, own.pid).to_json())
    assert running_emulators()[0].api_key == "emu_other"
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    stale = RunningEmulator(closed, "emu_x", closed, os.getpid())
    assert not stale.is_reachable
    assert RunningEmulator(own.url, "emu_x", own.console, 1).is_reachable


# ---- start and exec, in processes of their own.


def shell(*words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", _PROGRAM, "emulator", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more},
    )


# A test run in the background of a shell ignores SIGINT, and so would its children.
_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dcipher.cli import main
from dcipher.cli.emulator.child import run_child
sys.exit(main())
"""


def test_the_entry_of_a_killed_emulator_is_stale(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its entry is stale. Restarted with its folder, it has its key and its runs."""
    words = ("start", "--port", "0", "--ready-file", "ready.json", "--state-dir", "kept")
    process = shell(*words, "--flows", "shop")
    ready = read_ready(folder / "ready.json")
    port = ready["url"].rpartition(":")[2]
    with Dcipher(ready["api_key"], base_url=ready["url"]) as client:
        run = client.runs.wait(client.flows.start("shout", {"text": "river"}))
        process.kill()
        process.communicate(timeout=PATIENCE)
        assert main(["emulator", "env"]) == 1
        assert "Next: dcipher emulator start" in capsys.readouterr().err
        assert not any((folder / "state" / "emulators").iterdir())
        (folder / "ready.json").unlink()

        def work(again: dict[str, Any]) -> None:
            assert again["api_key"] == ready["api_key"]
            assert client.runs.read(run) == b"RIVER"

        with meanwhile(signal.SIGINT, work):
            assert main(["emulator", *words[:2], port, *words[3:]]) == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["-c", "raise SystemExit(7)"], 7),
        (["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], 137),
        (["-c", "pass"], 0),
    ],
)
def test_exec_returns_the_exit_code_of_the_command(
    command: list[str], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in a shell, it is 128+n for a signal. exec itself prints nothing."""
    assert main(["emulator", "exec", "--no-samples", "--", sys.executable, *command]) == code
    assert capfd.readouterr() == ("", "")


def test_exec_of_an_unusable_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """127 for a missing command, 126 for one that cannot be executed, reported on stderr."""
    (folder / "plain").write_text("")
    assert main(["emulator", "exec", "no-such-command-here"]) == 127
    assert main(["emulator", "exec", "./plain"]) == 126
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.partition(":")[2] for line in err.splitlines()] == [
        " no-such-command-here: command not found.",
        " ./plain: Permission denied.",
    ]


def test_exec_points_the_command_at_its_emulator(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base URL, key and secret are set, another secret is not; the flows' prints are on stderr."""
    (folder / "secret").write_text("made-up\n")
    (folder / "app.py").write_text(
        "from dcipher import Dcipher\n"
        "with Dcipher() as client:\n"
        "    run = client.flows.run('shout', {'text': 'river'})\n"
        "    print(client.runs.read(run).decode())\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    words = ["emulator", "exec", "--flows", "shop"]
    signed = ["--api-secret-file", "secret", "--require-signature"]
    assert main([*words, *signed, "--", sys.executable, "app.py"]) == 0
    out, err = capfd.readouterr()
    assert out == "RIVER\n"
    assert "the flow speaks" in err
    monkeypatch.setenv("DCIPHER_API_SECRET", "of the real service")
    monkeypatch.setenv("DCIPHER_API_KEY", "live_key")
    show = "import os; print([os.environ.get('DCIPHER_API_' + n) for n in ('SECRET', 'KEY')])"
    assert main(["emulator", "exec", sys.executable, "-c", show]) == 0
    assert capfd.readouterr().out.startswith("[None, 'emu_")
    monkeypatch.setenv("dcipher_base_url", "https://real.example")  # counts as well
    show = "import os; print([name for name in os.environ if name == 'dcipher_base_url'])"
    assert main(["emulator", "exec", sys.executable, "-c", show]) == 0
    assert capfd.readouterr().out == "[]\n"


WAITING = """
import signal, sys, time
def heard(number, frame):
    print("heard", number, flush=True)
    sys.exit(3)
signal.signal(signal.SIGINT, heard)
signal.signal(signal.SIGTERM, heard)
print("waits", flush=True)
time.sleep(30)
"""


# Until it was heard, and a moment longer for a second one.
TWICE = """
while not times:
    time.sleep(0.02)
time.sleep(0.3)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_forwarded_to_the_child(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    """The child receives a signal of this process. Afterwards, our handlers are restored."""

    def act() -> None:
        wait_for(Path("waits").exists)
        os.kill(os.getpid(), number)

    code = WAITING.replace('print("waits", flush=True)', 'open("waits", "w").close()')
    before = signal.signal(number, signal.default_int_handler)
    try:
        thread = threading.Thread(target=act)
        thread.start()
        with open(os.devnull) as null:  # noqa: PTH123 (a terminal's group would be asked)
            saved = os.dup(0)
            os.dup2(null.fileno(), 0)
        try:
            assert run_child([sys.executable, "-c", code], {}, print) == 3
        finally:
            os.dup2(saved, 0)
            os.close(saved)
        thread.join()
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert capfd.readouterr().out == f"heard {int(number)}\n"


def test_a_signal_before_there_is_a_child_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is forwarded when the child is there."""
    popen = subprocess.Popen

    def start(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        signal.raise_signal(signal.SIGTERM)
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    assert run_child(command, {}, print) == 128 + signal.SIGTERM


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exec_forwards_signals(number: int) -> None:
    """The command receives the signals of `exec`, whose exit code is that of the command."""
    with shell("exec", "--no-samples", "--", sys.executable, "-c", WAITING) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == (f"heard {int(number)}\n", "", 3)


def test_ctrl_c_on_a_terminal_is_received_once() -> None:
    """The terminal sends it to both, so it is not forwarded, and `exec` waits."""
    import pty

    code = WAITING.replace("time.sleep(30)", TWICE).replace("sys.exit(3)", "times.append(number)")
    code = f"times = []\n{code}"
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover (the child)
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        words = ["emulator", "exec", "--no-samples", "--", sys.executable, "-c", code]
        os.execv(sys.executable, [sys.executable, "-c", _PROGRAM, *words])  # noqa: S606
    seen = b""
    with io.FileIO(terminal) as file:
        while chunk := _read(file):
            if b"waits" not in seen and b"waits" in seen + chunk:
                os.write(terminal, b"\x03")
            seen += chunk
    assert seen.count(b"heard 2") == 1
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("redirected", [False, True], ids=["terminal", "null"])
def test_the_terminal_is_detected_without_stdin(*, redirected: bool) -> None:
    """`exec -- pytest </dev/null`: a forwarded second Ctrl-C would interrupt its cleanup."""
    import pty

    code = "from dcipher.cli.emulator.child import _in_the_foreground as f; print(f())"
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover (the child)
        if redirected:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        os.execv(sys.executable, [sys.executable, "-c", code])  # noqa: S606
    seen = b""
    with io.FileIO(terminal) as file:
        while chunk := _read(file):
            seen += chunk
    _ = os.waitpid(pid, 0)
    assert seen.strip() == b"True"


def _read(terminal: io.FileIO) -> bytes:
    try:
        return terminal.read(1000) or b""
    except OSError:  # Linux says EIO where nobody has the other end any more
        return b""


# ---- env, runs, requests, faults, reset.


def test_env_is_evaluated_by_a_shell(running: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """`eval "$(dcipher emulator env)"` sets URL and key; `--json` is the same as an object."""
    assert main(["emulator", "env"]) == 0
    lines = capsys.readouterr().out
    done = subprocess.run(  # noqa: S603 (our own lines)
        ["/bin/sh", "-c", f'{lines}\nprintf "%s %s" "$DCIPHER_BASE_URL" "$DCIPHER_API_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{running.url} {running.api_key}"
    assert main(["emulator", "env", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["DCIPHER_API_KEY"] == running.api_key


def test_env_reads_the_secret_in_the_shell(
    running: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret itself is in no line; without one, that of the real service is unset."""
    file = tmp_path / "it's a secret"
    file.write_text("made-up\n")
    found = entry(running, api_secret_file=str(file))
    lines = assignments(found, "sh")
    assert "made-up" not in lines
    words = ["/bin/sh", "-c", f'{lines}\nprintf %s "$DCIPHER_API_SECRET"']
    assert subprocess.run(words, capture_output=True, check=True).stdout == b"made-up"  # noqa: S603
    monkeypatch.setenv("DCIPHER_API_SECRET", "of the real service")
    assert assignments(entry(running), "sh").splitlines()[2] == "unset DCIPHER_API_SECRET"
    monkeypatch.setenv("dcipher_api_key", "of the real service")  # counts as well
    assert assignments(entry(running), "sh").splitlines()[0] == "unset dcipher_api_key"


def test_env_for_other_shells(running: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Fish and PowerShell have words of their own."""
    assert main(["emulator", "env", "--shell", "fish"]) == 0
    assert f"set -gx DCIPHER_API_KEY '{running.api_key}';" in capsys.readouterr().out
    assert main(["emulator", "env", "--shell", "powershell"]) == 0
    assert f"$env:DCIPHER_BASE_URL = '{running.url}'" in capsys.readouterr().out


def test_which_emulator_is_meant(
    running: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only one; of several, that of --base-url, or of the environment if its key is emu_."""
    with Emulator(queue_time=0) as other, registered(entry(other)):
        assert main(["emulator", "runs"]) == 2
        err = capsys.readouterr().err
        assert "2 emulators run" in err
        assert "--base-url" in err
        assert main(["emulator", "env", "--base-url", f"{other.url}/"]) == 0
        assert other.api_key in capsys.readouterr().out
        other.flow("f")(lambda: 1)
        with Dcipher(other.api_key, base_url=other.url) as client:
            client.flows.run("f")
        assert main(["emulator", "runs", "-q", "--base-url", other.url]) == 0
        assert capsys.readouterr().out.strip() == other.runs[0].task_id
        monkeypatch.setenv("DCIPHER_BASE_URL", other.url)
        monkeypatch.setenv("DCIPHER_API_KEY", other.api_key)
        assert main(["emulator", "runs", "-q"]) == 0
        assert capsys.readouterr().out.strip() == other.runs[0].task_id
    monkeypatch.setenv("DCIPHER_BASE_URL", "https://service.invalid")
    monkeypatch.setenv("DCIPHER_API_KEY", "live_key")
    assert main(["emulator", "runs", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_a_server_that_is_not_an_emulator(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port, another server, an invalid registry: exit code 1 with a sentence, and no real key is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        output: list[bytes] = []
        responses = [b"HTTP/1.0 200 OK\r\n\r\nhello", b"HTTP/1.0 404 No\r\n\r\nhello", b"what\r\n"]

        def serve() -> None:
            for response in responses:
                connection, _ = server.accept()
                with connection:
                    output.append(connection.recv(10_000))
                    connection.sendall(response)

        server.settimeout(PATIENCE)
        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("DCIPHER_API_KEY", "live_canary")
        for _ in responses:
            assert main(["emulator", "runs", "--base-url", url]) == 1
        thread.join(PATIENCE)
    err = capsys.readouterr().err
    assert err.count("is not an emulator") == 2
    assert b"canary" not in b"".join(output)
    assert b"X-Dcipher-Emulator: 1" in output[0]
    assert main(["emulator", "runs", "--base-url", url]) == 1
    assert "No emulator responds" in capsys.readouterr().err
    entries = folder / "state" / "emulators"
    entries.mkdir(parents=True)
    (entries / "1.json").write_text("{")
    assert main(["emulator", "reset"]) == 1
    assert "No emulator of yours runs" in capsys.readouterr().err


def test_a_remote_emulator_requires_its_key(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """The key comes from the registry, or from --api-key-file. Without it, the exit code is 4."""
    with Emulator(allow_remote=True) as emulator:
        words = ["emulator", "runs", "--base-url", emulator.url]
        assert main(words) == 4
        (folder / "key").write_text(emulator.api_key)
        assert main([*words, "--api-key-file", "key"]) == 0
        with registered(entry(emulator)):
            assert main(words) == 0
    assert emulator.api_key not in "".join(capsys.readouterr())


def test_runs_requests_and_reset(running: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs and requests are lines or JSON, with the key redacted. After a reset, there are none."""
    with Dcipher(running.api_key, base_url=running.url) as client:
        run = client.flows.run("shout", {"text": "river"})
    assert main(["emulator", "runs"]) == 0
    assert run.task_id in capsys.readouterr().out
    assert main(["emulator", "runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["params"] == {"text": "river"}
    assert main(["emulator", "requests", "--jsonl"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[0])["method"] == "POST"
    assert running.api_key not in out
    assert main(["emulator", "reset"]) == 0
    assert running.runs == ()
    assert "were removed" in capsys.readouterr().err


def test_faults_are_added_listed_and_cleared(
    running: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The short form and the JSON; each is there, and one or all are cleared."""
    add = ["emulator", "faults", "add"]
    assert main([*add, "status", "respond:503", "--times", "3", "--flow", "shout"]) == 0
    assert main([*add, "start", "drop:after", "delay:0.5", "--always", "-q"]) == 0
    assert main([*add, '{"operation": "result", "effects": [{"kind": "expire_url"}]}']) == 0
    reprs = [repr(rule) for rule in running.faults]
    assert "Respond(503): applied 0 of 3" in reprs[0]
    assert "Drop('after'), Delay(0.5): applied 0," in reprs[1]
    assert "ExpireURL()" in reprs[2]
    assert capsys.readouterr().out.splitlines()[-1] != ""
    assert main(["emulator", "faults", "list", "--json"]) == 0
    assert [fault["id"] for fault in json.loads(capsys.readouterr().out)] == [1, 2, 3]
    assert main(["emulator", "faults", "clear", "2"]) == 0
    assert [rule.id for rule in running.faults] == [1, 3]
    assert main(["emulator", "faults", "clear", "9"]) == 1
    assert "no fault 9" in capsys.readouterr().err
    assert main(["emulator", "faults", "clear"]) == 0
    assert running.faults == ()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["status"], "has no effect"),
        (["statuses", "respond"], "is not an operation"),
        (["status", "respnd"], "is not an effect"),
        (["result", "expire_url:1"], "has no value"),
        (["{"], "not JSON"),
        (['{"a": 1}', "respond"], "not both"),
        (["{}"], "The fault is invalid"),
        (["status", "respond:9999"], "The fault is invalid"),
        (["flow", "expire_url"], "not supported"),
    ],
)
def test_invalid_faults_are_usage_errors(
    running: Emulator, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with the reason of the command line or of the emulator. Nothing is added."""
    assert main(["emulator", "faults", "add", *words]) == 2
    assert text in capsys.readouterr().err
    assert running.faults == ()


def test_the_syntax_of_effects() -> None:
    """The value is the first one of the effect, parsed as JSON if possible. An object sets several."""

    def effect(word: str) -> dict[str, Any]:
        found: dict[str, Any] = fault_document(["any", word])["effects"][0]
        return found

    assert effect("expire-url") == {"kind": "expire_url"}
    assert effect("respond:503") == {"kind": "respond", "status": 503}
    assert effect("drop:after") == {"kind": "drop", "when": "after"}
    assert effect("statuses:QUEUED,RUNNING")["words"] == ["QUEUED", "RUNNING"]
    several = effect('respond:{"status": 429, "headers": {"Retry-After": "2"}}')
    assert several == {"kind": "respond", "status": 429, "headers": {"Retry-After": "2"}}
    assert effect('patch:{"status": "ODD"}') == {"kind": "patch", "patch": {"status": "ODD"}}
    assert fault_document(["any", "respond"], times=2, nth=None) == {
        "operation": None,
        "effects": [{"kind": "respond"}],
        "times": 2,
    }
