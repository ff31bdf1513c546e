"""The common parts: global options, help, errors, and which modules are imported."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import warnings
from importlib import import_module, metadata
from typing import TYPE_CHECKING

import pytest

from dcipher import errors
from dcipher._client.waiting import run_errors
from dcipher._extras.installation import install
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._version import __version__
from dcipher.cli.app.explanations import explain
from dcipher.cli.root import app
from dcipher.errors._hints import with_hint
from dcipher.models import Run, RunStatus
from tests.cli.conftest import Call, environment, service

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "version"],
        ["version", "--json"],
        ["--json", "version", "--json"],
        ["version", "-v", "--json"],
    ],
)
def test_global_options_stand_anywhere(call: Call, arguments: list[str]) -> None:
    """Before the command and after it, they mean the same."""
    done = call(*arguments)
    assert done.code == 0
    assert json.loads(done.out)["dcipher"] == __version__


def test_global_options_between_commands(dcipher: Call) -> None:
    """A group of commands accepts them, too."""
    assert json.loads(dcipher("flows", "--json", "get", "shout").out)["id"] == "shout"


def test_the_last_of_two_values_counts(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option after the command takes precedence over one before it."""
    monkeypatch.setenv("DCIPHER_MAX_RETRIES", "0")
    done = dcipher("--base-url", "http://127.0.0.1:1", "flows", "get", "shout", "-q")
    assert done.code == 1
    done = dcipher(
        *("--base-url", "http://127.0.0.1:1", "flows", "get", "shout", "-q"),
        *("--base-url", emulator.url),
    )
    assert (done.code, done.out) == (0, "shout\n")


@pytest.mark.parametrize("forms", [["--json", "-q"], ["--json", "--jsonl"], ["-q", "--jsonl"]])
def test_one_form_at_a_time(call: Call, forms: list[str]) -> None:
    """Two forms of output are a usage error."""
    done = call("version", *forms)
    assert (done.code, done.out) == (2, "")
    assert "Give one of" in done.err


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["flows", "gte"], "No such command 'gte'"),
        (["nothing"], "No such command 'nothing'"),
        (["version", "--no-such"], "No such option"),
        (["flows", "get"], "FLOW"),
        (["version", "more"], "unexpected extra argument"),
        (["--json"], "Missing command"),
        (["runs", "list", "--limit", "0"], "--limit"),
        (["flows", "run", "f", "-p"], "requires an argument"),
    ],
)
def test_an_invalid_command_line(call: Call, arguments: list[str], output: str) -> None:
    """A usage error is one line on stderr with exit code 2 and the command for the help."""
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert output in done.err
    assert done.err.count("\n") == 1
    assert "--help" in done.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("flwos get f", "flows"),
        ("flows rnu f", "run"),
        ("runs get t", "status"),
        ("runs show t", "status"),
        ("runs ls", "list"),
        ("flows show f", "get"),
        ("emulator faults ls", "list"),
        ("nothing", None),
    ],
)
def test_a_similar_command(call: Call, words: str, meant: str | None) -> None:
    """The nearest name, or our name for it, is suggested once, if there is one."""
    done = call(*words.split())
    assert done.code == 2
    assert ("Did you mean" in done.err) == (meant is not None)
    assert meant is None or done.err.count(f" Did you mean {meant!r}? Next: ") == 1


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("runs list --limit x", "'--limit': 'x' is not a valid integer"),
        ("runs list --limit 0", "'--limit': 0 is not in the range x>=1"),
        ("emulator faults add x --probability x", "'--probability': 'x' is not a valid float"),
        ("emulator env --shell x", "'--shell': 'x' is not one of "),
        ("flows run f --timeuot", "--timeout"),
        ("flows run f text=abc", "(text=abc). A param is given with -p: -p text=abc. Next: "),
        ("flows run f text:=[1] b=2", "A param is given with -p: -p text:=…. Next: "),
        ("flows run f more", "(more). Next: "),
        ("flows run f a b=2", "(a b=2). Next: "),
        ("flows get f text=abc", "(text=abc). Next: "),
        ("flows run f -p text=@", "a file name belongs after @; a text that begins with @ is "),
        ("flows run f -p text:=@", "a file name belongs after @"),
    ],
)
def test_usage_messages(call: Call, words: str, output: str) -> None:
    """The error is a sentence that needs no knowledge of Python, and has a next step."""
    done = call(*words.split())
    assert done.code == 2
    assert output in done.err


@pytest.mark.parametrize("arguments", [[], ["flows"], ["runs"]])
def test_a_group_without_a_command_prints_its_help(call: Call, arguments: list[str]) -> None:
    """A group without a command lists its commands on stderr: nothing was done."""
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: dcipher")
    assert "Commands:" in done.err


@pytest.mark.parametrize(
    "arguments", [["--api-key", "canary"], ["--api-key=canary"], ["flows", "--api-key", "canary"]]
)
def test_there_is_no_option_for_a_key(call: Call, arguments: list[str]) -> None:
    """A key on the command line is rejected and not repeated. The error lists the alternatives."""
    done = call(*arguments, "version")
    assert (done.code, done.out) == (2, "")
    assert "canary" not in done.err
    for way in ("DCIPHER_API_KEY", "--env-file", "--api-key-file"):
        assert way in done.err
    assert "DCIPHER_API_SECRET" in call("--api-secret", "canary", "version").err


def test_help_is_the_same_everywhere(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` goes to stdout without colours, as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = call("flows", "run", "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: dcipher flows run [OPTIONS] FLOW\n")
    assert "\x1b" not in done.out
    text, _, examples = done.out.partition("    dcipher flows run")
    assert max(map(len, text.splitlines())) <= 60
    assert "--json" in examples


def test_every_command_and_option_is_described(call: Call) -> None:
    """There is no command without a sentence, and no option without one."""
    pending = [[name] for name in app.lazy]
    seen = 0
    while pending:
        words = pending.pop()
        page = call(*words, "--help").out
        seen += 1
        commands = re.search(r"^Commands:\n((?:  .*\n)+)", page, re.MULTILINE)
        if commands is not None:
            names = re.findall(r"^  (\S+) +\S", commands[1], re.MULTILINE)
            pending += [[*words, name] for name in names]
            assert names
        assert page.split("\n\n")[1].strip().endswith((".", ":"))
        options = page.partition("\nOptions:\n")[2].partition("\n\n")[0].splitlines()
        for number, line in enumerate(options):
            if line.startswith("  -"):
                following = options[number + 1] if number + 1 < len(options) else ""
                assert re.search(r"\S  +\S", line) or following.startswith("     "), line
    assert seen > len(app.lazy)


HEAVY = ("httpx", "pydantic", "pydantic_settings", "rich", "fastapi", "pyarrow")


def test_commands_import_nothing_heavy() -> None:
    """To show the help of any command, neither the HTTP client nor a table is imported."""
    modules = ", ".join(sorted(set(app.lazy.values())))
    code = f"import sys, {modules}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], env=environment(), capture_output=True, timeout=60, check=True
    )
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--version"], {}),
        (["completion", "bash"], {}),
    ],
)
def test_quick_commands_import_little(arguments: list[str], variables: dict[str, str]) -> None:
    """The version and the completion script are printed without click, asyncio and the HTTP client."""
    code = (
        "import sys; from dcipher.cli import main; code = main(sys.argv[1:]); "
        f"print([m for m in {('click', 'asyncio', *HEAVY)!r} if m in sys.modules]); "
        "sys.exit(code)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *arguments],
        env=environment(variables),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1


def test_versions_are_printed(call: Call) -> None:
    """`--version` prints one line; `version` also prints that of Python."""
    assert call("--version") == (0, f"dcipher {__version__}\n", "")
    assert call("--json", "--version").out == f"dcipher {__version__}\n"
    assert call("version", "-q").out == f"{__version__}\n"
    assert call("version").out.startswith(f"dcipher\t{__version__}\npython\t3.")


def test_without_the_extra() -> None:
    """The error names the missing library and the line that installs it. The version needs nothing."""
    code = "import sys; sys.modules['click'] = None\nfrom dcipher.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code]
    done = subprocess.run(  # noqa: S603
        [*words, "version"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: This needs click: {install('cli')}\n"
    done = subprocess.run(  # noqa: S603
        [*words, "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"dcipher {__version__}\n")


def test_is_installed_as_a_program() -> None:
    """If the package is installed, its script is the same function."""
    scripts = [e for e in metadata.entry_points(group="console_scripts") if e.name == "dcipher"]
    if not scripts:
        pytest.skip("the package is not installed here, or by an older pyproject.toml")
    module, _, name = scripts[0].value.partition(":")
    assert getattr(import_module(module), name) is import_module("dcipher.cli").main


# The key, and where it comes from.


def test_key_from_a_file_or_standard_input(
    dcipher: Call, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is the line of the file, with or without its line end, or of standard input if requested."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_wrong")
    file = tmp_path / "key"
    file.write_text(f"{emulator.api_key}\n")
    assert dcipher("flows", "get", "shout", "-q", "--api-key-file", file).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{emulator.api_key}\n"))
    assert dcipher("flows", "get", "shout", "-q", "--api-key-file", "-").code == 0
    assert dcipher("flows", "get", "shout").code == 4


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_an_empty_key_file(dcipher: Call, tmp_path: Path, content: str) -> None:
    """A file without a key is an error of authentication; the environment does not fill in."""
    (tmp_path / "key").write_text(content)
    done = dcipher("flows", "get", "shout", "--api-key-file", "key")
    assert done.code == 4
    assert "key is empty" in done.err


def test_files_that_are_not_there(dcipher: Call) -> None:
    """A file that was named must be there."""
    done = dcipher("flows", "get", "shout", "--api-key-file", "none")
    assert (done.code, "none cannot be read: No such file" in done.err) == (2, True)
    done = dcipher("flows", "get", "shout", "--env-file", "none")
    assert (done.code, "there is no file none" in done.err) == (2, True)


def test_dotenv_only_if_it_is_named(
    dcipher: Call, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `.env` in the working directory is not read, unless it is named."""
    lines = (f"{name}={value}\n" for name, value in service(emulator).items())
    (tmp_path / ".env").write_text("".join(lines))
    for name in service(emulator):
        monkeypatch.delenv(name)
    done = dcipher("flows", "get", "shout")
    assert done.code == 4
    assert "--env-file .env" in done.err
    assert dcipher("flows", "get", "shout", "-q", "--env-file", ".env").code == 0


def test_a_base_url_from_a_file_gets_no_key_from_elsewhere(
    dcipher: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of the library applies: the error has the option for the base URL."""
    monkeypatch.delenv("DCIPHER_BASE_URL")
    (tmp_path / ".env").write_text("DCIPHER_BASE_URL=https://elsewhere.invalid\n")
    done = dcipher("flows", "get", "shout", "--env-file", ".env")
    assert done.code == 2
    assert "was not sent there" in done.err
    assert "--base-url" in done.err


def test_a_key_with_blanks_is_one_line_of_warning(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning of the library is printed without its source code."""
    monkeypatch.setenv("DCIPHER_API_KEY", f" {emulator.api_key}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = dcipher("flows", "get", "shout", "-q")
    assert (done.code, done.out) == (0, "shout\n")
    assert done.err.startswith(
        "warning: api_key (DCIPHER_API_KEY, environment) had surrounding blanks"
    )
    assert done.err.count("\n") == 1


# Errors.


def test_errors_for_programs(dcipher: Call) -> None:
    """With --json, the last line of stderr is an object; stdout has only data."""
    done = dcipher("flows", "get", "none", "--json")
    assert (done.code, done.out) == (1, "")
    error = json.loads(done.err.splitlines()[-1])["error"]
    assert error["type"] == "NotFoundError"
    assert error["exit_code"] == 1
    assert error["status_code"] == 404
    assert error["request_id"] in error["message"]
    usage = json.loads(dcipher("--jsonl", "nothing").err)["error"]
    assert usage["exit_code"] == 2


@pytest.mark.usefixtures("loggers")
def test_a_traceback_only_with_verbose(
    dcipher: Call, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -v, an error is a line. With it, the log of the library and the traceback are printed."""
    quiet = dcipher("flows", "get", "none")
    assert quiet.err.count("\n") == 1
    loud = dcipher("flows", "get", "none", "-v")
    assert "Traceback (most recent call last)" in loud.err
    assert "DEBUG dcipher" in loud.err
    assert loud.err.splitlines()[-1].startswith("error: GET ")
    assert emulator.api_key not in loud.err
    monkeypatch.setenv("DCIPHER_LOG", "debug")
    logged = dcipher("flows", "get", "none")
    assert "DEBUG dcipher" in logged.err
    assert "Traceback" not in logged.err


RUN = Run(flow_id="f", task_id="t-1")
IN_PYTHON = re.compile(r"client\.|error\.run|api_key=|base_url=|idempotency_key=|overwrite=|Run\(")


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (run_errors.timed_out(RUN, 5, None), "dcipher runs wait t-1 --flow f"),
        (run_errors.interrupted(RUN, 901), "dcipher runs wait t-1 --flow f"),
        (run_errors.not_ended(RUN), "dcipher runs wait t-1 --flow f"),
        (without_outputs(RUN.model_copy(update={"status": RunStatus.SUCCEEDED})), None),
        (run_errors.closed(errors.DcipherError("Closed."), RUN), "dcipher runs wait t-1 --flow f"),
        (errors.MissingAPIKeyError("Set DCIPHER_API_KEY"), "DCIPHER_API_KEY"),
        (errors.AuthenticationError("401"), "dcipher doctor"),
        (errors.APIConnectionError("No answer from h (base_url=…)."), "dcipher doctor"),
        (errors.NotFoundError("Check the ids."), None),
        (
            with_hint(
                errors.ConflictError("It conflicts."), "Pass idempotency_key='k-1'.", "Try again."
            ),
            None,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_say_what_to_do_in_the_shell(
    error: errors.DcipherError, next_step: str | None
) -> None:
    """The advice of the library for Python is a line to paste on the command line."""
    explanation = explain(error)
    assert IN_PYTHON.search(str(explanation)) is None
    assert (explanation.next_step is None) == (next_step is None)
    assert next_step is None or next_step in str(explanation)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "f"), OSError("odd")])
def test_errors_of_the_system(error: OSError) -> None:
    """The file and the reason, without a number."""
    text = str(explain(error))
    assert text in {"f: No space left on device", "odd"}
